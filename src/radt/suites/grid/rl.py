"""A training task of a grid world for a learner of Stable-Baselines3, as published with PPO (paper, Section 4)."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.settings.sources import Trajectories as Settings
from radt.suites import learners
from radt.suites.grid import worlds
from radt.suites.grid.engine import GridVectorEnv
from radt.suites.grid.settings import GridExperiment


class Recorder(gymnasium.Env[NDArray[np.float32], np.int64]):
    """One task as an environment that records its first `steps` transitions.

    Observations are those of the world, float32 [D], as published. The time limit is reported as in the published engines: in a
    room as `terminated`, in a maze as `truncated`.
    """

    def __init__(self, batch: GridVectorEnv, steps: int):
        """`batch` holds one task."""
        space = batch.single_observation_space
        self._batch = batch
        self.observation_space = spaces.Box(space.low.astype(np.float32), space.high.astype(np.float32))
        self.action_space = batch.single_action_space
        self.observations = np.zeros((steps, batch.tables.codes.shape[-1]), np.uint8)
        self.actions, self.rewards = np.zeros(steps, np.uint8), np.zeros(steps, np.float32)
        self.ends: list[int] = []
        self.recorded = 0

    @property
    def full(self) -> bool:
        """Whether `steps` transitions are recorded."""
        return self.recorded == len(self.actions)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a new episode."""
        super().reset(seed=seed, options=options)
        return self._batch.reset()[0][0].astype(np.float32), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Move and record the transition; the last step of an episode returns the last observation of that episode."""
        before = self._batch.codes[0]
        observations, rewards, terminated, truncated, infos = self._batch.step(np.array([action], np.int64))
        ended = bool(terminated[0] | truncated[0])
        if not self.full:
            row = self.recorded
            self.observations[row], self.actions[row], self.rewards[row] = before, action, rewards[0]
            self.recorded += 1
            self.ends += [self.recorded] * ended
        limit = bool(truncated[0]) and self._batch.last_step_pays
        seen = infos.get("final_obs", observations)[0].astype(np.float32)
        return seen, float(rewards[0]), ended and not limit, limit, {}

    def history(self, task: int) -> Shard:
        """All finished episodes; raises `RadtError` when there are none."""
        if not self.ends:
            raise RadtError(
                f"`steps` of the learner is {len(self.actions)}, in which task {task} finishes no episode: allowed are at least"
                f" the {self._batch.horizon} steps of one"
            )
        steps = self.ends[-1]
        return Shard(
            self.observations[:steps],
            self.actions[:steps, None],
            self.rewards[:steps],
            np.array([0, *self.ends], np.int64),
            np.full(len(self.ends), task, np.int32),
            np.zeros(len(self.ends), np.int32),
        )


def learn_task(experiment: GridExperiment, settings: Settings, task: int) -> Shard:
    """See `radt.suites.sources.learn`; no labels, since DPT knows the tables."""
    learner = learners.of(settings)
    recorder = Recorder(worlds.make(experiment, np.array([task])), learner.steps)
    learners.fit(settings, recorder, task, lambda: recorder.full)
    return recorder.history(task)
