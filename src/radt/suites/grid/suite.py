"""The grid worlds as a suite (`radt.suites.base.Suite`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Task
from radt.errors import RadtError
from radt.suites.grid import worlds
from radt.suites.grid.engine import GridEnv, GridVectorEnv
from radt.suites.grid.mazerunner import SIZE
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.spec import sizes_of, spec_of

PIXELS = 240
"""Approximate length of the longer side of a picture."""
WALL, TRAIL, PAYS, AGENT = (60, 60, 60), (187, 204, 238), (238, 119, 51), (0, 68, 136)


class GridSuite:
    """The tasks of one grid world."""

    def __init__(self, experiment: GridExperiment):
        self.experiment, self.spec = experiment, spec_of(experiment)

    def tasks(self) -> list[Task]:
        """See `Suite`."""
        splits, descriptions = self.experiment.splits, worlds.descriptions(self.experiment)
        table = zip(splits, descriptions, worlds.optimum(self.experiment).tolist(), strict=True)
        return [Task(number, split, own, {"optimum": best}) for number, (split, own, best) in enumerate(table)]

    def make(self, tasks: NDArray[np.int64]) -> GridVectorEnv:
        """See `Suite`."""
        return worlds.make(self.experiment, tasks)

    def environment(self, task: int) -> GridEnv:
        """See `Suite`."""
        return GridEnv(self.make(np.array([task])))

    def seen(self, observations: Any) -> NDArray[np.uint8]:
        """See `Suite`: the whole numbers behind the observations."""
        sizes, shown = sizes_of(self.experiment), np.asarray(observations)
        codes = np.rint(shown * SIZE) if self.experiment.world == "mazerunner" else shown
        fits = shown.ndim == 2 and shown.shape[1] == len(sizes) and shown.dtype.kind in "uif"
        if not fits or not ((codes >= 0) & (codes < sizes) & (codes == np.floor(codes))).all():
            given = f"{shown.shape[1:]} such as {shown[0].tolist()}" if shown.ndim > 1 and len(shown) else "nothing"
            raise RadtError(
                f"the environment shows {given}, but {self.experiment.title} shows {len(sizes)} numbers below {list(sizes)}:"
                " use an environment like it"
            )
        return codes.astype(np.uint8)

    def picture(self, env: GridVectorEnv, seen: NDArray[Any]) -> NDArray[np.uint8]:
        """See `WithPictures`; seen from above: goals are orange, visited cells light blue, the agent is dark blue."""
        size = self.experiment.height, self.experiment.width
        cells = np.full((*size, 3), 255, np.uint8)
        tables, row = env.tables, int(env.rows[0])
        places = tables.codes[row][:, :2]  # of each state: row, column
        if self.experiment.world == "mazerunner":
            cells[:] = WALL
            following = tables.following[row, : self.experiment.cells]  # before the first goal
            entered = following[following != np.arange(len(following))[:, None]]
            cells[tuple(places[entered].T)] = 255
        cells[tuple(np.asarray(seen)[:, :2].T)] = TRAIL
        paying = tables.following[row][tables.reward[row] > 0]
        cells[tuple(places[paying].T)] = PAYS
        cells[tuple(env.codes[0, :2])] = AGENT
        scale = max(1, PIXELS // max(size))
        return np.kron(cells, np.ones((scale, scale, 1), np.uint8))

    def done(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """See `Suite`."""
        return codes[:, 0]


suite_of = GridSuite
