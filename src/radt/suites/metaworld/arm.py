"""Meta-World's arm for a learner that searches: what is to be brought to a goal is the hand, or an object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.errors import RadtError
from radt.suites.metaworld.environment import Robot

Array = NDArray[np.float64]
OBJECT = slice(4, 7)
"""Numbers of the object's place in an observation."""
SEARCHED = ("reach", "push")
"""Tasks whose success depends on how near the hand, or the object, is to the goal, and on nothing else."""


class Arm:
    """See `radt.suites.searching.Body`."""

    reach = 0.05
    """Success is nearer than this, in m, in all tasks of `SEARCHED`."""

    def __init__(self, robot: Robot):
        self.robot, self.hand = robot, robot.name == "reach"

    @property
    def goal(self) -> Array:
        """See `Body`."""
        return self.robot.goal

    def places(self, count: int, random: np.random.Generator) -> Array:
        """See `Body`."""
        if self.robot.name not in SEARCHED:
            allowed = "set it to expert, sac or ppo"
            raise RadtError(f"trajectories.source is 'search', which {self.robot.name} does not have: {allowed}")
        space = self.robot.env._random_reset_space
        drawn: Array = random.uniform(space.low[-3:], space.high[-3:], (count, 3))
        return drawn

    def reset(self, seed: int | None) -> Any:
        """See `Body`."""
        return self.robot.reset(seed=seed)[0]

    def step(self, action: Array) -> tuple[Any, float, bool]:
        """See `Body`."""
        seen, reward, _, _, told = self.robot.step(action)
        return seen, reward, bool(told["success"])

    def place(self) -> Array:
        """Between the fingers, or of the object."""
        place: Array = np.array(self.robot.env.tcp_center if self.hand else self.robot.last[OBJECT])
        return place

    def towards(self, goal: Array) -> Array:
        """What the package's expert does. It brings the hand's own place to the goal of `reach`, which misses a third of them."""
        return self.robot.towards(goal + self.robot.last[:3] - self.place() if self.hand else goal)
