"""Goals of a room and who may see them (published code: the lists in its environment settings, here made by their rule)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radt.settings import Experiment

GOAL_SEED = 43  # the published goal lists are a permutation with this seed


def permuted_cells(width: int, height: int) -> NDArray[np.int64]:
    """All cells [width * height, 2] of a room as (x, y), in the order in which goals are drawn."""
    cells = np.array([(x, y) for x in range(width) for y in range(height)], dtype=np.int64)
    return np.random.RandomState(GOAL_SEED).permutation(cells)


def goals(experiment: Experiment) -> NDArray[np.int64]:
    """Goal [goals, 2] of every task as (x, y); the row is the task id."""
    return permuted_cells(experiment.width, experiment.height)[: experiment.goals]


def split_of(experiment: Experiment) -> list[str]:
    """Split of every task: first `train`, then `validation`, then `held_out`."""
    train = experiment.goals - experiment.held_out - experiment.validation
    return ["train"] * train + ["validation"] * experiment.validation + ["held_out"] * experiment.held_out


def tasks_of(experiment: Experiment, split: str) -> NDArray[np.int64]:
    """Ids of the tasks of one split, ascending."""
    return np.flatnonzero(np.array(split_of(experiment)) == split)


def optimum(experiment: Experiment) -> NDArray[np.int64]:
    """Best possible return [goals] of every task.

    A goal `d` steps away pays at steps d to horizon - 1, because the last step never pays. On the start cell, staying pays
    from the first step on.
    """
    distance = np.maximum(goals(experiment).sum(axis=1), 1)
    best: NDArray[np.int64] = np.maximum(experiment.horizon - distance, 0)
    return best
