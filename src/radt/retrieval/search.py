"""Nearest-neighbour search by inner product, with the same ids for every engine (`radt.retrieval.engines`)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from radt.retrieval import DECIMALS
from radt.retrieval.engines import ENGINES, Engine, FaissEngine, Inverted

SMALL = 1024
"""Ranges of at most this many keys are searched without an engine."""

PAIRS = 2**12
"""Pairs of query and key that are scored in double precision at once."""


class Search:
    """Search whose results do not depend on the engine. It is exact in ranges, and among all keys up to `max_exact_keys`.

    Engines round differently and break ties differently. So all candidates that may be among the nearest (a float32 product of W
    numbers is wrong by less than W 2^-23 times both lengths) are scored again in double precision, rounded to `DECIMALS`, and
    sorted by falling score, then rising id.

    The keys may be a memory-mapped, read-only array, which is not copied. The engine is made when a range of more than `SMALL`
    keys is searched for the first time.
    """

    def __init__(
        self,
        keys: NDArray[np.float32],
        engine: Literal["faiss", "torch"],
        device: str = "cpu",
        max_exact_keys: int | None = None,
        nprobe: int = 32,
    ):
        self._keys = np.ascontiguousarray(keys, dtype=np.float32)
        faiss.omp_set_num_threads(torch.get_num_threads())  # threads of the job; FAISS would take all cores
        self._engine_name, self._device = engine, device
        exact = max_exact_keys is None or len(keys) <= max_exact_keys
        self._inverted = None if exact else Inverted(self._keys, nprobe)

    @property
    def exact(self) -> bool:
        """Whether a search among all keys is exact."""
        return self._inverted is None

    @cached_property
    def _engine(self) -> Engine:
        return ENGINES[self._engine_name](self._keys, self._device)

    @cached_property
    def _longest(self) -> float:
        """Length of the longest key."""
        return max((float(np.linalg.norm(part, axis=1).max()) for part in _parts(self._keys)), default=0.0)

    def nearest(self, queries: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The `count` nearest of all K keys for [Q, W] queries, best first.

        Returns:
            Scores and ids, [Q, min(count, K)] each; an approximate search may find fewer: score -inf, id 0.
        """
        count = min(count, len(self._keys))
        if self._inverted is not None:
            return self._settle(queries, *self._inverted.candidates(queries, count), count)
        return self.nearest_within(queries, count, np.zeros(len(queries), np.int64), np.full(len(queries), len(self._keys)))

    def nearest_within(
        self, queries: NDArray[np.float32], count: int, first: NDArray[np.int64], stop: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The `count` nearest keys of each query in its own range, `first` [Q] to before `stop` [Q]; always exact.

        Small ranges (the earlier chunks of one learning history) are searched in one batched product.

        Returns:
            Scores and ids, [Q, count] each; for ranges of fewer keys: score -inf, id 0.
        """
        ranges, member = np.unique(np.stack([first, stop], 1), axis=0, return_inverse=True)
        member = member.reshape(-1)
        if (ranges[:, 1] - ranges[:, 0]).max(initial=0) <= SMALL:
            return self._within(queries, count, ranges, member)
        queries, margin, pairs = np.ascontiguousarray(queries, np.float32), self._margin(queries), []
        for number, (begin, end) in enumerate(ranges.tolist()):
            if end > begin:
                rows = np.flatnonzero(member == number)
                near, ids = self._engine.candidates(queries[rows], min(count, end - begin), begin, end, margin[rows])
                pairs.append((rows[near], ids))
        rows, ids = (np.concatenate(column) for column in zip(*pairs, strict=True))
        return self._settle(queries, rows, ids, count)

    def _margin(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Largest difference [Q] between float32 products that may be equal in double precision after rounding."""
        length = np.linalg.norm(queries, axis=1) * self._longest
        margin: NDArray[np.float32] = (2 * (queries.shape[1] * 2.0**-23 * length + 10.0**-DECIMALS)).astype(np.float32)
        return margin

    def _within(
        self, queries: NDArray[np.float32], count: int, ranges: NDArray[np.int64], member: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """`nearest_within` for the small range `ranges[member]` of each query: all products at once, in double precision."""
        sizes = ranges[:, 1] - ranges[:, 0]
        longest = int(sizes.max(initial=0))
        scores, ids = np.full((len(queries), count), -np.inf, np.float32), np.zeros((len(queries), count), np.int64)
        order = member.argsort(kind="stable")
        slot = np.empty_like(order)
        slot[order] = np.arange(len(order)) - np.searchsorted(member[order], member[order])
        grouped = np.zeros((len(ranges), int(slot.max(initial=0)) + 1, queries.shape[1]))  # [ranges, queries of a range, W]
        grouped[member, slot] = queries
        row = (ranges[:, :1] + np.arange(longest)).clip(0, len(self._keys) - 1)
        products = torch.from_numpy(grouped) @ torch.from_numpy(self._keys[row]).double().mT
        exact = products.numpy()[member, slot].round(DECIMALS)  # [Q, longest]
        exact[np.arange(longest) >= sizes[member, None]] = -np.inf
        best = (-exact).argsort(axis=1, kind="stable")[:, :count]
        found = np.take_along_axis(exact, best, 1)
        scores[:, : best.shape[1]] = found
        ids[:, : best.shape[1]] = np.where(found > -np.inf, best + ranges[member, :1], 0)
        return scores, ids

    def recall(self, queries: NDArray[np.float32], count: int, own: NDArray[np.int64] | None = None) -> float:
        """Share of the exact `count` nearest keys of a sample of queries [Q, W] that `nearest` finds; 1 where it is exact.

        A key with the score of the last exact one counts as found. Where the queries are keys, `own` [Q] are their ids: a query's
        own key is left out, because it always finds itself.
        """
        others = len(self._keys) - (own is not None)
        wanted, asked = min(count, others), min(count, others) + (own is not None)
        if self.exact or not wanted or not len(queries):
            return 1.0
        queries = np.ascontiguousarray(queries, np.float32)
        engine = FaissEngine(self._keys, "cpu")  # the one that needs no copy of the keys
        exact = self._settle(queries, *engine.candidates(queries, asked, 0, len(self._keys), self._margin(queries)), asked)
        found = self.nearest(queries, asked)
        at, best = (
            np.where(ids == own[:, None], -np.inf, scores) if own is not None else scores for scores, ids in (found, exact)
        )
        at, best = (-np.sort(-scores)[:, :wanted] for scores in (at, best))
        return float((at >= best[:, -1:]).mean())

    def _settle(
        self, queries: NDArray[np.float32], rows: NDArray[np.int64], ids: NDArray[np.int64], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and ids [Q, count] of the best of P candidate pairs, `rows` [P] of queries and `ids` [P] of keys.

        Pairs stay a flat list, because one query may have far more candidates than the others.
        """
        rows, ids = np.divmod(np.sort(rows * len(self._keys) + ids), len(self._keys))
        exact = np.empty(len(rows))
        for begin in range(0, len(rows), PAIRS):
            part = slice(begin, begin + PAIRS)
            exact[part] = np.einsum("pw,pw->p", self._keys[ids[part]], queries[rows[part]], dtype=np.float64)
        exact = exact.round(DECIMALS)
        order = (rows - 1j * exact).argsort(kind="stable")  # by row, then falling score, then id: faster than lexsort
        held = np.bincount(rows, minlength=len(queries))
        column = np.arange(len(rows)) - np.repeat(held.cumsum() - held, held)
        kept = column < count
        scores, best = np.full((len(queries), count), -np.inf, np.float32), np.zeros((len(queries), count), np.int64)
        scores[rows[kept], column[kept]], best[rows[kept], column[kept]] = exact[order[kept]], ids[order[kept]]
        return scores, best


def _parts(keys: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Keys [K, W] in blocks of rows."""
    return (keys[begin : begin + 2**16] for begin in range(0, len(keys), 2**16))
