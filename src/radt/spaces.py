"""The spec of an experiment: observations, actions and rewards. Dtypes, shapes, embeddings, heads, losses and sampling follow
from it.

A suite makes the spec of its experiments; `manifest.json` holds the spec of learning histories.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from radt.errors import RadtError

Count = Annotated[int, Field(ge=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Array = NDArray[Any]
CODES = 256
"""Most values of a code, which is stored in a byte; an action has one less, because one code means "no action"."""
LEAST_SIDE = 36
"""Smallest side of an image for the convolutions of radt and of Stable-Baselines3."""


class Form(BaseModel):
    """Base of all parts of a spec: unknown keys and loose types are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Codes(Form):
    """Observations of small whole numbers [D]."""

    kind: Literal["codes"] = "codes"
    sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=CODES)], ...], Field(min_length=1)]
    """How many values each number has."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an observation."""
        return (len(self.sizes),)


class Numbers(Form):
    """Observations of real numbers [D]."""

    kind: Literal["numbers"] = "numbers"
    size: Count
    """How many numbers an observation has."""
    half: bool = False
    """Whether they are stored in half precision, like features of an encoder of images."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an observation."""
        return (self.size,)


class Image(Form):
    """Observations of pixels [H, W, C]."""

    kind: Literal["image"] = "image"
    height: Count
    width: Count
    channels: Count

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an observation."""
        return self.height, self.width, self.channels


class Counts(Form):
    """Rewards that are small whole numbers; sums of them have rows in embedding tables."""

    kind: Literal["counts"] = "counts"
    most: Count
    """Largest reward of a step."""
    highest: Count
    """A return that no episode exceeds."""
    levels: Annotated[int, Field(ge=2)]
    """Number of rows for the rewards so far: 0, 1, ..., and levels - 1 or more."""
    phases: Count
    """Number of true states that share an observation and differ in the rewards so far; 1: the observation is the state."""
    by_time: bool
    """Whether a goal pays in every remaining step, so that the highest possible return-to-go falls with time."""


class Scaled(Form):
    """Rewards that are any real numbers; tokens contain them divided by a scale."""

    kind: Literal["scaled"] = "scaled"
    scale: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 1.0
    """Divisor of rewards and returns, in tokens and targets only."""


class Spec(Form):
    """Observations, actions and rewards of an experiment.

    An action is A codes, one for each dimension. A continuous action is stored as A real numbers from `low` to `high`, and read
    as codes: a code stands for one of equally spaced values, as many as the dimension has codes.
    """

    observation: Annotated[Codes | Numbers | Image, Field(discriminator="kind")]
    """Kind and size of observations."""
    actions: Annotated[tuple[Annotated[int, Field(ge=2, lt=CODES)], ...], Field(min_length=1)]
    """Number of codes of each dimension of an action."""
    low: tuple[Finite, ...] | None = None
    """Least value of each dimension of a continuous action; null: actions are codes."""
    high: tuple[Finite, ...] | None = None
    """Largest value of each dimension of a continuous action."""
    rewards: Annotated[Counts | Scaled, Field(discriminator="kind")]
    """Kind and range of rewards."""
    horizon: Count
    """Most steps of an episode."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        low, high = self.low or (), self.high or ()
        if (self.low is None) != (self.high is None) or (self.low is not None and {len(low), len(high)} != {len(self.actions)}):
            raise ValueError(
                f"low is {self.low} and high {self.high}, allowed is one of each for all {len(self.actions)} actions"
            )
        if any(not least < most for least, most in zip(low, high, strict=True)):
            raise ValueError(f"low is {list(low)} and high {list(high)}, allowed is low < high")
        return self

    @property
    def continuous(self) -> bool:
        """Whether actions are real numbers."""
        return self.low is not None

    @property
    def dtypes(self) -> dict[str, str]:
        """Dtypes of the columns `observations` and `actions`."""
        seen = "uint8"
        if isinstance(self.observation, Numbers):
            seen = "float16" if self.observation.half else "float32"
        return {"observations": seen, "actions": "float32" if self.continuous else "uint8"}

    @property
    def read_as(self) -> str:
        """Dtype in which networks read observations; images stay uint8 to save memory."""
        return {"codes": "int64", "numbers": "float32", "image": "uint8"}[self.observation.kind]

    def codes(self, actions: Array) -> Array:
        """Codes [..., A] of stored actions [..., A]: the nearest codes (uint8) of continuous actions, others unchanged."""
        if self.low is None or self.high is None:
            return actions
        low, span = np.array(self.low), np.array(self.high) - np.array(self.low)
        most = np.array(self.actions) - 1
        codes: Array = np.rint((actions - low) / span * most).clip(0, most).astype(np.uint8)
        return codes

    def values(self, codes: Array) -> Array:
        """Actions [..., A] in stored form, from codes [..., A]: float32 if continuous, else unchanged."""
        if self.low is None or self.high is None:
            return codes
        low, span = np.array(self.low), np.array(self.high) - np.array(self.low)
        values: Array = (low + codes / (np.array(self.actions) - 1) * span).astype(np.float32)
        return values


def read(values: Any, origin: str, remedy: str) -> Spec:
    """The spec in `values` of a JSON file; raises `RadtError`, with the `remedy`, when they are not a valid spec."""
    try:
        return Spec.model_validate_json(json.dumps(values))
    except ValidationError as error:
        place = ".".join(["spec", *(str(part) for part in error.errors()[0]["loc"])])
        raise RadtError(f"{origin} has no valid {place}: {remedy}") from None
