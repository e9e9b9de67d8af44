"""Environments that a user has registered with Gymnasium, as a suite (`radt.suites.base.Suite`)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from radt.data.trajectories import Task
from radt.suites.gymnasium.settings import GymnasiumExperiment
from radt.suites.gymnasium.spec import make, spec_of


class GymnasiumSuite:
    """Tasks of one environment, whose number is an argument of it."""

    def __init__(self, experiment: GymnasiumExperiment):
        self.experiment, self.spec = experiment, spec_of(experiment)

    def tasks(self) -> list[Task]:
        """See `Described`; no returns are known."""
        return [
            Task(number, split, {self.experiment.argument: number}, {}) for number, split in enumerate(self.experiment.splits)
        ]

    def make(self, tasks: NDArray[np.int64]) -> SyncVectorEnv:
        """See `Suite`."""
        made = [partial(make, self.experiment, task) for task in tasks.tolist()]
        return SyncVectorEnv(made, autoreset_mode=AutoresetMode.SAME_STEP)

    def seen(self, env: SyncVectorEnv, observations: NDArray[Any]) -> NDArray[Any]:
        """See `Suite`."""
        rows = observations.reshape(env.num_envs, *self.spec.observation.shape)
        return rows.astype(self.spec.dtypes["observations"], copy=False)

    def done(self, codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """See `Suite`."""
        values = self.spec.values(codes)
        return values if self.spec.continuous or len(self.spec.actions) > 1 else values[:, 0]


suite_of = GymnasiumSuite
