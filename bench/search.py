"""Retrieval for a training batch against FAISS' flat index and a plain matrix product with top-k, one thread."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from bench.harness import ROOT, Measurement, compare, darkroom, defaults, generation, rotate, timed
from bench.reading import histories
from radt import artifacts, seeding
from radt.encoders.dt import embed_all
from radt.machine import threads
from radt.models import store
from radt.retrieval.index import distinct
from radt.retrieval.search import Search
from radt.suites import suite_of

QUERIES, WANTED, WINDOWS = 128, 100, 32  # of a batch of 32 windows with four segments each
RESULTS = ROOT / "results" / "darkroom"  # the real index, where a run has left it
TARGETS = (3.0, 1.0)  # against FAISS, and against torch
SECONDS = 0.5  # of each rate in each round, so that `make bench` ends within ten minutes
Keys = NDArray[np.float32]
Ids = NDArray[np.int64]


def default_index() -> tuple[str, Keys, Ids]:
    """Where they come from, keys [K, W] before de-duplication and their tasks [K] of the default experiment."""
    if found := sorted(RESULTS.glob("**/embeddings.safetensors")):
        tensors = artifacts.read_tensors(found[0])
        return "the trained encoder", np.array(tensors["keys"]), tensors["history"].astype(np.int64)
    settings, room = defaults(), darkroom()
    seeding.seed_torch(0, "benchmark of retrieval")
    with TemporaryDirectory() as directory:
        episodes = histories(Path(directory), room, generation())
        vectors = embed_all(store.dt(suite_of(room).spec, settings.pretrain).eval(), episodes, settings.embed, room.horizon)
        task = episodes.task[vectors["episode"]].long()
    return "a fresh encoder", vectors["keys"].numpy(), task.numpy()


def batch(keys: Keys, task: Ids) -> tuple[Keys, Ids, Ids]:
    """Queries [Q, W] near random keys, and the range [Q] of each window's memory: part of the keys of one task."""
    random = np.random.default_rng(0)
    queries = keys[random.integers(0, len(keys), QUERIES)] + random.normal(0, 0.01, (QUERIES, keys.shape[1])).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    owner = random.choice(np.unique(task), WINDOWS)
    first, end = np.searchsorted(task, owner), np.searchsorted(task, owner, side="right")
    stop = first + (random.random(WINDOWS) * (end - first + 1)).astype(np.int64)
    repeat = QUERIES // WINDOWS
    return queries, first.repeat(repeat), stop.repeat(repeat)


def shared(first: Ids, stop: Ids) -> list[tuple[slice, slice]]:
    """Rows of the queries and range of the keys of each window of a `batch`; empty ranges are left out."""
    each = QUERIES // WINDOWS
    windows = enumerate(zip(first[::each].tolist(), stop[::each].tolist(), strict=True))
    return [(slice(number * each, (number + 1) * each), slice(begin, end)) for number, (begin, end) in windows if end > begin]


def flat_ranges(queries: Keys, keys: Keys, windows: list[tuple[slice, slice]]) -> list[Keys]:
    """The highest products by FAISS: the queries of a window at once in its range."""
    return [
        faiss.knn(queries[rows], keys[ids], min(WANTED, ids.stop - ids.start), metric=faiss.METRIC_INNER_PRODUCT)[0]
        for rows, ids in windows
    ]


def topk_ranges(queries: torch.Tensor, keys: torch.Tensor, windows: list[tuple[slice, slice]]) -> list[torch.Tensor]:
    """The highest products by torch: the queries of a window at once in its range."""
    return [(queries[rows] @ keys[ids].T).topk(min(WANTED, ids.stop - ids.start)).values.cpu() for rows, ids in windows]


def compared(name: str, origin: str, keys: Keys, task: Ids, runs: int, device: str = "cpu") -> list[Measurement]:
    """Both pools of one index against both peers; how many keys of which `origin` stands with the peer, so that names stay."""
    queries, first, stop = batch(keys, task)
    search, flat = Search(keys, "torch", device), faiss.IndexFlatIP(keys.shape[1])
    flat.add(keys)
    matrix, wanted, windows = torch.from_numpy(keys).to(device), torch.from_numpy(queries).to(device), shared(first, stop)
    pools = {
        "all": (
            lambda: search.nearest(queries, WANTED),
            lambda: flat.search(queries, WANTED),
            lambda: (wanted @ matrix.T).topk(WANTED).values.cpu(),
        ),
        "earlier": (
            lambda: search.nearest_within(queries, WANTED, first, stop),
            lambda: flat_ranges(queries, keys, windows),
            lambda: topk_ranges(wanted, matrix, windows),
        ),
    }
    entries = []
    for pool, functions in pools.items():
        peers = ("faiss IndexFlatIP" if pool == "all" else "faiss.knn in each range", "torch matmul and topk")
        rates = {
            label: lambda run=run: timed(run, QUERIES, SECONDS) for label, run in zip(("ours", *peers), functions, strict=True)
        }
        rate = rotate(rates, runs)
        for peer, target in zip(peers, TARGETS, strict=True):
            title, among = f"retrieval, pool {pool}, {name}: {peer}", f"{peer}; {len(keys)} keys of {origin}"
            entries.append(compare(title, "queries/s", among, target, rate["ours"], rate[peer], runs))
    return entries


def measure(runs: int, device: str = "cpu") -> list[Measurement]:
    """The index before and after de-duplication; FAISS is on the CPU."""
    faiss.omp_set_num_threads(threads())
    origin, keys, task = default_index()
    stay = distinct(keys, task, defaults().index.max_similarity)
    entries = compared("all sub-trajectories", origin, keys, task, runs, device)
    return entries + compared("after de-duplication", origin, keys[stay], task[stay], runs, device)
