"""Where the learning histories of the grid worlds come from: the choices of `trajectories.source`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.data.trajectories import Shard, Trajectories
from radt.errors import RadtError
from radt.settings.sources import Trajectories as Settings
from radt.suites.grid import ppo, published
from radt.suites.grid.qlearning import learn
from radt.suites.grid.settings import GridExperiment


def collect(experiment: GridExperiment, settings: Settings, histories: Path | None) -> tuple[dict[str, Any], Iterable[Shard]]:
    """Where the histories come from, for the manifest, and the histories themselves, a task or more at a time.

    `histories` is the folder of what PPO learned, for `source: ppo`; raises `RadtError` when that is not given.
    """
    if settings.source == "generate":
        source = {"name": "generate", "algorithm": "q-learning", **settings.generate.model_dump(mode="json")}
        return source, [learn(experiment, settings.generate)]
    if settings.source == "ppo":
        if histories is None:
            raise RadtError(
                "trajectories.source is 'ppo', but --histories is not given: name the folder that the ppo stage wrote"
            )
        source = {"name": "ppo", "algorithm": "ppo", **settings.ppo.model_dump(mode="json")}
        return source, ppo.read(histories, experiment, settings.ppo)
    if settings.source == "download":
        from radt.data.download import fetch  # slow to import, and only needed here

        folder = fetch(settings.download, list(published.file_names(experiment).values()))
        source = {"name": "download", "algorithm": "ppo", **settings.download.model_dump(mode="json", exclude={"checksums"})}
    else:
        folder = Path(str(settings.import_folder))
        source = {"name": "import"}
    return {**source, "files": published.checksums(folder, experiment)}, published.convert(folder, experiment)


def stays(experiment: GridExperiment, data: Trajectories) -> str | None:
    """In how many published histories of Key-Door the key stays taken, in words."""
    stay = published.key_stays(data.shards, experiment) if data.manifest["source"].get("name") in ("download", "import") else []
    words = f"the key stays taken in {len(stay)} of the histories, as in the published engine (docs/differences.md)"
    return words if stay else None
