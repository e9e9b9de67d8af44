"""Networks, their optimization, and the section of every trained method."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from radt.settings.base import Device, Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Section
from radt.settings.experiment import Experiment
from radt.settings.retrieval import Retrieval
from radt.spaces import Spec


class Model(Section):
    """A decision transformer (paper, Section 3; shapes in `radt.models`)."""

    tokens: Literal["step", "interleaved"]
    """`step`: one token per step; `interleaved`: the paper's separate tokens for state, return-to-go, action and reward."""
    width: PositiveInt
    """Size of a token's vector."""
    layers: PositiveInt
    """Transformer blocks."""
    heads: PositiveInt
    """Attention heads; must divide `width`."""
    dropout: Fraction
    """Dropout of embeddings, attention and residual branches while training."""
    window: PositiveInt
    """Steps of the current episode that the model sees."""
    return_bin: PositiveInt
    """Width of a bin of the return-to-go token; 1 tells returns exactly (published), the horizon or more hides them."""
    head: Annotated[Literal["codes", "regression"], Field(exclude_if=lambda head: head == "codes")] = "codes"
    """`codes`: one logit for every code of an action; `regression`: a number for each dimension of a continuous action
    (published)."""

    def span(self, experiment: Experiment | Spec) -> int:
        """Steps of a window in an experiment: never more than an episode."""
        return min(self.window, experiment.horizon)

    def stride(self, experiment: Experiment | Spec) -> int:
        """Steps between the beginnings of two windows of an episode that is longer: half a window, so that every step after the
        first window sees at least half a window. 0 for interleaved tokens, whose windows begin anywhere (published)."""
        return self.span(experiment) // 2 if self.tokens == "step" else 0

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}, which does not divide width {self.width}")
        return self


class Optimization(Section):
    """AdamW with linear warm-up and cosine decay."""

    updates: PositiveInt
    """Gradient steps."""
    batch_size: PositiveInt
    """Windows per gradient step."""
    learning_rate: PositiveFloat
    """Highest learning rate, reached after `warmup` updates."""
    learning_rate_last: NonNegativeFloat
    """Learning rate of the last update."""
    warmup: NonNegativeInt
    """Updates over which the learning rate rises from zero."""
    weight_decay: NonNegativeFloat
    """Decay of the weight matrices; biases, norms and embeddings have none."""
    gradient_clip: PositiveFloat
    """Largest norm of the gradient."""
    precision: Literal["float32", "tfloat32", "bfloat16"]
    """Precision of the matrix products. `tfloat32` is float32 whose products a GPU rounds to TF32; on a CPU it is float32. With
    `bfloat16` the loss stays in float32, and so does attention on a GPU, with dropout, and over more than 256 tokens."""
    checkpoint_every: PositiveInt
    """Updates between two checkpoints."""
    log_every: PositiveInt
    """Updates between two rows of `metrics.csv`."""
    device: Device
    """Where to train: `cpu`, `cuda` (a GPU, refused where there is none), or `auto`, a GPU where there is one. The default is
    `cpu`: only there are weights the same bytes again, and the default networks are small."""
    ranks: Annotated[PositiveInt, Field(exclude_if=lambda ranks: ranks == 1)] = 1
    """Processes that train together, each on its share of every batch, with a core or a GPU of its own (torchrun). They see the
    same data in the same order as one, and add up the same gradients but for rounding; dropout differs."""
    compile: Annotated[bool, Field(exclude_if=lambda compile: not compile)] = False
    """Whether torch compiles the blocks of the network (`torch.compile`), which needs a C++ compiler and a minute or two when the
    training starts: for networks far larger than the default ones (docs/performance.md)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.warmup >= self.updates:
            raise ValueError(f"warmup is {self.warmup}, allowed is less than updates ({self.updates})")
        if self.ranks > self.batch_size:
            raise ValueError(f"ranks is {self.ranks}, allowed is at most batch_size ({self.batch_size})")
        return self


class Training(Section):
    """What every trained method has."""

    model: Model
    """The network."""
    start_probability: Fraction
    """Probability that a window starts at step 0 (only if the episode is longer than the window)."""
    optimization: Optimization
    """How it is trained."""


class TrainRetrieval(Training):
    """RA-DT."""

    cross_attention: Literal["first", "all"] | Annotated[list[NonNegativeInt], Field(min_length=1)]
    """Blocks that read the retrieved context: the first, all, or those with these numbers, counted from 0."""
    context_embedding: Literal["own", "shared"]
    """Whether contexts have embedding tables of their own (published) or share those of the window."""
    context_dropout: Fraction
    """Share of training windows without any context, as in the first episode of a new task."""
    retrieval: Retrieval
    """How contexts are found."""


class TrainAd(Training):
    """Algorithm Distillation."""

    episode_gap: PositiveInt
    """Episodes of the learning history between the context episode and the current one."""


class TrainDpt(Section):
    """Decision-Pretrained Transformer (Lee et al., 2023)."""

    model: Model
    """Network size; DPT ignores `window` and `return_bin`."""
    optimization: Optimization
    """How it is trained."""

    context: PositiveInt
    """Transitions in a context, in training and in evaluation."""
    queries: PositiveInt
    """Query states for each context of a batch, each of which reads a beginning of the context."""
