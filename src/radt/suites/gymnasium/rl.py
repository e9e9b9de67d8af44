"""A training task of an environment for a learner of Stable-Baselines3, which also sees what is hidden from agents."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.settings.sources import Trajectories as Settings
from radt.spaces import LEAST_SIDE, Codes, Image, Spec
from radt.suites import learners
from radt.suites.gymnasium.environment import Engine, Env, View, sentences, view_of
from radt.suites.gymnasium.settings import GymnasiumExperiment
from radt.suites.gymnasium.suite import suite_of

TOGETHER = 1000
"""Steps that the final policy labels at once."""


class Recorder(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that records its first `steps` transitions.

    An environment whose task ignores the last dimensions of an action names the space of the others, `own_space`. The learner
    acts in it. Its action is recorded again and again in the ignored dimensions. (Zeros there would be right, too. But a loss is
    the mean over all dimensions, so that a task with one dimension would weigh a sixth of a task with six.)
    """

    def __init__(self, env: Env, view: View, spec: Spec, steps: int):
        whole = isinstance(spec.observation, Codes) or (
            isinstance(spec.observation, Image) and min(spec.observation.shape[:2]) >= LEAST_SIDE
        )
        super().__init__(env if whole else gymnasium.wrappers.FlattenObservation(env))
        if env.has_wrapper_attr("own_space"):
            self.action_space = env.get_wrapper_attr("own_space")
        self.view, self.form, self._raw, self._whole = view, spec, env, whole
        self.full_observations: list[Any] = []
        self.observations = np.zeros((steps, *spec.observation.shape), spec.dtypes["observations"])
        self.actions = np.zeros((steps, len(spec.actions)), spec.dtypes["actions"])
        self.rewards = np.zeros(steps, np.float32)
        self.ends: list[int] = []
        self.terminated: list[bool] = []
        self.recorded = 0

    @property
    def full(self) -> bool:
        """Whether `steps` transitions are recorded."""
        return self.recorded == len(self.rewards)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start a new episode."""
        with sentences(self.view.name):
            self._last, told = self.env.reset(seed=seed, options=options)
        return self._last, told

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act and record the transition; raises `RadtError` for a reward that is not finite."""
        before = deepcopy(self._last)  # an environment may change it in place
        with sentences(self.view.name):
            self._last, reward, terminated, truncated, told = self.env.step(action)
            paid = float(reward)
        if not np.isfinite(paid):
            raise RadtError(f"the environment {self.view.name!r} pays a reward that is not finite: mend it")
        if not self.full:
            row = self.recorded
            self.full_observations.append(before)
            self.observations[row] = self._visible(before)
            self.actions[row] = self._whole_action(action)
            self.rewards[row] = reward
            self.recorded += 1
            if terminated or truncated:
                self.ends.append(self.recorded)
                self.terminated.append(bool(terminated))
        return self._last, reward, terminated, truncated, told

    def _visible(self, observation: Any) -> NDArray[Any]:
        """The agent's view of a learner's observation, which is flat unless it is codes or a large image."""
        return self.view(observation if self._whole else spaces.unflatten(self._raw.observation_space, observation))

    def history(self, task: int, policy: Any) -> Shard:
        """All finished episodes, labelled by the final policy; raises `RadtError` when there are none."""
        if not self.ends:
            raise RadtError(
                f"`steps` of the learner is {len(self.rewards)}, in which task {task} finishes no episode: set it to several"
                " times the horizon"
            )
        steps, count = self.ends[-1], len(self.ends)
        seen = self.full_observations[:steps]
        parts = [np.stack(seen[begin : begin + TOGETHER]) for begin in range(0, steps, TOGETHER)]
        expert = np.concatenate([policy.predict(part, deterministic=True)[0] for part in parts])
        labels = np.stack([self._whole_action(action) for action in expert])
        return Shard(
            self.observations[:steps],
            self.actions[:steps],
            self.rewards[:steps],
            np.array([0, *self.ends], np.int64),
            np.full(count, task, np.int32),
            np.zeros(count, np.int32),
            np.array(self.terminated, np.uint8),
            labels.astype(self.form.dtypes["actions"]),
        )

    def _whole_action(self, action: Any) -> NDArray[Any]:
        """An action with all dimensions, of one of the learner's."""
        return np.resize(action, self.actions.shape[1])


def learn_task(experiment: GymnasiumExperiment, settings: Settings, task: int) -> Shard:
    """See `radt.suites.sources.learn`."""
    return learned(suite_of(experiment), settings, task)


def learned(suite: Engine, settings: Settings, task: int) -> Shard:
    """The history of one task; labels are actions of the final policy."""
    env = suite.environment(task)
    recorder = Recorder(env, view_of(suite.experiment, env.observation_space), suite.spec, learners.of(settings).steps)
    return recorder.history(task, learners.fit(settings, recorder, task, lambda: recorder.full))
