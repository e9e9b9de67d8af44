"""The base class of experiments."""

from __future__ import annotations

import math
from typing import Self

from pydantic import model_validator

from radt.settings.base import NonNegativeInt, PositiveInt, Section


class Experiment(Section):
    """Tasks and their split, in every suite."""

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
    def sizes(self) -> dict[str, int]:
        """Tasks of each split, in the order of their ids."""
        train = self.num_tasks - self.num_held_out - self.num_validation
        return {"train": train, "validation": self.num_validation, "held_out": self.num_held_out}

    @property
    def splits(self) -> list[str]:
        """Split of every task."""
        return [split for split, size in self.sizes.items() for _ in range(size)]

    def scale(self, task: int) -> tuple[float, float] | None:
        """Returns of a task that count as 0 and as 1, where published; None: those of random actions and of the expert."""
        return None

    @property
    def title(self) -> str:
        """Name in figures."""
        return self.suite

    def caption(self, task: int) -> str:
        """Name of a task under pictures."""
        return f"{self.title}, task {task}"

    @property
    def kind(self) -> str:
        """Kind of environment; the time of a step depends on it."""
        return self.suite

    @property
    def order(self) -> tuple[float, int]:
        """Sort key in figures."""
        return math.inf, 0

    @property
    def cells(self) -> int:
        """States that a learner of `source: generate` replays; 0 without such a learner."""
        return 0

    @property
    def step_bytes(self) -> int:
        """Approximate bytes of the observation and the action of a step, for plans, which are made without an engine."""
        return 100

    @property
    def encoded(self) -> int | None:
        """Features of an image after the stage `features`; None without an encoder of images."""
        return None

    @property
    def raw(self) -> Experiment:
        """The same experiment without the encoder of images."""
        return self

    @property
    def farthest(self) -> int:
        """Steps within which every task can pay a reward; 0 if unknown."""
        return 0

    @model_validator(mode="after")
    def _split(self) -> Self:
        if self.num_held_out + self.num_validation >= self.num_tasks:
            split = f"num_held_out {self.num_held_out} + num_validation {self.num_validation}"
            raise ValueError(f"{split} leave none of the {self.num_tasks} tasks to train on")
        return self
