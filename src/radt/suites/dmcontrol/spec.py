"""Observations, actions and rewards of tasks of DMControl."""

from __future__ import annotations

from radt.spaces import Spec
from radt.suites import robots
from radt.suites.dmcontrol.environment import Robot
from radt.suites.dmcontrol.settings import DmcontrolExperiment


def spec_of(experiment: DmcontrolExperiment) -> Spec:
    """The spec, from the spaces of the first task."""
    return robots.spec_of(experiment, Robot)
