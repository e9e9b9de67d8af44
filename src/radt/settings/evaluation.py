"""In-context evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from radt.settings.base import Device, Name, NonNegativeFloat, PositiveFloat, PositiveInt, Section
from radt.settings.registry import METHODS

AnyMethod: Any = Literal[tuple(METHODS)]
"""The name of a method."""


class Protocol(Section):
    """How one method acts in context."""

    model: AnyMethod
    """The trained model. Three have no weights: `retrieve` (replays the nearest stored step of its best episode), `random`, and
    `expert` (knows the task; robots, Procgen)."""
    target_return: Literal["fixed", "from_memory", "none"]
    """`fixed`: drawn around `target_mean`; `from_memory`: low while nothing was found, then more;
    `none`: not used."""
    actions: Literal["greedy", "top_half", "sample"]
    """Best action, sampled among those above the median, or sampled among all."""
    temperature: PositiveFloat = 1.0
    """Softmax temperature of sampled actions: logits are divided by it."""

    @model_validator(mode="after")
    def _target_is_read(self) -> Self:
        allowed = METHODS[self.model].targets
        if self.target_return not in allowed:
            raise ValueError(f"target_return is {self.target_return!r}, allowed for {self.model!r} is {' or '.join(allowed)}")
        return self


class Memory(Section):
    """Ranking of the agent's own chunks in evaluation."""

    k_rerank: PositiveInt
    """How many of the nearest keys are re-ranked."""
    weight_similarity: NonNegativeFloat
    """Weight of the min-max normalised similarity."""
    weight_return: NonNegativeFloat
    """Weight of the min-max normalised return of the chunk's episode."""
    weight_reward: NonNegativeFloat
    """Weight of the min-max normalised reward inside the chunk."""
    query_stride: PositiveInt
    """Steps between two queries in evaluation; may differ from `embed.query_stride`, which training uses."""


class Evaluate(Section):
    """In-context evaluation (paper, Section 4)."""

    episodes: PositiveInt
    """Episodes of a task, weights frozen."""
    splits: Annotated[list[Literal["held_out", "train", "validation"]], Field(min_length=1)]
    """Splits of tasks to evaluate on; splits without tasks are skipped."""
    target_mean: float
    """Mean of the fixed target return, and the most that `from_memory` asks for."""
    target_std: NonNegativeFloat
    """Its standard deviation."""
    target_low: tuple[float, float]
    """Range of the target return while no episode returned more than `target_found`, or, where rewards are counts, nothing was
    rewarded."""
    target_found: Annotated[float | None, Field(exclude_if=lambda least: least is None)] = None
    """`from_memory` asks for more once an episode returned more than this; null: after the first episode."""
    target_margin: Annotated[NonNegativeFloat | None, Field(exclude_if=lambda margin: margin is None)] = None
    """What `from_memory` adds to the best return so far, up to `target_mean`; null: `target_mean` at once."""
    memory: Memory
    """Ranking of the memory."""
    methods: dict[Name, Protocol]
    """What is evaluated, by name; the top-level `methods` choose among them."""
    device: Device
    """Where to evaluate: `cpu`, `cuda` or `auto`, as in [Optimization](#optimization)."""

    @model_validator(mode="after")
    def _low_to_high(self) -> Self:
        if self.target_low[0] > self.target_low[1]:
            raise ValueError(f"target_low is {list(self.target_low)}, allowed is [low, high] with low <= high")
        return self
