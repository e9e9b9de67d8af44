"""The engine of all grid worlds: batches of deterministic tasks, as table look-ups in NumPy.

A task is a finite decision process: in state s, action a leads to `following[s, a]` and pays `reward[s, a]`; the agent sees
`codes[s]`. The state is the true state (with a held key, reached goals), which the agent does not fully see.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
ACTIONS = 5


@dataclass(frozen=True)
class Tables:
    """K distinct tasks of S states each, A actions; episodes start in state `start`."""

    following: NDArray[np.int32]
    """[K, S, A] state after the action."""
    reward: NDArray[np.float32]
    """[K, S, A] reward of the action."""
    ends: NDArray[np.bool_]
    """[K, S, A] whether the action ends the episode."""
    codes: NDArray[np.uint8]
    """[K, S, D] observation of a state, as small whole numbers."""
    start: NDArray[np.int32]
    """[K] first state of an episode."""


class GridVectorEnv(gymnasium.vector.VectorEnv[Array, NDArray[np.int64], Array]):
    """A batch of tasks of one grid world. It is deterministic: the same actions give the same bytes, in a batch or alone.

    An episode ends with an action that `ends` it (terminated) or after `horizon` steps (truncated), independently for each task.
    That step returns the first observation of the next episode; `infos["final_obs"]` holds the last one of the old episode
    (Gymnasium's same-step autoreset). `state` [n] and `codes` [n, D] are the present state and its observation.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012 - Gymnasium's declaration
    single_observation_space: spaces.Box
    last_step_pays = True

    def __init__(self, tables: Tables, tasks: ArrayLike, horizon: int, space: spaces.Box):
        """`tasks` [n] are rows of `tables`, one for each environment; rows may repeat."""
        rows = np.asarray(tasks, dtype=np.int64)
        if horizon < 1:
            raise ValueError(f"horizon is {horizon}, allowed is 1 or more")
        self.num_envs, self.horizon = len(rows), horizon
        self.states, self.tables, self.rows = tables.following.shape[1], tables, rows
        self.single_observation_space = space
        self.single_action_space = spaces.Discrete(ACTIONS)
        self.observation_space = batch_space(space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._following = _flat(tables).reshape(-1)
        self._reward, self._ends = tables.reward.reshape(-1), tables.ends.reshape(-1)
        self._any_ends = bool(tables.ends.any())
        self._codes = tables.codes.reshape(-1, tables.codes.shape[-1])
        self._offset = rows * self.states
        self._start = tables.start[rows] + self._offset
        self._rows: NDArray[np.int64] | None = None
        self._steps = np.zeros(self.num_envs, np.int64)

    @property
    def state(self) -> NDArray[np.int64]:
        """True state [n] of every task."""
        state: NDArray[np.int64] = self._started() - self._offset
        return state

    @property
    def codes(self) -> NDArray[np.uint8]:
        """Observation [n, D] of every task, as whole numbers."""
        return self._codes.take(self._started(), axis=0)

    def observe(self, codes: NDArray[np.uint8]) -> Array:
        """Observations from `codes` [n, D]: the same numbers, unless a world overrides this."""
        return codes

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start a new episode of every task; `seed` is ignored, because nothing is random.

        `options` may hold Gymnasium's `reset_mask`, a bool array [n] of the tasks to reset, at least one; the others continue.
        Raises `ValueError` for another mask or other options.
        """
        super().reset(seed=seed, options=options)
        mask = self._checked_mask(options or {})
        before = self._rows
        self._rows = np.where(mask, self._first(before), self._started() if not mask.all() else 0)
        self._steps[mask] = 0
        return self.observe(self.codes), {}

    def step(self, actions: ArrayLike) -> tuple[Array, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Move every task by one of its `actions` [n]; raises `ValueError` for a wrong shape, type or value."""
        before = self._started()
        taken = before * ACTIONS + self._checked_actions(actions)
        self._rows = rows = self._following.take(taken)
        self._steps += 1
        reward, truncated = self._reward.take(taken), self._steps == self.horizon
        terminated = self._ends.take(taken) if self._any_ends else np.zeros(self.num_envs, np.bool_)
        truncated &= ~terminated
        if not self.last_step_pays:
            reward[truncated] = 0.0
        ended = terminated | truncated
        if not ended.any():
            return self.observe(self.codes), reward, terminated, truncated, {}
        infos = {"final_obs": self.observe(self.codes), "_final_obs": ended}
        rows[ended] = self._first(before)[ended]
        self._steps[ended] = 0
        return self.observe(self.codes), reward, terminated, truncated, infos

    def _first(self, before: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Rows [n] of the start states of new episodes; `before` are rows of the states before the last move, if any."""
        start: NDArray[np.int64] = self._start
        return start

    def _started(self) -> NDArray[np.int64]:
        """Rows [n] of the present states."""
        if self._rows is None:
            raise ValueError("the environment was not started: call reset before step")
        return self._rows

    def _checked_mask(self, options: dict[str, Any]) -> NDArray[np.bool_]:
        """Mask [n] of the tasks to reset, from `options` of `reset`; raises `ValueError`."""
        if unknown := sorted(set(options) - {"reset_mask"}):
            raise ValueError(f"options has {unknown[0]!r}, allowed is reset_mask")
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(
                f"reset_mask is {mask.dtype} {list(mask.shape)}, allowed are booleans [{self.num_envs}], one of them true"
            )
        return mask

    def _checked_actions(self, actions: ArrayLike) -> NDArray[np.int64]:
        """`actions` as an integer array [n]; raises `ValueError`."""
        array = np.asarray(actions)
        if array.shape != (self.num_envs,) or array.dtype.kind not in "iu":
            raise ValueError(f"actions are {array.dtype} {list(array.shape)}, allowed are integers [{self.num_envs}]")
        if array.min() < 0 or array.max() >= ACTIONS:
            raise ValueError(f"actions range from {array.min()} to {array.max()}, allowed is 0 to {ACTIONS - 1}")
        return array.astype(np.int64, copy=False)


class GridEnv(gymnasium.Env[Array, int]):
    """One task as a plain Gymnasium environment, with the semantics of the `GridVectorEnv` that it wraps."""

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's declaration

    def __init__(self, batch: GridVectorEnv):
        """`batch` holds one task."""
        self._batch = batch
        self.observation_space = batch.single_observation_space
        self.action_space = batch.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start a new episode; raises `ValueError` for any `options`."""
        super().reset(seed=seed, options=options)
        return self._batch.reset(options=options)[0][0], {}

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Move; the last step of an episode returns the last observation of that episode."""
        observations, rewards, terminated, truncated, infos = self._batch.step(np.array([action]))
        return infos.get("final_obs", observations)[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), {}


def best_returns(tables: Tables, horizon: int, last_step_pays: bool) -> NDArray[np.float64]:
    """Best possible return [K] of an episode, by backward induction over its steps."""
    value = np.zeros(tables.following.shape[:2])
    following, goes_on = _flat(tables), ~tables.ends
    for step in reversed(range(horizon)):
        pays = tables.reward if last_step_pays or step < horizon - 1 else tables.reward * tables.ends
        value = (pays + goes_on * value.take(following)).max(axis=2)
    best: NDArray[np.float64] = value[np.arange(len(value)), tables.start]
    return best


def best_actions(tables: Tables) -> NDArray[np.uint8]:
    """An optimal action [K, S] for every state, without time limit; ties go to the lowest action.

    Value iteration with a discount of 0.9, so that short ways are better, until no value changes by more than a relative 1e-9
    (values far from rewards are tiny). Equally short ways have exactly the same value.
    """
    value = np.zeros(tables.following.shape[:2])
    following, kept = _flat(tables), 0.9 * ~tables.ends
    while True:
        gain = tables.reward + kept * value.take(following)
        new = gain.max(axis=2)
        if (new - value <= 1e-9 * new).all():
            break
        value = new
    chosen: NDArray[np.uint8] = gain.argmax(axis=2).astype(np.uint8)
    return chosen


def _flat(tables: Tables) -> NDArray[np.int64]:
    """State after the action [K, S, A], as a row among the K x S states of all tasks."""
    count, states, _ = tables.following.shape
    rows: NDArray[np.int64] = tables.following + states * np.arange(count)[:, None, None]
    return rows


def measure(env: GridVectorEnv, steps: int = 2000) -> float:
    """Environment steps per second in one process; random actions are drawn in advance."""
    actions = np.random.default_rng(0).integers(0, ACTIONS, (steps, env.num_envs))
    env.reset()
    start = time.perf_counter()
    for row in actions:
        env.step(row)
    return env.num_envs * steps / (time.perf_counter() - start)
