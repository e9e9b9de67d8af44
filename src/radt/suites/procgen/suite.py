"""Levels of Procgen as a suite (`radt.suites.base.Suite`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Task
from radt.seeding import generator
from radt.suites.gymnasium.suite import EnvironmentSuite
from radt.suites.procgen import planner
from radt.suites.procgen.engine import Level
from radt.suites.procgen.environment import LevelEnv, LevelsVectorEnv
from radt.suites.procgen.settings import ProcgenExperiment
from radt.suites.procgen.spec import spec_of


class ProcgenSuite(EnvironmentSuite):
    """Levels of one game or several."""

    def __init__(self, experiment: ProcgenExperiment):
        super().__init__(experiment, spec_of(experiment))

    def tasks(self) -> list[Task]:
        """See `Described`; no returns are known."""
        chosen = [self.experiment.level_of(task) for task in range(self.experiment.num_tasks)]
        parts = zip(self.experiment.splits, chosen, strict=True)
        return [Task(number, split, {"game": game, "level": level}, {}) for number, (split, (game, level)) in enumerate(parts)]

    def environment(self, task: int) -> LevelEnv:
        """See `Suite`."""
        return LevelEnv(self._level(task), self.experiment.horizon)

    def make(self, tasks: NDArray[np.int64]) -> Any:
        """See `Suite`."""
        return LevelsVectorEnv([self._level(task) for task in tasks.tolist()], self.experiment.horizon)

    def expert(self, env: LevelsVectorEnv, seed: int) -> Callable[[], NDArray[np.uint8]]:
        """See `WithExpert`: the shortest path in a maze, a planner in other games."""
        experts = [planner.expert_of(level, generator(seed, "expert", number)) for number, level in enumerate(env.levels)]
        return lambda: np.array([[act()] for act in experts], np.uint8)

    def picture(self, env: LevelsVectorEnv, seen: NDArray[Any]) -> NDArray[np.uint8]:
        """See `WithPictures`: the frame."""
        frame: NDArray[np.uint8] = env.levels[0].frame.copy()
        return frame

    def _level(self, task: int) -> Level:
        """The engine of a task."""
        game, level = self.experiment.level_of(task)
        return Level(game, level, self.experiment.mode)


suite_of = ProcgenSuite
