"""Keys of older versions and their present names."""

from __future__ import annotations

from typing import Any

RENAMED = {
    "experiment.tasks": "num_tasks",
    "experiment.held_out": "num_held_out",
    "experiment.validation": "num_validation",
    "embed.chunk": "chunk_length",
    "embed.every": "query_stride",
    "evaluate.memory.every": "query_stride",
    "train_ad.later": "episode_gap",
    "train_retrieval.retrieval.candidates": "k_search",
    "train_retrieval.retrieval.keep": "k_rerank",
    "train_retrieval.retrieval.chunks": "k_context",
    "train_retrieval.retrieval.probes": "nprobe",
    "train_retrieval.retrieval.cutoff": "max_similarity",
    "train_retrieval.retrieval.exact_keys": "max_exact_keys",
    "evaluate.memory.keep": "k_rerank",
    "index.duplicate_similarity": "max_similarity",
    "index.duplicate_similarity_language": "max_similarity_language",
    "pretrain.opening": "start_probability",
    "train_retrieval.opening": "start_probability",
    "train_ad.opening": "start_probability",
}
"""The new name of a key, by its section and old name."""


def new_name(key: str) -> str | None:
    """The present name of an old `key`, with the section before it if `key` has one; None for any other key."""
    parts = key.split(".")
    return RENAMED.get(".".join(["experiment", *parts[2:]] if parts[0] == "experiments" else parts))


def with_new_names(values: dict[str, Any], section: str = "") -> dict[str, Any]:
    """Sections of an older version, such as those in records, with present keys."""
    return {
        RENAMED.get(f"{section}{key}", key): with_new_names(value, f"{section}{key}.") if isinstance(value, dict) else value
        for key, value in values.items()
    }
