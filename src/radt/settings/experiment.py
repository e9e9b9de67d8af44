"""What experiments of all suites have."""

from __future__ import annotations

import math
from typing import Self

from pydantic import model_validator

from radt.settings.base import NonNegativeInt, PositiveInt, Section


class Experiment(Section):
    """What every experiment has, whatever its suite: tasks and their split."""

    suite: str
    """The suite."""
    horizon: PositiveInt
    """Most steps of an episode."""
    num_tasks: PositiveInt
    """Number of tasks."""
    num_held_out: PositiveInt
    """How many of them, counted from the end, are only ever evaluated on."""
    num_validation: NonNegativeInt
    """How many training tasks, counted from the end, are kept from training to choose settings on."""

    @property
    def splits(self) -> list[str]:
        """Split of every task: first `train`, then `validation`, then `held_out`."""
        train = self.num_tasks - self.num_held_out - self.num_validation
        return ["train"] * train + ["validation"] * self.num_validation + ["held_out"] * self.num_held_out

    @property
    def title(self) -> str:
        """Name in figures."""
        return self.suite

    @property
    def kind(self) -> str:
        """What the time of a step depends on."""
        return self.suite

    @property
    def order(self) -> tuple[float, int]:
        """Place among others in figures."""
        return math.inf, 0

    @property
    def cells(self) -> int:
        """States that a learner of `source: generate` replays; 0 where there is none."""
        return 0

    @property
    def step_bytes(self) -> int:
        """Bytes of what is seen and done in a step, about: plans are made without an engine."""
        return 100

    @property
    def encoded(self) -> int | None:
        """How many numbers stand for an image after the stage `features`; None where networks read what environments show."""
        return None

    @property
    def raw(self) -> Experiment:
        """The experiment as its environments show it: without the encoder of images."""
        return self

    @property
    def farthest(self) -> int:
        """Steps within which every task can pay something; 0 where that is not known."""
        return 0

    @model_validator(mode="after")
    def _split(self) -> Self:
        if self.num_held_out + self.num_validation >= self.num_tasks:
            split = f"num_held_out {self.num_held_out} + num_validation {self.num_validation}"
            raise ValueError(f"{split} leave none of the {self.num_tasks} tasks to train on")
        return self
