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
        """Raises `RadtError` for a task that is not searched."""
        if robot.name not in SEARCHED:
            raise RadtError(f"trajectories.source is 'search', which {robot.name} does not have: set it to sac or ppo")
        self.robot, self.hand = robot, robot.name == "reach"
        self.goal = robot.goal
        space = robot.env._random_reset_space
        self.low, self.high = space.low[-3:], space.high[-3:]

    def places(self, count: int, random: np.random.Generator) -> Array:
        """As the package draws goals."""
        drawn: Array = random.uniform(self.low, self.high, (count, 3))
        return drawn

    def reset(self) -> Any:
        """See `Body`."""
        return self.robot.reset()[0]

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
