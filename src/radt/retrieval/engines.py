"""Search engines by inner product: FAISS and torch (exact), and FAISS' inverted lists (approximate)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Engine(Protocol):
    """Proposes candidates; `Search` computes their exact scores and their order."""

    def candidates(
        self, queries: NDArray[np.float32], count: int, first: int, stop: int, margin: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Candidate pairs: rows [P] of `queries` [Q, W] and ids [P] of keys from `first` to before `stop`, in any order.

        They include every key whose product is at least the query's `count`-th highest product less its `margin` [Q].
        """


@contextmanager
def in_float32() -> Iterator[None]:
    """Switch TF32 off for float32 products, whatever the training has set: `Search` relies on their precision."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class FaissEngine:
    """FAISS on the CPU: its plain k-nearest-neighbour search, without a copy of the keys."""

    def __init__(self, keys: NDArray[np.float32], device: str):
        self._keys = keys

    def candidates(
        self, queries: NDArray[np.float32], count: int, first: int, stop: int, margin: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """See `Engine`. Fetches more keys until the last product is below the margin."""
        left, fetch, pairs = np.arange(len(queries)), min(stop - first, count + 16), []
        while len(left):
            scores, ids = faiss.knn(queries[left], self._keys[first:stop], fetch, metric=faiss.METRIC_INNER_PRODUCT)
            done = (scores[:, -1] < scores[:, count - 1] - margin[left]) | (fetch == stop - first)
            pairs.append((left[done].repeat(fetch), ids[done].reshape(-1).astype(np.int64) + first))
            left, fetch = left[~done], min(stop - first, 4 * fetch)
        rows, columns = (np.concatenate(column) for column in zip(*pairs, strict=True))
        return rows, columns


class TorchEngine:
    """Matrix products on a device, in blocks that fit its cache, with a lower bound that discards nearly all products.

    The lowest maximum of any `count` groups of keys is a lower bound of the `count`-th highest product. So only groups whose
    maximum reaches the bound less the margin are searched. The bound rises from stripe to stripe. The matrix of all products is
    never in memory.
    """

    BLOCK, GROUP, STRIPE, QUERIES = 8192, 16, 2, 128

    def __init__(self, keys: NDArray[np.float32], device: str):
        self._keys = torch.from_numpy(keys if keys.flags.writeable else keys.copy()).to(device)  # torch takes no read-only array
        self._products = self._keys.new_empty(self.STRIPE * self.QUERIES * self.BLOCK)  # kept: fresh memory is slow

    @in_float32()
    def candidates(
        self, queries: NDArray[np.float32], count: int, first: int, stop: int, margin: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """See `Engine`."""
        pairs = []
        for begin in range(0, len(queries), self.QUERIES):
            part = slice(begin, begin + self.QUERIES)
            wanted, slack = (torch.from_numpy(x[part]).to(self._keys.device) for x in (queries, margin))
            rows, ids = self._within_reach(wanted, count, first, stop, slack[:, None])
            pairs.append(((rows + begin).cpu().numpy(), ids.cpu().numpy()))
        return np.concatenate([rows for rows, _ in pairs]), np.concatenate([ids for _, ids in pairs])

    def _within_reach(self, queries: Tensor, count: int, first: int, stop: int, margin: Tensor) -> tuple[Tensor, Tensor]:
        """`candidates` for at most `QUERIES` queries; `margin` [Q, 1]."""
        block, group = (self.BLOCK, self.GROUP) if stop - first > self.BLOCK else (stop - first, 1)
        blocks, step = min(self.STRIPE, -(-(stop - first) // block)), block // group
        products = self._products[: blocks * len(queries) * block].view(blocks, len(queries), block)
        best = queries.new_full((len(queries), count), -torch.inf)
        found = []
        for begin in range(first, stop, blocks * block):
            for number in range(blocks):
                keys = self._keys[begin + number * block : min(stop, begin + (number + 1) * block)]
                torch.mm(queries, keys.T, out=products[number, :, : len(keys)])
                products[number, :, len(keys) :] = -torch.inf
            maxima = products.view(blocks, len(queries), group, step).amax(2).transpose(0, 1).flatten(1)  # [Q, blocks step]
            best = highest(torch.cat([best, maxima], 1), count)
            bound = best.amin(1, keepdim=True) - margin
            row, place = where(maxima >= bound)
            block_of, column = place // step, place % step
            members = products.view(blocks, len(queries), group, step)[block_of, row, :, column]
            pair, member = where((members >= bound[row]) & (members > -torch.inf))
            ids = begin + block_of[pair] * block + member * step + column[pair]
            found.append((row[pair], ids, members[pair, member]))
        row, ids, score = (torch.cat(column) for column in zip(*found, strict=True))
        kept = score >= bound[row, 0]
        return row[kept], ids[kept]


def highest(values: Tensor, count: int) -> Tensor:
    """The `count` highest values of each row, in any order; on a CPU by NumPy, which is several times faster than torch."""
    if values.device.type != "cpu":
        return values.topk(count, sorted=False).values
    return torch.from_numpy(np.partition(values.numpy(), values.shape[1] - count, axis=1)[:, -count:])


def where(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of the true values of a mask [R, C]; on a CPU by NumPy, which is faster."""
    if mask.device.type != "cpu":
        rows, columns = torch.nonzero(mask).unbind(1)
        return rows, columns
    rows, columns = (torch.from_numpy(x) for x in np.divmod(np.flatnonzero(mask.numpy()), max(1, mask.shape[1])))
    return rows, columns


ENGINES: dict[str, type[FaissEngine] | type[TorchEngine]] = {"faiss": FaissEngine, "torch": TorchEngine}


class Inverted:
    """FAISS' inverted lists (IVF): keys are grouped around centroids, and the `nprobe` lists nearest to a query are searched.

    There are 2 sqrt(K) lists, at most one for each key; a centroid is trained on up to 64 keys. The same keys give the same lists
    for one number of threads and one build of FAISS and BLAS; another order of additions may move a key to another list.

    Args:
        keys: [K, W]
        nprobe: lists searched for a query.
    """

    def __init__(self, keys: NDArray[np.float32], nprobe: int):
        lists = min(len(keys), round(2 * len(keys) ** 0.5))
        self._quantizer = faiss.IndexFlatIP(keys.shape[1])  # kept: the index holds no reference to it
        self._index = faiss.IndexIVFFlat(self._quantizer, keys.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        self._index.cp.max_points_per_centroid, self._index.cp.min_points_per_centroid = 64, 1
        self._index.train(keys)
        for part in range(0, len(keys), 2**18):
            self._index.add(keys[part : part + 2**18])
        self._index.nprobe = min(nprobe, lists)

    def candidates(self, queries: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows [P] of `queries` [Q, W] and ids [P] of the `count` nearest keys in the searched lists."""
        ids = self._index.search(queries, count)[1]
        rows, columns = np.nonzero(ids >= 0)
        return rows, ids[rows, columns]
