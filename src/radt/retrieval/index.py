"""The index of the training sub-trajectories: keys without near-duplicates, and the chunk table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radt import artifacts
from radt.errors import RadtError
from radt.retrieval import DECIMALS
from radt.settings.retrieval import Retrieval

if TYPE_CHECKING:  # the stage that writes an index needs neither torch nor FAISS, which take seconds to import
    from torch import Tensor

    from radt.retrieval.search import Search

LONGEST = 1.001
"""Largest number in a key or a query of length 1, with room for rounding."""


@dataclass(frozen=True)
class ChunkIndex:
    """K sub-trajectories: key [K, W] of length 1, the episode it belongs to [K], its anchor step [K]."""

    keys: NDArray[np.float32]
    episode: Tensor
    anchor: Tensor

    def search(self, settings: Retrieval, device: str) -> Search:
        """A search over the keys; `device` is the one of the torch engine. Only pool `all` searches all keys at once."""
        from radt.retrieval.search import Search

        exact = settings.max_exact_keys if settings.pool == "all" else None
        return Search(self.keys, settings.engine, device, exact, settings.nprobe)


def distinct(keys: NDArray[np.float32], group: NDArray[np.int64], similarity: float) -> NDArray[np.int64]:
    """Ids of the keys that remain after near-duplicates are removed.

    Keys of a group (a learning history) are visited in order. A key is removed if its cosine similarity to a remaining key
    is above `similarity`. So the first key of a cluster of duplicates remains. Published code: removes both keys of a pair, or
    neither, depending on the device.

    Args:
        keys: [K, W], length 1.
        group: [K] group of each key.
        similarity: 1 or more keeps all keys.
    """
    if similarity >= 1:
        return np.arange(len(keys))
    stay = np.ones(len(keys), dtype=bool)
    for one in np.unique(group):
        members = np.flatnonzero(group == one)
        close = (keys[members] @ keys[members].T).round(DECIMALS) > similarity
        alive = np.ones(len(members), dtype=bool)
        for number in range(len(members)):
            if alive[number]:
                alive[number + 1 :] &= ~close[number, number + 1 :]
        stay[members] = alive
    return np.flatnonzero(stay)


def check(tensors: dict[str, artifacts.Array], origin: str, remedy: str, *others: str) -> None:
    """Raise `RadtError`, which names `origin` and ends with `remedy`, unless `tensors` describe sub-trajectories.

    Required: `keys` [K, W] float32 of at most length 1, `episode` [K] in rising order, `anchor` [K] >= 1, and integers `others`
    [K] >= 0. Optional: `queries` [E, S, W], like the keys.
    """
    columns = {"episode": 0, "anchor": 1, **dict.fromkeys(others, 0)}
    vectors: dict[str, artifacts.Array] = {name: tensors[name] for name in ("keys", "queries") if name in tensors}
    if missing := sorted({"keys", *columns} - tensors.keys()):
        raise RadtError(f"{origin} has no {missing[0]}: {remedy}")
    shapes = [
        array.shape for name, array in vectors.items() if array.ndim == 2 + (name == "queries") and array.dtype == np.float32
    ]
    if len(shapes) != len(vectors) or len({shape[-1] for shape in shapes}) != 1 or 0 in shapes[0]:
        raise RadtError(f"{origin} has keys or queries that are not float32 [K, W] and [E, S, W]: {remedy}")
    artifacts.check_finite(origin, vectors, remedy)
    if any(array.size and max(-array.min(), array.max()) > LONGEST for array in vectors.values()):
        raise RadtError(f"{origin} has keys or queries that are longer than 1: {remedy}")
    for name, least in columns.items():
        array = tensors[name]
        if array.dtype.kind not in "iu" or array.shape != shapes[0][:1] or array.min() < least:
            raise RadtError(f"{origin} has {name} that are not whole numbers [K] from {least} on: {remedy}")
    if (tensors["episode"][1:] < tensors["episode"][:-1]).any():
        raise RadtError(f"{origin} has episodes that are not in rising order: {remedy}")


def read_embeddings(directory: Path) -> tuple[dict[str, artifacts.Array], dict[str, Any]]:
    """Memory-mapped arrays of the embed stage, and its `config.json`; raises `RadtError` when they are missing or damaged."""
    path = directory / "embeddings.safetensors"
    config = artifacts.verify(path, directory / "config.json")
    tensors = artifacts.read_tensors(path)
    check(tensors, str(path), "run the embed stage again", "history")
    return tensors, config


def write(directory: Path, tensors: dict[str, NDArray[Any]], config: dict[str, object]) -> None:
    """Write the fields of a `ChunkIndex` to `index.safetensors`, and `config.json`; raises `RadtError` when `read` would refuse
    them.
    """
    check(tensors, "the index", "run the embed stage again")
    artifacts.write_tensors(directory / "index.safetensors", tensors)
    artifacts.write_checked_json(
        directory / "config.json", {**config, "sha256": artifacts.sha256(directory / "index.safetensors")}
    )


def read(directory: Path) -> ChunkIndex:
    """The index that `write` wrote, with memory-mapped, read-only keys; raises `RadtError` when it is missing or damaged."""
    import torch

    path = directory / "index.safetensors"
    artifacts.verify(path, directory / "config.json")
    tensors = artifacts.read_tensors(path)
    check(tensors, str(path), "run the index stage again")
    return ChunkIndex(tensors["keys"], *(torch.from_numpy(tensors[name].astype(np.int64)) for name in ("episode", "anchor")))
