"""The index of the training sub-trajectories: de-duplicated keys and the chunk table."""

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
"""Most that a number of a key or a query of length 1 can be, and some rounding."""


@dataclass(frozen=True)
class ChunkIndex:
    """K sub-trajectories: key [K, W] of length 1, the episode it belongs to [K], its anchor step [K]."""

    keys: NDArray[np.float32]
    episode: Tensor
    anchor: Tensor

    def search(self, settings: Retrieval, device: str) -> Search:
        """A search over the keys; `device` is where the torch engine keeps them. Only pool `all` ever searches all of them."""
        from radt.retrieval.search import Search

        exact = settings.max_exact_keys if settings.pool == "all" else None
        return Search(self.keys, settings.engine, device, exact, settings.nprobe)


def distinct(keys: NDArray[np.float32], group: NDArray[np.int64], similarity: float) -> NDArray[np.int64]:
    """Ids of the keys that stay when near-duplicates are removed.

    Within a group (a learning history), keys are visited in order; one that is more similar (cosine) than `similarity` to a key
    that stays is removed. So a cluster of duplicates keeps exactly its first member, whatever the batch size or device. (The
    published code deletes both of a pair, or neither, depending on the device.)

    Args:
        keys: [K, W], length 1.
        group: [K]
        similarity: 1 or more keeps all.
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

    These are `keys` [K, W] float32 of at most length 1, `episode` [K] in rising order, `anchor` [K] from 1 on, and the integers
    `others` [K] from 0 on; `queries` [E, S, W] are like the keys, where there are any.
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
    """What the embed stage wrote, mapped, and its `config.json`; raises `RadtError` when that is not what is there."""
    path = directory / "embeddings.safetensors"
    config = artifacts.verify(path, directory / "config.json")
    tensors = artifacts.read_tensors(path)
    check(tensors, str(path), "run the embed stage again", "history")
    return tensors, config


def write(directory: Path, tensors: dict[str, NDArray[Any]], config: dict[str, object]) -> None:
    """Write `index.safetensors`, the fields of a `ChunkIndex` as arrays, and `config.json`; raises `RadtError` when they
    would not be read.
    """
    check(tensors, "the index", "run the embed stage again")
    artifacts.write_tensors(directory / "index.safetensors", tensors)
    artifacts.write_checked_json(
        directory / "config.json", {**config, "sha256": artifacts.sha256(directory / "index.safetensors")}
    )


def read(directory: Path) -> ChunkIndex:
    """What `write` wrote, the keys as a read-only view of the mapped file; raises `RadtError` when that is not what is there."""
    import torch

    path = directory / "index.safetensors"
    artifacts.verify(path, directory / "config.json")
    tensors = artifacts.read_tensors(path)
    check(tensors, str(path), "run the index stage again")
    return ChunkIndex(tensors["keys"], *(torch.from_numpy(tensors[name].astype(np.int64)) for name in ("episode", "anchor")))
