"""Experiments of DMControl."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from radt.settings.base import NonNegativeInt
from radt.settings.robots import RobotExperiment

GOALS = ("reacher", "finger", "fish", "swimmer")
"""Robots with a target whose place a seed decides."""


class DmcontrolExperiment(RobotExperiment):
    """Tasks of DMControl: names are its domain and task, as `reacher-easy`."""

    suite: Literal["dmcontrol"]
    """`dmcontrol`."""
    start_seed: NonNegativeInt | None = None
    """Seed of the first state, the same in all episodes of all tasks; null: each episode begins elsewhere."""
    new_goals: bool = False
    """Whether each episode draws a goal of its own, as published; else a task keeps its goal."""
    union: bool = False
    """Whether all tasks share one observation of 204 numbers and 6 actions, as published, or have those of the package."""

    def published(self, task: int) -> str:
        """See `RobotExperiment`."""
        return f"{self.name_of(task).replace('-', '_')}.npz"

    @model_validator(mode="after")
    def _alike(self) -> Self:
        if len(self.names) > 1 and not self.union:
            raise ValueError("union is false, but there are several names: allowed is true, since they see different things")
        if without := [name for name in self.names if self.goals > 1 and name.partition("-")[0] not in GOALS]:
            raise ValueError(f"goals is {self.goals}, but {without[0]} has no target: allowed are {', '.join(GOALS)}, or goals 1")
        if self.new_goals and (self.goals > 1 or self.start_seed is not None):
            given = f"goals is {self.goals}" if self.goals > 1 else f"start_seed is {self.start_seed}"
            raise ValueError(f"new_goals is true, but {given}: allowed are goals 1 and start_seed null, or new_goals false")
        return self


EXPERIMENT = DmcontrolExperiment
