"""Dark-Room: an empty room whose rewarded cell must be found blindly (paper, Section 4; MiniHack Room-Dark-Dense there).

Every episode starts in the north-west corner and lasts exactly `horizon` steps. The agent sees only its position (y, x). A step
that ends on the goal pays 1, except the last step of an episode, which never pays: the published engine is cut off before it
counts it. All tasks move in lockstep, as table look-ups in NumPy. `python -m radt.tasks.darkroom` measures the speed.
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from radt.tasks.splits import permuted_cells

Observation = NDArray[np.uint8]
NORTH, EAST, SOUTH, WEST, STAY = range(5)
MOVES = {NORTH: (-1, 0), EAST: (0, 1), SOUTH: (1, 0), WEST: (0, -1), STAY: (0, 0)}  # (dy, dx)


class DarkRoomVectorEnv(gymnasium.vector.VectorEnv[Observation, NDArray[np.int64], NDArray[Any]]):
    """Many tasks of one room at once, deterministic: the same actions give the same bytes, batched or alone.

    Observations are uint8 [n, 2] = (y, x), rewards float32 [n], actions integers [n]: 0 north, 1 east, 2 south, 3 west, 4 stay; a
    step into a wall stays. All episodes end together, always by truncation; that step returns the first observation of the next
    episode and `infos["final_obs"]` holds the last one of the old episode (Gymnasium's same-step autoreset).
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012 - Gymnasium's declaration

    def __init__(self, width: int, height: int, horizon: int, goals: ArrayLike):
        """`goals` are integers [n, 2] as (x, y), one task each; raises `ValueError` when one is outside the room."""
        goals = _checked_goals(width, height, horizon, goals)
        self.num_envs = len(goals)
        self.horizon = horizon
        self.single_observation_space = spaces.Box(0, np.array([height - 1, width - 1], np.uint8), (2,), np.uint8)
        self.single_action_space = spaces.Discrete(len(MOVES))
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._positions = np.indices((height, width), np.uint8).reshape(2, -1).T.copy()
        self._next = _transitions(width, height)
        self._goal_cells = goals[:, 1] * width + goals[:, 0]
        self._cells: NDArray[np.int64] | None = None
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Start a new episode of every task; nothing is random, so `seed` changes nothing, and there are no `options`."""
        super().reset(seed=seed, options=options)
        self._cells = np.zeros(self.num_envs, np.int64)
        self._steps = 0
        return self._positions.take(self._cells, axis=0), {}

    def step(
        self, actions: ArrayLike
    ) -> tuple[Observation, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Move every task by one of its `actions` [n]; raises `ValueError` for a wrong shape, type or value."""
        if self._cells is None:
            raise ValueError("Dark-Room was not started: call reset before step")
        self._cells = self._next.take(self._cells * len(MOVES) + self._checked_actions(actions))
        self._steps += 1
        observations = self._positions.take(self._cells, axis=0)
        ended = self._steps == self.horizon
        never, truncated = np.zeros(self.num_envs, np.bool_), np.full(self.num_envs, ended)
        if not ended:
            return observations, (self._cells == self._goal_cells).astype(np.float32), never, truncated, {}
        first, infos = self.reset()
        infos |= {"final_obs": observations, "_final_obs": truncated.copy()}
        return first, np.zeros(self.num_envs, np.float32), never, truncated, infos

    def _checked_actions(self, actions: ArrayLike) -> NDArray[np.integer[Any]]:
        """`actions` as an integer array, or `ValueError`."""
        array = np.asarray(actions)
        if array.shape != (self.num_envs,) or array.dtype.kind not in "iu":
            raise ValueError(f"actions are {array.dtype} {list(array.shape)}, allowed are integers [{self.num_envs}]")
        if array.min() < 0 or array.max() >= len(MOVES):
            raise ValueError(f"actions range from {array.min()} to {array.max()}, allowed is 0 to {len(MOVES) - 1}")
        return array


class DarkRoomEnv(gymnasium.Env[Observation, int]):
    """One task of Dark-Room as a plain Gymnasium environment, with the semantics of `DarkRoomVectorEnv`."""

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's declaration

    def __init__(self, width: int = 10, height: int = 10, horizon: int = 100, goal: tuple[int, int] = (9, 9)):
        """`goal` is (x, y); raises `ValueError` when it is outside the room."""
        self._batch = DarkRoomVectorEnv(width, height, horizon, [goal])
        self.observation_space = self._batch.single_observation_space
        self.action_space = self._batch.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Start a new episode."""
        super().reset(seed=seed, options=options)
        return self._batch.reset()[0][0], {}

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move; the observation of the last step is that of the ended episode."""
        observations, rewards, _, truncated, infos = self._batch.step(np.array([action]))
        return infos.get("final_obs", observations)[0], float(rewards[0]), False, bool(truncated[0]), {}


def benchmark(
    num_envs: int = 100, width: int = 10, height: int = 10, horizon: int = 100, goals: ArrayLike | None = None
) -> DarkRoomVectorEnv:
    """`num_envs` tasks for `gymnasium.make_vec`; without `goals` the first of the published list, repeated as often as needed."""
    chosen = np.resize(permuted_cells(width, height), (num_envs, 2)) if goals is None else np.asarray(goals)
    if len(chosen) != num_envs:
        raise ValueError(f"goals are {len(chosen)}, allowed is one for each of the {num_envs} environments")
    return DarkRoomVectorEnv(width, height, horizon, chosen)


def _checked_goals(width: int, height: int, horizon: int, goals: ArrayLike) -> NDArray[np.int64]:
    """`goals` as an integer array [n, 2], or `ValueError`."""
    array = np.asarray(goals)
    if not (1 <= width <= 256 and 1 <= height <= 256 and horizon >= 1):
        raise ValueError(f"room is {width}x{height} with horizon {horizon}, allowed are 1 to 256 cells a side, horizon 1 or more")
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0 or array.dtype.kind not in "iu":
        raise ValueError(f"goals are {array.dtype} {list(array.shape)}, allowed are integers [n, 2] with n >= 1")
    if outside := [goal.tolist() for goal in array if not (0 <= goal[0] < width and 0 <= goal[1] < height)]:
        raise ValueError(f"goal {outside[0]} (x, y) is outside the {width}x{height} room")
    return array.astype(np.int64)


def _transitions(width: int, height: int) -> NDArray[np.int64]:
    """Next cell of (cell, action) at `cell * 5 + action`; cells count row by row."""
    y, x = np.divmod(np.arange(width * height), width)
    following = [np.clip(y + dy, 0, height - 1) * width + np.clip(x + dx, 0, width - 1) for dy, dx in MOVES.values()]
    return np.stack(following, axis=1).reshape(-1)


def measure(batch: int = 4096, steps: int = 2000) -> float:
    """Environment steps per second of one process, given random actions drawn beforehand."""
    env = benchmark(num_envs=batch)
    actions = np.random.default_rng(0).integers(0, len(MOVES), (steps, batch))
    env.reset()
    start = time.perf_counter()
    for row in actions:
        env.step(row)
    return batch * steps / (time.perf_counter() - start)


if __name__ == "__main__":
    print(f"{measure():.3g} environment steps/s, batch of 4096, one process")
