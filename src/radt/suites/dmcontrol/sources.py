"""Where the learning histories of DMControl come from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.data.trajectories import Shard
from radt.settings.robots import RobotExperiment
from radt.settings.sources import Trajectories as Settings
from radt.suites.gymnasium import sources


def collect(experiment: RobotExperiment, settings: Settings, histories: Path | None) -> tuple[dict[str, Any], Iterable[Shard]]:
    """As of environments that a user has registered; besides, a learner that searches, and an expert under noise."""
    return sources.collect(experiment, settings, histories, ("search", "expert"))
