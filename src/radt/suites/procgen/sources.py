"""Sources of learning histories of Procgen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.data.trajectories import Shard
from radt.settings.sources import Trajectories as Settings
from radt.suites.gymnasium import sources
from radt.suites.procgen import mazes, published
from radt.suites.procgen.settings import ProcgenExperiment


def collect(experiment: ProcgenExperiment, settings: Settings, histories: Path | None) -> tuple[dict[str, Any], Iterable[Shard]]:
    """See `radt.suites.sources`: Q-learners in the levels of maze, an expert, Stable-Baselines3, Minari, or files."""
    if settings.source == "generate" and settings.generate:
        source = {"name": "generate", "algorithm": "q-learning", **settings.generate.model_dump(mode="json")}
        return source, mazes.histories(experiment, settings.generate)
    folder = Path(str(settings.import_folder))
    if settings.source == "import" and (folder / experiment.games[0] / published.SEEDS).is_file():
        source = {"name": "import", "algorithm": "ppo", "files": published.checksums(folder, experiment)}
        return source, published.histories(folder, experiment)
    return sources.collect(experiment, settings, histories, ("generate", "expert"))
