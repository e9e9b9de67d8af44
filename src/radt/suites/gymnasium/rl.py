"""A training task of an environment for a learner of Stable-Baselines3, which sees what is hidden from agents."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.settings.sources import Trajectories as Settings
from radt.spaces import Spec
from radt.suites import learners
from radt.suites.gymnasium.environment import Env, View, make, view_of
from radt.suites.gymnasium.settings import GymnasiumExperiment
from radt.suites.gymnasium.spec import spec_from


class Recorder(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that writes down its first `steps` transitions."""

    def __init__(self, env: Env, view: View, spec: Spec, steps: int):
        flat = gymnasium.wrappers.FlattenObservation(env) if isinstance(env.observation_space, spaces.Dict) else env
        super().__init__(flat)
        self.view, self.form, self._raw = view, spec, env
        self.full_observations: list[Any] = []
        self.observations = np.zeros((steps, *spec.observation.shape), spec.dtypes["observations"])
        self.actions = np.zeros((steps, len(spec.actions)), spec.dtypes["actions"])
        self.rewards = np.zeros(steps, np.float32)
        self.ends: list[int] = []
        self.terminated: list[bool] = []
        self.recorded = 0

    @property
    def full(self) -> bool:
        """Whether all transitions that were asked for are there."""
        return self.recorded == len(self.rewards)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start a new episode."""
        self._last, told = self.env.reset(seed=seed, options=options)
        return self._last, told

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act and write the transition down; raises `RadtError` for a reward that is not finite."""
        before = self._last
        self._last, reward, terminated, truncated, told = self.env.step(action)
        if not np.isfinite(float(reward)):
            raise RadtError(f"{self.view.name} pays a reward that is not finite: mend it")
        if not self.full:
            row = self.recorded
            self.full_observations.append(before)
            self.observations[row] = self._visible(before)
            self.actions[row] = action
            self.rewards[row] = reward
            self.recorded += 1
            if terminated or truncated:
                self.ends.append(self.recorded)
                self.terminated.append(bool(terminated))
        return self._last, reward, terminated, truncated, told

    def _visible(self, observation: Any) -> NDArray[Any]:
        """What an agent sees of an observation, which is flat where the environment shows a dictionary."""
        space = self._raw.observation_space
        return self.view(spaces.unflatten(space, observation) if isinstance(space, spaces.Dict) else observation)

    def history(self, task: int, policy: Any) -> Shard:
        """All finished episodes, with what the learned policy would have done; raises `RadtError` when there are none."""
        if not self.ends:
            raise RadtError(
                f"`steps` of the learner is {len(self.rewards)}, in which task {task} finishes no episode: set it to several"
                " times the horizon"
            )
        steps, count = self.ends[-1], len(self.ends)
        expert, _ = policy.predict(np.stack(self.full_observations[:steps]), deterministic=True)
        return Shard(
            self.observations[:steps],
            self.actions[:steps],
            self.rewards[:steps],
            np.array([0, *self.ends], np.int64),
            np.full(count, task, np.int32),
            np.zeros(count, np.int32),
            np.array(self.terminated, np.uint8),
            np.asarray(expert).reshape(steps, -1).astype(self.form.dtypes["actions"]),
        )


def learn_task(experiment: GymnasiumExperiment, settings: Settings, task: int) -> Shard:
    """See `radt.suites.sources.learn`; the labels are what the policy of the end would have done."""
    env = make(experiment, task)
    view, spec = view_of(experiment, env.observation_space), spec_from(experiment, env)
    recorder = Recorder(env, view, spec, learners.of(settings).steps)
    return recorder.history(task, learners.fit(settings, recorder, task, lambda: recorder.full))
