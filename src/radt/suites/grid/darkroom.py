"""Dark-Room: an empty room with an unseen rewarded cell (paper, Section 4; there called MiniHack Room-Dark-Dense).

Every episode starts in the north-west corner and lasts exactly `horizon` steps. The agent sees only its position (y, x). A step
that ends on the goal pays 1, except the last step of an episode, which never pays, as in the published engine.
`python -m radt.suites.grid.darkroom` measures the speed.
"""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from radt.suites.grid.engine import ACTIONS, GridEnv, GridVectorEnv, Tables, measure
from radt.suites.grid.splits import permuted_cells

NORTH, EAST, SOUTH, WEST, STAY = range(ACTIONS)
MOVES = {NORTH: (-1, 0), EAST: (0, 1), SOUTH: (1, 0), WEST: (0, -1), STAY: (0, 0)}  # (dy, dx)


class DarkRoomVectorEnv(GridVectorEnv):
    """Many goals of one room, in a batch.

    Observations are uint8 [n, 2] = (y, x), rewards float32 [n], actions integers [n]: 0 north, 1 east, 2 south, 3 west, 4 stay. A
    step into a wall does not move. All episodes end together, always by truncation. The state is the number of the cell, row by
    row.
    """

    last_step_pays = False

    def __init__(self, width: int, height: int, horizon: int, goals: ArrayLike):
        """`goals` are integers [n, 2] as (x, y), one task each; raises `ValueError` when one is outside the room."""
        distinct, tasks = np.unique(checked_cells(width, height, horizon, goals, "goal"), axis=0, return_inverse=True)
        super().__init__(tables(width, height, distinct), tasks.reshape(-1), horizon, position_space(width, height))


class DarkRoomEnv(GridEnv):
    """One goal of Dark-Room as a plain Gymnasium environment."""

    def __init__(self, width: int = 10, height: int = 10, horizon: int = 100, goal: tuple[int, int] = (9, 9)):
        """`goal` is (x, y); raises `ValueError` when it is outside the room."""
        super().__init__(DarkRoomVectorEnv(width, height, horizon, [goal]))


def tables(width: int, height: int, goals: NDArray[np.int64]) -> Tables:
    """Tables of rooms with `goals` [K, 2], (x, y)."""
    following, count = moves(width, height), len(goals)
    reward = following == (goals[:, 1] * width + goals[:, 0])[:, None, None]
    shape = reward.shape
    return Tables(
        np.broadcast_to(following, shape).astype(np.int32),
        reward.astype(np.float32),
        np.zeros(shape, np.bool_),
        np.broadcast_to(positions(width, height), (count, width * height, 2)),
        np.zeros(count, np.int32),
    )


def vector_env(
    num_envs: int = 100, width: int = 10, height: int = 10, horizon: int = 100, goals: ArrayLike | None = None
) -> DarkRoomVectorEnv:
    """`num_envs` tasks for `gymnasium.make_vec`; without `goals` the first of the published list, repeated as often as needed."""
    chosen = np.resize(permuted_cells(width, height), (num_envs, 2)) if goals is None else np.asarray(goals)
    if len(chosen) != num_envs:
        raise ValueError(f"goals are {len(chosen)}, allowed is one for each of the {num_envs} environments")
    return DarkRoomVectorEnv(width, height, horizon, chosen)


def checked_cells(width: int, height: int, horizon: int, cells: ArrayLike, name: str) -> NDArray[np.int64]:
    """`cells`, each a `name`, as an integer array [n, 2], or `ValueError`."""
    array = np.asarray(cells)
    if not (1 <= width <= 256 and 1 <= height <= 256 and horizon >= 1):
        raise ValueError(f"room is {width}x{height} with horizon {horizon}, allowed are 1 to 256 cells a side, horizon 1 or more")
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0 or array.dtype.kind not in "iu":
        raise ValueError(f"{name}s are {array.dtype} {list(array.shape)}, allowed are integers [n, 2] with n >= 1")
    if outside := [cell.tolist() for cell in array if not (0 <= cell[0] < width and 0 <= cell[1] < height)]:
        raise ValueError(f"{name} {outside[0]} (x, y) is outside the {width}x{height} room")
    return array.astype(np.int64)


def moves(width: int, height: int) -> NDArray[np.int64]:
    """Next cell [cells, actions]; cells count row by row."""
    y, x = np.divmod(np.arange(width * height), width)
    following = [np.clip(y + dy, 0, height - 1) * width + np.clip(x + dx, 0, width - 1) for dy, dx in MOVES.values()]
    return np.stack(following, axis=1)


def positions(width: int, height: int) -> NDArray[np.uint8]:
    """Position [cells, 2] as (y, x)."""
    return np.indices((height, width), np.uint8).reshape(2, -1).T.copy()


def position_space(width: int, height: int) -> spaces.Box:
    """Space of the positions (y, x)."""
    return spaces.Box(0, np.array([height - 1, width - 1], np.uint8), (2,), np.uint8)


if __name__ == "__main__":
    print(f"{measure(vector_env(num_envs=4096)):.3g} environment steps/s, batch of 4096, one process")
