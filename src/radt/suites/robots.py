"""What the suites of robots share: environments of Gymnasium, made from the names of an experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from radt.data.trajectories import Shard, Task
from radt.settings.robots import RobotExperiment
from radt.settings.sources import Expert, Search
from radt.settings.sources import Trajectories as Settings
from radt.spaces import Spec
from radt.suites import searching
from radt.suites.gymnasium import rl
from radt.suites.gymnasium.environment import Env, sentences, view_of
from radt.suites.gymnasium.spec import spec_from
from radt.suites.gymnasium.suite import EnvironmentSuite

Make = Callable[[Any, int], Env]
"""Makes the environment of a task of an experiment."""


def spec_of(experiment: RobotExperiment, make: Make) -> Spec:
    """What is seen and done: that of the first task, which all share."""
    with sentences(experiment.names[0]):
        env = make(experiment, 0)
    try:
        return spec_from(experiment, env)
    finally:
        env.close()  # type: ignore[no-untyped-call]


class RobotSuite(EnvironmentSuite):
    """Tasks of a package of robots."""

    def __init__(self, experiment: RobotExperiment, make: Make):
        super().__init__(experiment, spec_of(experiment, make))
        self._make = make

    def environment(self, task: int) -> Env:
        """The environment of one task; raises `RadtError` when the package cannot make it."""
        with sentences(self.experiment.name_of(task)):
            return self._make(self.experiment, task)

    def tasks(self) -> list[Task]:
        """See `Described`; no returns are known."""
        own = self.experiment
        return [
            Task(number, split, {"name": own.name_of(number), "goal_seed": own.goal_seed(number)}, {})
            for number, split in enumerate(own.splits)
        ]


def learn_task(suite: RobotSuite, settings: Settings, task: int, body: Callable[[Any], searching.Body]) -> Shard:
    """See `radt.suites.sources.learn`: by Stable-Baselines3, by a search or by an expert, with the `body` of the environment."""
    own, experiment = settings.learner, suite.experiment
    if not isinstance(own, Search | Expert):
        return rl.learned(suite, settings, task)
    env = suite.environment(task)
    view, robot = view_of(experiment, env.observation_space), body(env)
    with sentences(experiment.name_of(task)):
        if isinstance(own, Search):
            return searching.search(robot, view, own, task, experiment.horizon)
        return searching.imitate(robot, view, own, task, experiment.horizon)
