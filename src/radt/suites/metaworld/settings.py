"""Experiments of Meta-World."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import model_validator

from radt.settings.robots import RobotExperiment

MOST_STEPS = 500
"""Steps of the simulator after which the package ends an episode."""


class MetaworldExperiment(RobotExperiment):
    """Tasks of Meta-World, by their names in the package without version, such as `reach`."""

    suite: Literal["metaworld"]
    """`metaworld`."""

    def published(self, task: int) -> str:
        """See `RobotExperiment`."""
        return f"{self.name_of(task)}-v2.npz"

    @model_validator(mode="after")
    def _not_too_long(self) -> Self:
        if (steps := self.horizon * self.action_repeat) > MOST_STEPS:
            given = f"horizon {self.horizon} x action_repeat {self.action_repeat}"
            raise ValueError(f"{given} is {steps} steps, allowed are at most {MOST_STEPS}: an episode of Meta-World is no longer")
        if versions := [name for name in self.names if re.search(r"-v\d+$", name)]:
            plain = re.sub(r"-v\d+$", "", versions[0])
            raise ValueError(f"{versions[0]} names a version, allowed is {plain}: environments are v3, with the rewards of v2")
        return self


EXPERIMENT = MetaworldExperiment
