"""Observations, actions and rewards of tasks of Meta-World."""

from __future__ import annotations

from radt.spaces import Spec
from radt.suites import robots
from radt.suites.metaworld.environment import Robot
from radt.suites.metaworld.settings import MetaworldExperiment


def spec_of(experiment: MetaworldExperiment) -> Spec:
    """The spec, from the spaces of the first task."""
    return robots.spec_of(experiment, Robot)
