"""The grid worlds as a suite (`radt.suites.base.Suite`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard, Task, Trajectories
from radt.settings import GridExperiment
from radt.settings import Trajectories as TrajectorySettings
from radt.spaces import Codes, Counts, Spec
from radt.suites.grid import worlds
from radt.suites.grid.engine import ACTIONS, GridVectorEnv
from radt.suites.grid.mazerunner import MOST_GOALS

if TYPE_CHECKING:  # what makes histories needs no torch, which takes seconds to import
    from radt.data.episodes import EpisodeBuffer
    from radt.suites.grid.experience import DistinctTransitions, TableExperience

LEVELS = 3
"""Of what was received, a token tells nothing, 1 and more apart."""
MOST_PAID = {"keydoor": 2}
"""Most that a step pays, where it is more than 1: key and door in one cell."""
PHASES = {"keydoor": 2, "mazerunner": 3}
"""True states that share a cell, where there is more than one: key held or not, goals reached."""


def sizes_of(experiment: GridExperiment) -> tuple[int, ...]:
    """How many values each number of an observation has: row, column; in a maze also the free cells in four directions."""
    position = experiment.height, experiment.width
    return position + 4 * (max(position),) if experiment.world == "mazerunner" else position


def spec_of(experiment: GridExperiment) -> Spec:
    """What is seen, done and paid: one of five actions."""
    maze = experiment.world == "mazerunner"
    rewards = Counts(
        most=MOST_PAID.get(experiment.world, 1),
        highest=MOST_GOALS if maze else experiment.horizon,
        levels=LEVELS,
        phases=PHASES.get(experiment.world, 1),
        by_time=not maze,
    )
    return Spec(observation=Codes(sizes=sizes_of(experiment)), actions=(ACTIONS,), rewards=rewards, horizon=experiment.horizon)


class GridSuite:
    """The tasks of one grid world."""

    def __init__(self, experiment: GridExperiment):
        self.experiment, self.spec, self.splits = experiment, spec_of(experiment), experiment.splits

    def tasks(self) -> list[Task]:
        """See `Described`."""
        table = zip(self.splits, worlds.descriptions(self.experiment), worlds.optimum(self.experiment).tolist(), strict=True)
        return [Task(number, split, told, {"optimum": best}) for number, (split, told, best) in enumerate(table)]

    def make(self, tasks: NDArray[np.int64]) -> GridVectorEnv:
        """See `Suite`."""
        return worlds.make(self.experiment, tasks)

    def histories(self, settings: TrajectorySettings, folder: Path | None) -> tuple[dict[str, Any], Iterable[Shard]]:
        """See `Suite`."""
        from radt.suites.grid.sources import collect

        return collect(self.experiment, settings, folder)

    def remark(self, data: Trajectories) -> str | None:
        """See `Suite`: in how many published histories of Key-Door the key stays taken."""
        from radt.suites.grid.published import key_stays

        stay = key_stays(data.shards, self.experiment) if data.manifest["source"].get("name") in ("download", "import") else []
        stays = f"the key stays taken in {len(stay)} of the histories, as in the published engine (docs/differences.md)"
        return stays if stay else None

    def seen(self, env: GridVectorEnv, observations: NDArray[Any]) -> NDArray[np.uint8]:
        """See `Suite`: the whole numbers behind the observations."""
        return env.codes

    def done(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """See `Suite`."""
        return codes[:, 0]

    def experience(self, data: Trajectories) -> TableExperience:
        """See `Suite`: the worlds are known, so that the best actions are."""
        from radt.suites.grid.experience import TableExperience

        return TableExperience(data, self.experiment)

    def recollection(self, buffer: EpisodeBuffer) -> DistinctTransitions:
        """See `Suite`: each transition once."""
        from radt.suites.grid.experience import DistinctTransitions

        return DistinctTransitions(buffer, self.experiment)
