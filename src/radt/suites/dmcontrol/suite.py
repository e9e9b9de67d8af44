"""Tasks of DMControl as a suite (`radt.suites.base.Suite`)."""

from __future__ import annotations

import numpy as np

from radt.suites.dmcontrol.environment import Robot
from radt.suites.dmcontrol.planner import Planner
from radt.suites.dmcontrol.reacher import Reacher
from radt.suites.dmcontrol.settings import DmcontrolExperiment
from radt.suites.robots import RobotSuite


def suite_of(experiment: DmcontrolExperiment) -> RobotSuite:
    """All tasks of an experiment."""
    return RobotSuite(experiment, Robot, body)


def body(robot: Robot, random: np.random.Generator) -> Reacher | Planner:
    """The `Body` of a task: the arm for reacher, a planner for all others."""
    return Reacher(robot) if robot.name.startswith("reacher-") else Planner(robot, random)
