"""Meta-World's arm for a learner that searches for the goal of the hand or of an object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.errors import RadtError
from radt.suites.metaworld.environment import Robot

Array = NDArray[np.float64]
OBJECT = slice(4, 7)
"""Indices of the object's position in an observation."""
SEARCHED = ("reach", "push")
"""Tasks whose success depends only on the distance of the hand, or the object, to the goal."""


class Arm:
    """See `radt.suites.searching.Body`."""

    reach = 0.05
    """Largest distance to the goal, in m, that is a success, in all tasks of `SEARCHED`."""

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
        """The position between the fingers, or of the object."""
        place: Array = np.array(self.robot.env.tcp_center if self.hand else self.robot.last[OBJECT])
        return place

    def towards(self, goal: Array) -> Array:
        """The action of the package's expert. For `reach` it steers the point between the fingers, which has to reach the goal.

        The expert itself steers the hand, and misses a third of the goals.
        """
        return self.robot.towards(goal + self.robot.last[:3] - self.place() if self.hand else goal)
