"""Experiments of Meta-World."""

from __future__ import annotations

from typing import Literal

from radt.settings.robots import RobotExperiment


class MetaworldExperiment(RobotExperiment):
    """Tasks of Meta-World: names are the package's without their version, as `reach`."""

    suite: Literal["metaworld"]
    """`metaworld`."""


EXPERIMENT = MetaworldExperiment
