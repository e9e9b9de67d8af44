"""Where the learning histories of environments come from that a user has registered: the choices of `trajectories.source`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.data import npz, trajectories
from radt.data.trajectories import Shard, Trajectories
from radt.errors import RadtError
from radt.settings.sources import LEARNERS
from radt.settings.sources import Trajectories as Settings
from radt.suites import experiment_spec, learners
from radt.suites.gymnasium.environment import View, view_of
from radt.suites.gymnasium.settings import GymnasiumExperiment


def collect(
    experiment: GymnasiumExperiment, settings: Settings, histories: Path | None
) -> tuple[dict[str, Any], Iterable[Shard]]:
    """Where the histories come from, for the manifest, and the histories themselves, a task or more at a time."""
    suite = experiment_spec(experiment)
    if settings.source in LEARNERS:
        return learners.told(settings), learners.read(histories, suite, settings)
    if settings.source == "minari" and settings.minari:
        from radt.data import minari  # an extra

        def look(space: Any) -> View | None:
            view = view_of(experiment, space)
            return view if view.observation == suite.spec.observation else None

        names = settings.minari.datasets
        return {"name": "minari", "datasets": names}, minari.read(names, suite, look)
    if settings.source != "import":
        raise RadtError(
            f"trajectories.source is {settings.source!r}, which the suite 'gymnasium' does not have: set it to ppo, sac, dqn,"
            " minari or import"
        )
    folder = Path(str(settings.import_folder))
    if (folder / "manifest.json").is_file():
        data = trajectories.read(folder, suite)
        return {"name": "import", "files": {entry["file"]: entry["sha256"] for entry in data.manifest["shards"]}}, data.shards
    return {"name": "import", "files": npz.checksums(folder, suite)}, npz.histories(folder, suite)


def stays(experiment: GymnasiumExperiment, data: Trajectories) -> None:
    """What is to be said of histories that were written; nothing."""
