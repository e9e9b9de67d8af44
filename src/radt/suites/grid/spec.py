"""Observations, actions and rewards of the grid worlds."""

from __future__ import annotations

from radt.spaces import Codes, Counts, Spec
from radt.suites.grid.engine import ACTIONS
from radt.suites.grid.mazerunner import MOST_GOALS
from radt.suites.grid.settings import GridExperiment

LEVELS = 3
"""Rows for the rewards so far: 0, 1, 2 or more."""
MOST_PAID = {"keydoor": 2}
"""Largest reward of a step if above 1: key and door in one cell."""
PHASES = {"keydoor": 2, "mazerunner": 3}
"""Number of true states of a cell if above 1: key held or not, goals reached."""


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
