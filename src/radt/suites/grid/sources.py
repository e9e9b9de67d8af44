"""Sources of learning histories of the grid worlds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.data.trajectories import Shard, Trajectories
from radt.errors import RadtError
from radt.settings.sources import LEARNERS
from radt.settings.sources import Trajectories as Settings
from radt.suites import experiment_spec, learners
from radt.suites.grid import published
from radt.suites.grid.qlearning import learn
from radt.suites.grid.settings import GridExperiment


def collect(experiment: GridExperiment, settings: Settings, histories: Path | None) -> tuple[dict[str, Any], Iterable[Shard]]:
    """See `radt.suites.sources.histories`; `histories` is the output of the `rl` stage, which some sources need."""
    if settings.source in LEARNERS:
        return learners.told(settings), learners.read(histories, experiment_spec(experiment), settings)
    if settings.source == "generate" and settings.generate:
        source = {"name": "generate", "algorithm": "q-learning", **settings.generate.model_dump(mode="json")}
        return source, [learn(experiment, settings.generate)]
    if settings.source == "download" and settings.download:
        from radt.data.download import fetch  # slow to import, and only needed here

        folder = fetch(settings.download, list(published.file_names(experiment).values()))
        source = {"name": "download", "algorithm": "ppo", **settings.download.model_dump(mode="json", exclude={"checksums"})}
    elif settings.source == "import":
        folder = Path(str(settings.import_folder))
        source = {"name": "import"}
    else:
        raise RadtError(
            f"trajectories.source is {settings.source!r}, which the grid worlds do not have: set it to generate or ppo"
        )
    return {**source, "files": published.checksums(folder, experiment)}, published.convert(folder, experiment)


def remark(experiment: GridExperiment, data: Trajectories) -> str | None:
    """The number of published histories of Key-Door in which the key stays taken, in words."""
    stay = published.key_stays(data.shards, experiment) if data.manifest["source"].get("name") in ("download", "import") else []
    words = f"the key stays taken in {len(stay)} of the histories, as in the published engine (docs/differences.md)"
    return words if stay else None
