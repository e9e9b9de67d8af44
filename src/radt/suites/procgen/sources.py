"""Sources of learning histories of Procgen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.settings.sources import LEARNERS
from radt.settings.sources import Trajectories as Settings
from radt.suites import learners
from radt.suites.gymnasium import sources
from radt.suites.procgen import heist, mazes, published, tapes
from radt.suites.procgen.settings import ProcgenExperiment


def collect(experiment: ProcgenExperiment, settings: Settings, histories: Path | None) -> tuple[dict[str, Any], Iterable[Shard]]:
    """See `radt.suites.sources`: learners in the levels of maze or heist, an expert, Stable-Baselines3, Minari, or files of
    the paper (downloaded or imported) and of one's own."""
    if settings.source == "generate" and settings.generate:
        if experiment.games not in (["maze"], ["heist"]):
            given = f"trajectories.source is 'generate' for {', '.join(experiment.games)}"
            raise RadtError(f"{given}, allowed is one of maze and heist: set it to expert")
        algorithm, game = ("q-learning", mazes) if experiment.games == ["maze"] else ("search", heist)
        source = {"name": "generate", "algorithm": algorithm, **settings.generate.model_dump(mode="json")}
        return source, game.histories(experiment, settings.generate)
    if settings.source in LEARNERS:
        taped = learners.read(histories, tapes.described(experiment), settings)
        return learners.told(settings), (tapes.play(tape, experiment) for tape in taped)
    if settings.source == "download" and settings.download:
        from radt.suites.procgen.download import fetch  # slow to import, and only needed here

        url, folder = fetch(settings.download, experiment)
        source = {"name": "download", "algorithm": "ppo", "url": url, "files": published.checksums(folder, experiment)}
        return source, published.histories(folder, experiment)
    folder = Path(str(settings.import_folder))
    if settings.source == "import" and (folder / experiment.games[0] / published.SEEDS).is_file():
        source = {"name": "import", "algorithm": "ppo", "files": published.checksums(folder, experiment)}
        return source, published.histories(folder, experiment)
    return sources.collect(experiment, settings, histories, ("generate", "expert", "download"))
