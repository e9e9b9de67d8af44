"""Dark Key-Door: an unseen key must be found before an unseen door pays (paper, Section 4; there MiniHack KeyDoor-Dark-Dense).

Room, moves, observation, start and length are those of Dark-Room; whether the key is held is not observed. The step that picks
the key up pays 1. After it, every step that ends on the door pays 1. The last step of an episode never pays. The key is back in
its place in every episode. Published engine: it is not put back; see `key_stays` and docs/differences.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radt.suites.grid.darkroom import checked_cells, moves, position_space, positions
from radt.suites.grid.engine import GridEnv, GridVectorEnv, Tables, measure
from radt.suites.grid.splits import permuted_cells, permuted_keys


class KeyDoorVectorEnv(GridVectorEnv):
    """Many pairs of key and door of one room, in a batch; observations, actions and ends as in Dark-Room.

    The state is the cell, row by row, plus the number of cells once the key is held. A key on the start cell is picked up by any
    first step. Where key and door share a cell, the step that picks the key up pays for both.
    """

    last_step_pays = False

    def __init__(self, width: int, height: int, horizon: int, keys: ArrayLike, doors: ArrayLike, key_stays: bool = False):
        """`keys` and `doors` are integers [n, 2] as (x, y); raises `ValueError` when one is outside the room or alone.

        With `key_stays` a key that was picked up is held in all later episodes, as in the published engine.
        """
        key, door = checked_cells(width, height, horizon, keys, "key"), checked_cells(width, height, horizon, doors, "door")
        if len(key) != len(door):
            raise ValueError(f"keys are {len(key)} and doors {len(door)}, allowed is one of each for every task")
        distinct, tasks = np.unique(np.concatenate([key, door], axis=1), axis=0, return_inverse=True)
        made = tables(width, height, distinct[:, :2], distinct[:, 2:])
        super().__init__(made, tasks.reshape(-1), horizon, position_space(width, height))
        self._cells, self._key_stays = width * height, key_stays

    def _first(self, before: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """See `GridVectorEnv._first`; a key found in the last step does not count, as that step does not pay."""
        start = super()._first(before)
        return start if before is None or not self._key_stays else start + self._cells * (before - self._offset >= self._cells)


class KeyDoorEnv(GridEnv):
    """One pair of key and door as a plain Gymnasium environment."""

    def __init__(
        self,
        width: int = 10,
        height: int = 10,
        horizon: int = 100,
        key: tuple[int, int] = (0, 9),
        door: tuple[int, int] = (9, 9),
        key_stays: bool = False,
    ):
        """`key` and `door` are (x, y); raises `ValueError` when one is outside the room."""
        super().__init__(KeyDoorVectorEnv(width, height, horizon, [key], [door], key_stays))


def tables(width: int, height: int, keys: NDArray[np.int64], doors: NDArray[np.int64]) -> Tables:
    """Rooms with `keys` and `doors` [K, 2], (x, y)."""
    count, cells, following = len(keys), width * height, moves(width, height)
    key, door = ((cell[:, 1] * width + cell[:, 0])[:, None, None] for cell in (keys, doors))
    found = (following == key) | (np.arange(cells)[:, None] == key)  # only a first step leaves the key's cell without the key
    on_door = following == door
    reward = np.concatenate([found * (1.0 + on_door), np.broadcast_to(on_door, found.shape)], axis=1)
    next_states = np.concatenate([following + cells * found, np.broadcast_to(following + cells, found.shape)], axis=1)
    codes = np.tile(positions(width, height), (2, 1))
    return Tables(
        next_states.astype(np.int32),
        reward.astype(np.float32),
        np.zeros(reward.shape, np.bool_),
        np.broadcast_to(codes, (count, *codes.shape)),
        np.zeros(count, np.int32),
    )


def vector_env(
    num_envs: int = 100,
    width: int = 10,
    height: int = 10,
    horizon: int = 100,
    keys: ArrayLike | None = None,
    doors: ArrayLike | None = None,
) -> KeyDoorVectorEnv:
    """`num_envs` tasks for `gymnasium.make_vec`; without `keys` and `doors` the published pairs, repeated as often as needed."""
    key, door = (
        np.resize(published(width, height), (num_envs, 2)) if cells is None else np.asarray(cells)
        for cells, published in ((keys, permuted_keys), (doors, permuted_cells))
    )
    if not len(key) == len(door) == num_envs:
        raise ValueError(f"keys are {len(key)}, doors {len(door)}, allowed is one for each of the {num_envs} environments")
    return KeyDoorVectorEnv(width, height, horizon, key, door)


if __name__ == "__main__":
    print(f"{measure(vector_env(num_envs=4096)):.3g} environment steps/s, batch of 4096, one process")
