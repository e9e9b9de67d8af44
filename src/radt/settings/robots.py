"""Experiments of simulated robots: tasks of a package by their names, with a hidden goal for each of them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from radt.seeding import generator
from radt.settings.base import NonNegativeInt, PositiveFloat, PositiveInt
from radt.settings.experiment import Experiment

Name = Annotated[str, Field(pattern=r"^[a-z]\w*(-\w+)*$")]


class RobotExperiment(Experiment):
    """Settings that experiments of DMControl and Meta-World share."""

    names: Annotated[list[Name], Field(min_length=1)]
    """Names of tasks of the package, in the order of the split. Each name gives `goals` tasks."""
    goals: PositiveInt = 1
    """Goals of each name; each goal is a task of the experiment."""
    task_seed: NonNegativeInt = 0
    """Seed of the goals."""
    action_repeat: PositiveInt = 1
    """Steps of the simulator for each action; their rewards are summed. `horizon` counts actions."""
    hidden: list[NonNegativeInt | str] = Field(default=[])
    """Parts of an observation that agents do not see. The learner of the histories sees them."""
    action_codes: Annotated[int, Field(ge=2, le=255)] = 11
    """Codes of each dimension of an action: equally spaced values over its range."""
    reward_scale: PositiveFloat = 1.0
    """Divisor of rewards and returns, in tokens only."""

    @property
    def environment(self) -> str:
        """Name in messages."""
        return self.names[0] if len(self.names) == 1 else self.suite

    @property
    def title(self) -> str:
        """See `Experiment`."""
        return self.environment.replace("-", " ").capitalize()

    def caption(self, task: int) -> str:
        """See `Experiment`."""
        return super().caption(task) if len(self.names) == 1 else self.name_of(task)

    @property
    def kind(self) -> str:
        """See `Experiment`."""
        return f"{self.suite} {self.environment}"

    def name_of(self, task: int) -> str:
        """The name of a task in the package."""
        return self.names[task // self.goals]

    def published(self, task: int) -> str:
        """Name of the published file of a task; each package has its own."""
        return f"{self.name_of(task)}.npz"

    def goal_seed(self, task: int) -> int:
        """Seed of the goal of a task."""
        return int(generator(self.task_seed, "goal", task).integers(2**31))

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if self.num_tasks != len(self.names) * self.goals:
            given = f"{len(self.names)} names with {self.goals} goals each"
            raise ValueError(f"num_tasks is {self.num_tasks}, but there are {given}: allowed is {len(self.names) * self.goals}")
        if self.goals == 1 and len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ValueError(f"{twice} is named twice, allowed is once: set goals to have more tasks of it")
        return self
