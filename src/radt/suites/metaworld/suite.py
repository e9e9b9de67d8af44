"""Tasks of Meta-World as a suite (`radt.suites.base.Suite`)."""

from __future__ import annotations

from radt.suites.metaworld.arm import Arm
from radt.suites.metaworld.environment import Robot
from radt.suites.metaworld.settings import MetaworldExperiment
from radt.suites.robots import RobotSuite


def suite_of(experiment: MetaworldExperiment) -> RobotSuite:
    """All tasks of an experiment."""
    return RobotSuite(experiment, Robot, lambda robot, _: Arm(robot))
