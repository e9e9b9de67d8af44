"""Experiments of environments that a user has registered with Gymnasium."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from radt.seeding import generator
from radt.settings.base import NonNegativeInt, PositiveFloat, Section
from radt.settings.experiment import Experiment

Name = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
Attribute = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Value = bool | int | Number | str


class Drawn(Section):
    """A value drawn for each task, uniformly from a range or from a list of values."""

    low: Number | None = None
    """Smallest number."""
    high: Number | None = None
    """Largest number."""
    values: Annotated[list[Value] | None, Field(min_length=1)] = None
    """Values, instead of a range."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.values is None) == (self.low is None) or (self.low is None) != (self.high is None):
            raise ValueError("allowed is either {low: NUMBER, high: NUMBER} or {values: [...]}")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low is {self.low} and high {self.high}, allowed is low < high")
        return self


def _form(values: Any) -> str:
    """Form of the values of tasks: `drawn` or `listed`."""
    return "drawn" if isinstance(values, dict | Drawn) else "listed"


Listed = Annotated[list[Value], Field(min_length=1)]
Values = Annotated[Annotated[Drawn, Tag("drawn")] | Annotated[Listed, Tag("listed")], Discriminator(_form)]


class GymnasiumExperiment(Experiment):
    """Tasks of any environment that is registered with Gymnasium (docs/own_environment.md)."""

    suite: Literal["gymnasium"]
    """`gymnasium`."""
    environment: Annotated[str, Field(min_length=1)]
    """Id for `gymnasium.make`; `module:name-v0` imports the module first."""
    arguments: dict[Name, Values] = Field(default={})
    """Keywords of the environment that differ between tasks, each a list with a value for each task, a range, or a choice."""
    attributes: dict[Attribute, Values] = Field(default={})
    """The same for attributes, which are set on the environment after it is made."""
    task_seed: NonNegativeInt = 0
    """Seed of ranges and choices."""
    hidden: list[NonNegativeInt | str] = Field(default=[])
    """Indices of numbers of an observation, or keys of a dictionary, that agents do not see; learners of the histories do."""
    action_codes: Annotated[int, Field(ge=2, le=255)] = 11
    """Codes of each dimension of a continuous action: equally spaced values over its range."""
    reward_scale: PositiveFloat = 1.0
    """Divisor of rewards and returns, in tokens only."""

    @property
    def title(self) -> str:
        """See `Experiment`: the id without namespace and version."""
        return re.sub(r"^.*[:/]|-v\d+$", "", self.environment)

    @property
    def kind(self) -> str:
        """See `Experiment`."""
        return self.environment

    @property
    def parameters(self) -> list[dict[str, dict[str, Value]]]:
        """`arguments` and `attributes` of each task. Without both, the argument `task` is the number of the task."""
        groups = {"arguments": self.arguments, "attributes": self.attributes}
        if not any(groups.values()):
            return [{"arguments": {"task": task}, "attributes": {}} for task in range(self.num_tasks)]
        drawn = {group: {name: self._drawn(name, own) for name, own in values.items()} for group, values in groups.items()}
        return [
            {group: {name: own[task] for name, own in values.items()} for group, values in drawn.items()}
            for task in range(self.num_tasks)
        ]

    def _drawn(self, name: str, values: Drawn | list[Value]) -> list[Value]:
        """The value of every task."""
        if isinstance(values, list):
            return values
        random = generator(self.task_seed, f"task {name}")
        if values.values is not None:
            return [values.values[place] for place in random.integers(0, len(values.values), self.num_tasks)]
        return [float(value) for value in random.uniform(values.low or 0.0, values.high or 0.0, self.num_tasks)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name, values in {**self.arguments, **self.attributes}.items():
            if isinstance(values, list) and len(values) != self.num_tasks:
                raise ValueError(f"{name} has {len(values)} values, allowed is one for each of the {self.num_tasks} tasks")
        if both := self.arguments.keys() & self.attributes.keys():
            raise ValueError(f"{min(both)} is among arguments and attributes, allowed is one of them")
        told = [tuple({**own["arguments"], **own["attributes"]}.items()) for own in self.parameters]
        if len(set(told)) < len(told):
            first, second = next(pair for pair in combinations(range(len(told)), 2) if told[pair[0]] == told[pair[1]])
            raise ValueError(f"tasks {first} and {second} are the same, {dict(told[first])}: no task may be there twice")
        return self


EXPERIMENT = GymnasiumExperiment
