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
    """Size of token embeddings."""
    layers: PositiveInt
    """Transformer blocks."""
    heads: PositiveInt
    """Attention heads; must divide `width`."""
    dropout: Fraction
    """Dropout of embeddings, attention and residual branches in training."""
    window: PositiveInt
    """Steps of the current episode that the model sees."""
    return_bin: PositiveInt
    """Bin width of the return-to-go embedding; 1: exact returns (published), the horizon or more: no information."""
    head: Annotated[Literal["codes", "regression"], Field(exclude_if=lambda head: head == "codes")] = "codes"
    """`codes`: one logit for every code of an action; `regression`: a number for each dimension of a continuous action
    (published)."""

    past_actions: Annotated[Literal["seen", "hidden"], Field(exclude_if=lambda seen: seen == "seen")] = "seen"
    """Whether a network sees the earlier actions of the current episode (token form `step`). Successive actions of a robot are
    alike, and a network that sees them may learn to repeat them (de Haan et al., 2019, arXiv 1905.11979). Those of finished
    episodes are always seen."""

    numbers: Annotated[Literal["linear", "scales"], Field(exclude_if=lambda numbers: numbers == "linear")] = "linear"
    """How observations that are numbers are embedded. `linear`: by a linear layer (published). `scales`: by a hidden layer that
    also reads their logarithms and which of them are zero, for a space shared by tasks whose numbers have different scales."""

    def span(self, experiment: Experiment | Spec) -> int:
        """Steps of a window in an experiment: at most an episode."""
        return min(self.window, experiment.horizon)

    def stride(self, experiment: Experiment | Spec) -> int:
        """Steps between the beginnings of windows in an episode longer than the window: half a window, so that every step after
        the first window sees at least half a window. 0 for interleaved tokens, whose windows begin anywhere (published)."""
        return self.span(experiment) // 2 if self.tokens == "step" else 0

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.past_actions == "hidden" and self.tokens != "step":
            raise ValueError(f"past_actions is 'hidden' with tokens {self.tokens!r}: allowed is tokens 'step'")
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
    """Highest learning rate, after `warmup` updates."""
    learning_rate_last: NonNegativeFloat
    """Learning rate of the last update."""
    warmup: NonNegativeInt
    """Updates of the linear warm-up of the learning rate from zero."""
    weight_decay: NonNegativeFloat
    """Weight decay of the weight matrices; biases, norms and embeddings have none."""
    gradient_clip: PositiveFloat
    """Gradient clipping: largest norm."""
    precision: Literal["float32", "tfloat32", "bfloat16"]
    """Precision of the matrix products. `tfloat32`: TF32 on a GPU, float32 on a CPU. `bfloat16`: the loss stays in float32, and
    so does attention on a GPU, with dropout, and over more than 256 tokens."""
    checkpoint_every: PositiveInt
    """Updates between two checkpoints."""
    log_every: PositiveInt
    """Updates between two rows of `metrics.csv`."""
    device: Device
    """Where to train: `cpu`, `cuda` (an error without a GPU), or `auto` (a GPU if there is one). The default is `cpu`, because
    only there training is deterministic to the byte, and the default networks are small."""
    ranks: Annotated[PositiveInt, Field(exclude_if=lambda ranks: ranks == 1)] = 1
    """Processes of data-parallel training (torchrun), each with its share of every batch and its own core or GPU. Data and their
    order are those of one process, gradients are equal up to rounding; dropout differs."""
    compile: Annotated[bool, Field(exclude_if=lambda compile: not compile)] = False
    """Compile the blocks of the network (`torch.compile`). It needs a C++ compiler and takes a minute or two at the start: for
    networks far larger than the default ones (docs/performance.md)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.warmup >= self.updates:
            raise ValueError(f"warmup is {self.warmup}, allowed is less than updates ({self.updates})")
        if self.ranks > self.batch_size:
            raise ValueError(f"ranks is {self.ranks}, allowed is at most batch_size ({self.batch_size})")
        return self


class Training(Section):
    """Settings of every trained method."""

    model: Model
    """The network."""
    start_probability: Fraction
    """Probability that a window starts at step 0 (only if the episode is longer than the window)."""
    optimization: Optimization
    """Optimization of the network."""

    best_share: Annotated[float, Field(gt=0.0, le=1.0, exclude_if=lambda share: share == 1.0)] = 1.0
    """Share of the episodes of each learning history from which windows are drawn: those with the highest returns (percentile
    behaviour cloning, Chen et al., 2021, arXiv 2106.01345). Contexts come from all episodes. 1: all (published)."""


class TrainRetrieval(Training):
    """RA-DT."""

    cross_attention: Literal["first", "all"] | Annotated[list[NonNegativeInt], Field(min_length=1)]
    """Blocks that read the retrieved context: the first, all, or a list of their numbers, from 0."""
    context_embedding: Literal["own", "shared"]
    """`own`: contexts have a separate embedding (published); `shared`: they share the embedding of the window."""
    context_dropout: Fraction
    """Share of training windows without context, as in the first episode of a new task."""
    retrieval: Retrieval
    """Retrieval of contexts."""


class TrainAd(Training):
    """Algorithm Distillation."""

    episode_gap: PositiveInt
    """Episodes of the learning history between the context episode and the current one."""


class TrainDpt(Section):
    """Decision-Pretrained Transformer (Lee et al., 2023)."""

    model: Model
    """Network size; DPT ignores `window` and `return_bin`."""
    optimization: Optimization
    """Optimization of the network."""

    context: PositiveInt
    """Transitions in a context, in training and in evaluation."""
    queries: PositiveInt
    """Query states for each context of a batch; each reads a random number of its first transitions."""
