"""Levels of Procgen as environments of Gymnasium: a single level, and a vector of many."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from radt.suites.procgen.engine import CHOICES, SIZE, Level

Frame = NDArray[np.uint8]
FRAME = spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)


class LevelsVectorEnv(gymnasium.vector.VectorEnv[Frame, NDArray[np.int64], Any]):
    """Many levels, of one game or of several. Nothing is random: the same actions give the same frames and rewards.

    Observations are uint8 [n, 64, 64, 3], rewards float32 [n], actions integers [n] from 0 to 14. Each level has episodes of its
    own. One ends when the game ends it (terminated) or after `horizon` steps (truncated). The next one begins in the same step
    (Gymnasium's same-step autoreset). `infos["final_obs"]` holds the last frame. The engine never shows the last frame of an
    episode that the game has ended; the frame before takes its place. `infos["success"]` says whether the level was completed;
    where an episode has ended, `infos["final_info"]["success"]` does.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012 - Gymnasium's declaration

    def __init__(self, levels: list[Level], horizon: int):
        self.levels, self.horizon, self.num_envs = levels, horizon, len(levels)
        self.single_observation_space, self.single_action_space = FRAME, spaces.Discrete(CHOICES)
        self.observation_space = batch_space(FRAME, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._steps: NDArray[np.int64] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Start a new episode of every level. `seed` has no effect; any option raises `ValueError`."""
        super().reset(seed=seed, options=options)
        if options:
            raise ValueError(f"options are {options}, allowed are none")
        for level in self.levels:
            level.reset()
        self._steps = np.zeros(self.num_envs, np.int64)
        return self._frames(), {}

    def step(self, actions: ArrayLike) -> tuple[Frame, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Take one of the `actions` [n] in each level; raises `ValueError` for another shape, or an action outside 0 to 14."""
        chosen = np.asarray(actions)
        if self._steps is None:
            raise ValueError("the environment was not started: call reset before step")
        if chosen.shape != (self.num_envs,) or chosen.dtype.kind not in "iu" or not ((chosen >= 0) & (chosen < CHOICES)).all():
            given = f"{chosen.dtype} {chosen.shape}"
            raise ValueError(f"actions are {given}, allowed are {self.num_envs} integers from 0 to {CHOICES - 1}")
        before = self._frames()
        self._steps += 1
        told = [level.step(action) for level, action in zip(self.levels, chosen.tolist(), strict=True)]
        rewards, terminated, success = (np.array(column) for column in zip(*told, strict=True))
        truncated = (self._steps == self.horizon) & ~terminated
        final = np.where(terminated[:, None, None, None], before, self._frames())
        ended = terminated | truncated
        for number in np.flatnonzero(ended):
            self.levels[number].reset()  # also after the engine's own restart, so that all episodes begin alike
        self._steps[ended] = 0
        every = np.ones(self.num_envs, np.bool_)
        infos: dict[str, Any] = {"success": success & ~ended, "_success": every & ~ended}
        if ended.any():
            infos |= {"final_obs": final, "_final_obs": ended, "_final_info": ended}
            infos["final_info"] = {"success": success & ended, "_success": ended}
        return self._frames(), rewards.astype(np.float32), terminated, truncated, infos

    def _frames(self) -> Frame:
        """The present frames [n, 64, 64, 3]."""
        return np.stack([level.frame for level in self.levels])

    def close_extras(self) -> None:  # type: ignore[override]
        """Free the memory of the engine."""
        for level in self.levels:
            level.close()


class LevelEnv(gymnasium.Env[Frame, Any]):
    """One level."""

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's declaration

    def __init__(self, level: Level, horizon: int):
        self._levels = LevelsVectorEnv([level], horizon)
        self.observation_space, self.action_space = FRAME, spaces.Discrete(CHOICES)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Start a new episode."""
        super().reset(seed=seed, options=options)
        return self._levels.reset(options=options)[0][0], {}

    def step(self, action: Any) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Act. Where the game ends the episode, the observation is the frame before the end, the last one shown."""
        seen, rewards, terminated, truncated, told = self._levels.step(np.array([action]))
        ended = bool(terminated[0] or truncated[0])
        success = (told["final_info"] if ended else told)["success"]
        shown = told["final_obs"] if ended else seen
        return shown[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), {"success": bool(success[0])}

    def close(self) -> None:
        """Free the memory of the engine."""
        self._levels.close()
