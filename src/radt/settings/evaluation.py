"""In-context evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from radt.settings.base import Device, Name, NonNegativeFloat, PositiveFloat, PositiveInt, Section
from radt.settings.registry import METHODS

AnyMethod: Any = Literal[tuple(METHODS)]
"""The name of a method."""


class Protocol(Section):
    """Rules by which a method acts in context."""

    model: AnyMethod
    """The trained model. Three models have no weights: `retrieve` (replays the nearest stored step of its best episode),
    `random`, and `expert` (knows the task; robots, Procgen)."""
    target_return: Literal["fixed", "from_memory", "none"]
    """Target return: `fixed`: drawn around `target_mean`; `from_memory`: low while no reward was found, then above the best
    return so far; `none`: not used."""
    actions: Literal["greedy", "top_half", "sample"]
    """`greedy`: the likeliest action; `top_half`: sampled from actions above the median logit; `sample`: sampled from all."""
    temperature: PositiveFloat = 1.0
    """Softmax temperature of sampled actions."""

    @model_validator(mode="after")
    def _target_is_read(self) -> Self:
        allowed = METHODS[self.model].targets
        if self.target_return not in allowed:
            raise ValueError(f"target_return is {self.target_return!r}, allowed for {self.model!r} is {' or '.join(allowed)}")
        return self


class Memory(Section):
    """Ranking of the agent's own chunks in evaluation."""

    k_rerank: PositiveInt
    """Number of nearest keys that are re-ranked."""
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
    splits: Annotated[list[Literal["held_out", "unseen", "train", "validation"]], Field(min_length=1)]
    """Splits of tasks to evaluate on; those without tasks are skipped. `unseen` (Procgen): other levels of the training games."""
    target_mean: float
    """Mean of the fixed target return, and upper limit of `from_memory`."""
    target_std: NonNegativeFloat
    """Standard deviation of the fixed target return."""
    target_low: tuple[float, float]
    """Range of the `from_memory` target while no episode returned more than `target_found`, or, where rewards are counts, while
    nothing was rewarded."""
    target_found: Annotated[float | None, Field(exclude_if=lambda least: least is None)] = None
    """`from_memory` leaves `target_low` once an episode returned more than this; null: after the first episode."""
    target_margin: Annotated[NonNegativeFloat | None, Field(exclude_if=lambda margin: margin is None)] = None
    """Added to the best return so far by `from_memory`, up to `target_mean`; null: `target_mean` at once."""
    memory: Memory
    """Ranking of the memory."""
    methods: dict[Name, Protocol]
    """Evaluated methods by name; the top-level `methods` choose among them."""
    device: Device
    """Where to evaluate: `cpu`, `cuda` or `auto`, as in [Optimization](#optimization)."""

    @model_validator(mode="after")
    def _low_to_high(self) -> Self:
        if self.target_low[0] > self.target_low[1]:
            raise ValueError(f"target_low is {list(self.target_low)}, allowed is [low, high] with low <= high")
        return self
