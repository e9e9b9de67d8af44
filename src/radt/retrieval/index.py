"""The index of the training sub-trajectories: de-duplicated keys and the chunk table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radt import artifacts
from radt.retrieval import DECIMALS
from radt.settings import Retrieval

if TYPE_CHECKING:  # the stage that writes an index needs neither torch nor FAISS, which take seconds to import
    from torch import Tensor

    from radt.retrieval.search import Search


@dataclass(frozen=True)
class ChunkIndex:
    """K sub-trajectories: key [K, W] of length 1, the episode it belongs to [K], its anchor step [K]."""

    keys: NDArray[np.float32]
    episode: Tensor
    anchor: Tensor

    def search(self, settings: Retrieval, device: str) -> Search:
        """A search over the keys; `device` is where the torch engine keeps them. Only pool `all` ever searches all of them."""
        from radt.retrieval.search import Search

        exact = settings.exact_keys if settings.pool == "all" else None
        return Search(self.keys, settings.engine, device, exact, settings.probes)


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


def write(directory: Path, tensors: dict[str, NDArray[Any]], config: dict[str, object]) -> None:
    """Write `index.safetensors`, the fields of a `ChunkIndex` as arrays, and `config.json`."""
    artifacts.write_tensors(directory / "index.safetensors", tensors)
    artifacts.write_checked_json(
        directory / "config.json", {**config, "sha256": artifacts.sha256(directory / "index.safetensors")}
    )


def read(directory: Path) -> ChunkIndex:
    """What `write` wrote, the keys as a read-only view of the mapped file; raises `RadtError` when it was changed since."""
    import torch

    artifacts.verify(directory / "index.safetensors", directory / "config.json")
    tensors = artifacts.read_tensors(directory / "index.safetensors")
    return ChunkIndex(tensors["keys"], *(torch.from_numpy(tensors[name].astype(np.int64)) for name in ("episode", "anchor")))
