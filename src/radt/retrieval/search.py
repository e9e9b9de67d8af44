"""Nearest keys by inner product: FAISS, and an exact twin in torch."""

from __future__ import annotations

from typing import Literal, Protocol

import faiss
import numpy as np
import torch
from numpy.typing import NDArray


class Engine(Protocol):
    """Proposes candidates; their order and their scores are settled by `Search.nearest`."""

    def candidates(self, queries: NDArray[np.float32], count: int, first: int, stop: int) -> NDArray[np.int64]:
        """Ids [Q, count] of the keys from `first` to before `stop` with the highest inner products, in any order."""


class FaissEngine:
    """FAISS on the CPU: a flat index of all keys, its plain k-nearest-neighbour search for a range of them."""

    def __init__(self, keys: NDArray[np.float32], device: str):
        self._keys = keys
        self._index = faiss.IndexFlatIP(keys.shape[1])
        self._index.add(keys)

    def candidates(self, queries: NDArray[np.float32], count: int, first: int, stop: int) -> NDArray[np.int64]:
        """See `Engine`."""
        if stop - first == len(self._keys):
            ids: NDArray[np.int64] = self._index.search(queries, count)[1]
            return ids
        near = faiss.knn(queries, self._keys[first:stop], count, metric=faiss.METRIC_INNER_PRODUCT)[1]
        return np.asarray(near, np.int64) + first


class TorchEngine:
    """Matrix product and top-k, on a device."""

    def __init__(self, keys: NDArray[np.float32], device: str):
        self._keys = torch.from_numpy(keys).to(device)

    def candidates(self, queries: NDArray[np.float32], count: int, first: int, stop: int) -> NDArray[np.int64]:
        """See `Engine`."""
        products = torch.from_numpy(queries).to(self._keys.device) @ self._keys[first:stop].T
        ids: NDArray[np.int64] = products.topk(count, sorted=False).indices.cpu().numpy()
        return ids + first


ENGINES: dict[str, type[FaissEngine] | type[TorchEngine]] = {"faiss": FaissEngine, "torch": TorchEngine}


class Search:
    """Exact search with one answer whatever the engine.

    Engines round differently and break ties as they like. So more candidates than asked for are taken, scored again in double
    precision, rounded to `DECIMALS`, and sorted by falling score, then rising id. Where the last candidate ties with the last
    wanted one, more are fetched until it does not.
    """

    DECIMALS = 6
    MARGIN = 16

    def __init__(self, keys: NDArray[np.float32], engine: Literal["faiss", "torch"], device: str = "cpu"):
        self._keys = np.ascontiguousarray(keys, dtype=np.float32)
        self._engine = ENGINES[engine](self._keys, device)

    def nearest(
        self, queries: NDArray[np.float32], count: int, first: int = 0, stop: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The nearest keys of [Q, W] queries among those from `first` to before `stop`, best first.

        Returns:
            Scores and ids, [Q, min(count, stop - first)] each.
        """
        stop = len(self._keys) if stop is None else stop
        total = stop - first
        count = min(count, total)
        scores = np.empty((len(queries), count), np.float32)
        ids = np.empty((len(queries), count), np.int64)
        rows, fetch = np.arange(len(queries) if count else 0), min(total, count + self.MARGIN)
        while len(rows):
            exact, order = self._settle(queries[rows], self._engine.candidates(queries[rows], fetch, first, stop))
            scores[rows], ids[rows] = exact[:, :count], order[:, :count]
            tied = (exact[:, -1] >= exact[:, count - 1]) if fetch < total else np.zeros(len(rows), bool)
            rows, fetch = rows[tied], min(total, 4 * fetch)
        return scores, ids

    def _settle(self, queries: NDArray[np.float32], ids: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        products = np.einsum("qw,qkw->qk", queries.astype(np.float64), self._keys[ids].astype(np.float64))
        scores = products.round(self.DECIMALS)
        order = np.lexsort((ids, -scores), axis=-1)
        return np.take_along_axis(scores, order, -1), np.take_along_axis(ids, order, -1)
