"""The tasks of an experiment and their split, as in the lists of the published code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radt.suites.grid.settings import GridExperiment

GOAL_SEED, KEY_SEED = 43, 42  # the published lists are permutations with these seeds
REPLACED_KEYS = {(10, 10): {80 + 1: (3, 1)}}  # by room size and task: the generator would put this key on its door
MAZES_LEFT_OUT = (2, 5, 10, 13, 15, 21, 24, 27, 29, 31, 36, 39, 41, 52, 53, 57, 59, 78, 94, 105, 107, 114, 115)
FIRST_HELD_OUT_MAZE = 300


def permuted_cells(width: int, height: int, split_seed: int | None = None) -> NDArray[np.int64]:
    """All cells [width * height, 2] of a room as (x, y), in the order in which goals and doors are drawn; without `split_seed` as
    published."""
    return _random(GOAL_SEED, split_seed).permutation(_cells(width, height))


def permuted_keys(width: int, height: int, split_seed: int | None = None) -> NDArray[np.int64]:
    """All cells [width * height, 2] of a room as (x, y), in the order in which keys are drawn; without `split_seed` as published.

    Where a key would lie on its door, it changes places with the next one.
    """
    keys = _random(KEY_SEED, split_seed).permutation(_cells(width, height))
    if split_seed is None:
        for task, key in REPLACED_KEYS.get((width, height), {}).items():
            keys[task] = key
        return keys
    doors = permuted_cells(width, height, split_seed)
    for task in np.flatnonzero((keys == doors).all(1)).tolist():
        others = [*range(task + 1, len(keys)), *range(task)]
        fits = (one for one in others if (keys[one] != doors[task]).any() and (keys[task] != doors[one]).any())
        other = next(fits, task)
        keys[[task, other]] = keys[[other, task]]
    return keys


def _random(seed: int, split_seed: int | None) -> np.random.RandomState:
    """The generator of a list: of the published one, or of another split."""
    return np.random.RandomState(seed if split_seed is None else (seed, split_seed))


def _cells(width: int, height: int) -> NDArray[np.int64]:
    """All cells [width * height, 2], (x, y)."""
    return np.array([(x, y) for x in range(width) for y in range(height)], dtype=np.int64)


def goals(experiment: GridExperiment) -> NDArray[np.int64]:
    """Goal or door [tasks, 2] of every task of a room as (x, y); the row is the task id."""
    return permuted_cells(experiment.width, experiment.height, experiment.split_seed)[: experiment.num_tasks]


def keys(experiment: GridExperiment) -> NDArray[np.int64]:
    """Key [tasks, 2] of every task of Key-Door as (x, y)."""
    return permuted_keys(experiment.width, experiment.height, experiment.split_seed)[: experiment.num_tasks]


def maze_seeds(experiment: GridExperiment) -> NDArray[np.int64]:
    """Seed [tasks] of every maze: the published training seeds, then the held-out ones."""
    count = experiment.num_tasks - experiment.num_held_out
    training = [seed for seed in range(122) if seed not in MAZES_LEFT_OUT][:count]
    return np.array([*training, *range(FIRST_HELD_OUT_MAZE, FIRST_HELD_OUT_MAZE + experiment.num_held_out)], dtype=np.int64)


def tasks_of(experiment: GridExperiment, split: str) -> NDArray[np.int64]:
    """Ids of the tasks of one split, ascending."""
    return np.flatnonzero(np.array(experiment.splits) == split)
