"""Sources of learning histories of DMControl."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.data.trajectories import Shard
from radt.settings.robots import RobotExperiment
from radt.settings.sources import Trajectories as Settings
from radt.suites import robots


def collect(experiment: RobotExperiment, settings: Settings, histories: Path | None) -> tuple[dict[str, Any], Iterable[Shard]]:
    """See `radt.suites.robots.collect`."""
    return robots.collect(experiment, settings, histories, slice(0))
