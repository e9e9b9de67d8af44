"""Sources of learning histories of environments that a user has registered."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.data import npz
from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.settings.sources import ALGORITHMS, LEARNERS
from radt.settings.sources import Trajectories as Settings
from radt.suites import experiment_spec, learners, suite_of
from radt.suites.gymnasium.environment import View, view_of


def collect(
    experiment: Any, settings: Settings, histories: Path | None, more: tuple[str, ...] = ()
) -> tuple[dict[str, Any], Iterable[Shard]]:
    """See `radt.suites.sources.histories`; `more` are sources of the caller, named in the error for an unknown source."""
    suite = experiment_spec(experiment)
    if settings.source in LEARNERS:
        return learners.told(settings), learners.read(histories, suite, settings)
    if settings.source == "minari" and settings.minari:
        from radt.data import minari  # an extra

        def look(space: Any) -> View | None:
            engine: Any = suite_of(experiment)
            shown = engine.environment(0).observation_space
            return view_of(experiment, shown) if space == shown else None

        names = settings.minari.datasets
        return {"name": "minari", "datasets": names}, minari.read(names, suite, look)
    if settings.source != "import":
        raise RadtError(
            f"trajectories.source is {settings.source!r}, which the suite {experiment.suite!r} does not have: set it to"
            f" {', '.join([*more, *ALGORITHMS, 'minari'])} or import"
        )
    folder = Path(str(settings.import_folder))
    return {"name": "import", "files": npz.checksums(folder, suite)}, npz.histories(folder, suite)
