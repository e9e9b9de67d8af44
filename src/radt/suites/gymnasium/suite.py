"""Environments that a user has registered with Gymnasium, as a suite (`radt.suites.base.Suite`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property, partial
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from radt.data.features import FrameEncoder
from radt.data.trajectories import Task
from radt.errors import RadtError
from radt.spaces import Spec
from radt.suites.gymnasium.environment import Env, Together, View, make, sentences, view_of
from radt.suites.gymnasium.settings import GymnasiumExperiment
from radt.suites.gymnasium.spec import spec_from, spec_of


class EnvironmentSuite(ABC):
    """A suite with one environment of Gymnasium for each task."""

    def __init__(self, experiment: Any, spec: Spec):
        """`experiment` has the attributes that `radt.suites.gymnasium.environment.view_of` reads."""
        self.experiment, self.spec = experiment, spec
        self.encoder: FrameEncoder | None = None
        """The encoder of images, for experiments that have one (`radt.suites.seeing_suite_of`)."""

    @abstractmethod
    def environment(self, task: int) -> Env:
        """The environment of one task."""

    def make(self, tasks: NDArray[np.int64]) -> Together:
        """See `Suite`."""
        made = [partial(self.environment, task) for task in tasks.tolist()]
        with sentences(self.experiment.environment):
            env = SyncVectorEnv(made, autoreset_mode=AutoresetMode.SAME_STEP, observation_mode="different")
        return Together(env, self.experiment.environment)

    @cached_property
    def view(self) -> View:
        """The agent's view of observations, the same for all tasks."""
        env = self.environment(0)
        try:
            return view_of(self.experiment, env.observation_space)
        finally:
            env.close()  # type: ignore[no-untyped-call]

    def seen(self, observations: Any) -> NDArray[Any]:
        """See `Suite`; raises `RadtError` where the encoder of images is missing."""
        shown = self.view.together(observations)
        if not self.experiment.encoded:
            return shown
        if self.encoder is None:
            raise RadtError("images are to be encoded, but the encoder is missing: name the folder of the features stage")
        return self.encoder(shown)

    def done(self, codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """See `Suite`."""
        values = self.spec.values(codes)
        return values if self.spec.continuous or len(self.spec.actions) > 1 else values[:, 0]


class GymnasiumSuite(EnvironmentSuite):
    """Tasks of one environment, which differ in its arguments or attributes."""

    def __init__(self, experiment: GymnasiumExperiment):
        super().__init__(experiment, spec_of(experiment))

    def tasks(self) -> list[Task]:
        """See `Described`; no returns are known."""
        told = [{**own["arguments"], **own["attributes"]} for own in self.experiment.parameters]
        return [Task(number, split, {**told[number]}, {}) for number, split in enumerate(self.experiment.splits)]

    def environment(self, task: int) -> Env:
        """The environment of one task; raises `RadtError` when its spaces differ from those of the first task."""
        env = make(self.experiment, task)
        if spec_from(self.experiment, env) != self.spec:
            raise RadtError(f"{self.experiment.environment} has other spaces in task {task} than in task 0: all must be the same")
        return env


suite_of = GymnasiumSuite
