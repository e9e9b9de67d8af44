"""DMControl's reacher for a learner that searches: an arm of two links in a plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.suites.dmcontrol.environment import Robot

Array = NDArray[np.float64]
LINK = 0.12
"""Length of a link."""
FINGER = 0.01
"""Radius of the finger. The target is reached at a distance of at most its own radius plus this one."""
NEAREST, FARTHEST = 0.05, 0.2
"""Distances from the shoulder between which the package draws targets."""
STIFFNESS, DAMPING = 1.0, 0.1
"""Torque per angle error, and per velocity. With these the finger is in the target for 49 of 50 actions."""


class Reacher:
    """See `radt.suites.searching.Body`: the goal is the place of the target in the plane."""

    def __init__(self, robot: Robot):
        self.robot = robot
        self.robot.reset(seed=0)
        self.reach = float(robot.physics.named.model.geom_size["target", 0]) + FINGER

    @property
    def goal(self) -> Array:
        """The place of the target in the present episode."""
        place: Array = self.robot.physics.named.model.geom_pos["target", :2].copy()
        return place

    def places(self, count: int, random: np.random.Generator) -> Array:
        """See `Body`: angle and distance are uniform."""
        angle, distance = random.uniform(0.0, 2 * np.pi, count), random.uniform(NEAREST, FARTHEST, count)
        return np.stack([distance * np.cos(angle), distance * np.sin(angle)], 1)

    def reset(self, seed: int | None) -> Any:
        """See `Body`."""
        return self.robot.reset(seed=seed)[0]

    def step(self, action: Array) -> tuple[Any, float, bool]:
        """See `Body`."""
        seen, reward, _, _, told = self.robot.step(action)
        return seen, reward, told["paid"] > 0

    def place(self) -> Array:
        """The present position of the finger."""
        finger: Array = self.robot.physics.named.data.geom_xpos["finger", :2].copy()
        return finger

    def towards(self, goal: Array) -> Array:
        """Torques of a spring and a damper towards the joint angles that bring the finger to `goal`, elbow to the left."""
        x, y = goal
        elbow = np.arccos(np.clip((x * x + y * y) / (2 * LINK * LINK) - 1.0, -1.0, 1.0))
        shoulder = np.arctan2(y, x) - elbow / 2
        angles, velocities = self.robot.physics.data.qpos, self.robot.physics.data.qvel
        missing = np.array([(shoulder - angles[0] + np.pi) % (2 * np.pi) - np.pi, elbow - angles[1]])
        torques = np.zeros(self.robot.action_space.shape or (0,))
        torques[:2] = np.clip(STIFFNESS * missing - DAMPING * velocities, -1.0, 1.0)
        return torques
