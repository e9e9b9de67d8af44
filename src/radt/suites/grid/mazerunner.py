"""MazeRunner 15x15: one to three unseen goals of a maze, to be reached in order (paper, Section 4, adapted from AMAGO).

Mazes, starts and goals are those of the published generator for the same seed. The agent sees its position and the free cells
around it, each divided by 15, but not the goals. Reaching the active goal pays 1 and makes the next one active;
the last goal ends the episode. `python -m radt.suites.grid.mazerunner` measures the speed.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from radt.suites.grid.engine import ACTIONS, GridEnv, GridVectorEnv, Tables, measure

SIZE = 15
START = (13, 7)  # (row, column)
MOVES = ((0, -1), (-1, 0), (0, 1), (1, 0), (0, 0))  # west, north, east, south, none: another order than in the rooms
COMPLEXITY, DENSITY = int(0.75 * 5 * (SIZE + SIZE)), int(0.75 * (SIZE // 2) * (SIZE // 2))
MOST_GOALS = 3


class MazeRunnerVectorEnv(GridVectorEnv):
    """Many mazes in a batch.

    Observations are float32 [n, 6]: row, column, and the free cells to the west, north, east and south before the next wall, each
    divided by 15. Actions are integers [n]: 0 west, 1 north, 2 east, 3 south, 4 none; a step into a wall stays. The state is the
    cell, row by row, plus 225 times the number of goals reached.
    """

    def __init__(self, seeds: ArrayLike, horizon: int = 400):
        """`seeds` are integers [n], one maze each; raises `ValueError` when one is outside 0 to 2**32 - 1."""
        array = np.asarray(seeds)
        if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= 2**32:
            raise ValueError(f"seeds are {array.tolist()}, allowed are integers [n] from 0 to 2**32 - 1, n >= 1")
        distinct, tasks = np.unique(array, return_inverse=True)
        super().__init__(tables(distinct), tasks, horizon, spaces.Box(0.0, 1.0, (6,), np.float32))

    def observe(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `GridVectorEnv.observe`."""
        return (codes / SIZE).astype(np.float32)


class MazeRunnerEnv(GridEnv):
    """One maze as a plain Gymnasium environment."""

    def __init__(self, seed: int = 300, horizon: int = 400):
        """`seed` is the maze's; raises `ValueError` when it is outside 0 to 2**32 - 1."""
        super().__init__(MazeRunnerVectorEnv([seed], horizon))


@cache
def maze(seed: int) -> tuple[NDArray[np.int8], tuple[tuple[int, int], ...]]:
    """Walls [15, 15] (1 is a wall) and the goals (row, column) in order, as the published generator draws them."""
    random = np.random.RandomState(seed)
    grid = np.zeros((SIZE, SIZE), np.int8)
    grid[[0, -1], :] = grid[:, [0, -1]] = 1
    for _ in range(DENSITY):
        x, y = random.randint(0, SIZE // 2 + 1) * 2, random.randint(0, SIZE // 2 + 1) * 2
        grid[y, x] = 1
        for drawn in range(COMPLEXITY):
            around = [(y, x - 2)] * (x > 1) + [(y, x + 2)] * (x < SIZE - 2)
            around += [(y - 2, x)] * (y > 1) + [(y + 2, x)] * (y < SIZE - 2)
            if all(grid[cell] for cell in around):
                random.randint(0, len(around), COMPLEXITY - drawn)  # at a dead end the generator keeps drawing
                break
            row, column = around[random.randint(0, len(around))]
            if grid[row, column] == 0:
                grid[row, column] = grid[(row + y) // 2, (column + x) // 2] = 1
                y, x = row, column
    grid[SIZE - 5 : SIZE - 1, 1 : SIZE - 1] = 0
    grid[SIZE - 4 : SIZE - 1, [6, 8]] = 1
    free = [(int(row), int(column)) for row, column in zip(*np.nonzero(grid == 0), strict=True) if (row, column) != START]
    random = np.random.RandomState(seed)
    chosen = random.choice(len(free), size=random.randint(1, MOST_GOALS + 1), replace=False)
    grid.flags.writeable = False
    return grid, tuple(free[number] for number in chosen)


def tables(seeds: NDArray[np.int64]) -> Tables:
    """The mazes of `seeds` [K]; states of goals that a maze does not have are never reached."""
    cells = SIZE * SIZE
    following = np.zeros((len(seeds), MOST_GOALS, cells, ACTIONS), np.int32)
    reward, ends = np.zeros(following.shape, np.float32), np.zeros(following.shape, np.bool_)
    codes = np.zeros((len(seeds), cells, 6), np.uint8)
    for number, seed in enumerate(seeds.tolist()):
        walls, goals = maze(seed)
        target, codes[number] = _moves(walls), _codes(walls)
        for reached, (row, column) in enumerate(goals):
            arrives = target == row * SIZE + column
            last = reached == len(goals) - 1
            reward[number, reached], ends[number, reached] = arrives, arrives & last
            following[number, reached] = target + cells * (reached + (arrives & (not last)))
    flat = (len(seeds), MOST_GOALS * cells)
    return Tables(
        following.reshape(*flat, ACTIONS),
        reward.reshape(*flat, ACTIONS),
        ends.reshape(*flat, ACTIONS),
        np.tile(codes, (1, MOST_GOALS, 1)),
        np.full(len(seeds), START[0] * SIZE + START[1], np.int32),
    )


def _moves(walls: NDArray[np.int8]) -> NDArray[np.int64]:
    """Next cell [cells, actions]; a wall stops."""
    row, column = np.divmod(np.arange(SIZE * SIZE), SIZE)
    following = []
    for down, right in MOVES:
        to = np.clip(row + down, 0, SIZE - 1), np.clip(column + right, 0, SIZE - 1)
        following.append(np.where(walls[to] == 0, to[0] * SIZE + to[1], row * SIZE + column))
    return np.stack(following, axis=1)


def _codes(walls: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Row, column and free cells to the west, north, east and south [cells, 6]."""
    free, target = np.zeros((SIZE * SIZE, 4), np.uint8), _moves(walls)
    for direction in range(4):
        at = np.arange(SIZE * SIZE)
        for _ in range(SIZE):
            moved = target[at, direction]
            free[:, direction] += moved != at
            at = moved
    row, column = np.divmod(np.arange(SIZE * SIZE, dtype=np.uint8), SIZE)
    return np.concatenate([np.stack([row, column], axis=1), free], axis=1)


def vector_env(num_envs: int = 100, seeds: ArrayLike | None = None, horizon: int = 400) -> MazeRunnerVectorEnv:
    """`num_envs` mazes for `gymnasium.make_vec`; default seeds: 0, 1, ..."""
    chosen = np.arange(num_envs) if seeds is None else np.asarray(seeds)
    if len(chosen) != num_envs:
        raise ValueError(f"seeds are {len(chosen)}, allowed is one for each of the {num_envs} environments")
    return MazeRunnerVectorEnv(chosen, horizon)


if __name__ == "__main__":
    print(
        f"{measure(vector_env(num_envs=4096, seeds=np.arange(4096) % 119)):.3g} environment steps/s, batch of 4096, one process"
    )
