"""Retrieval for a training batch against FAISS' flat index and a plain matrix product with top-k, one thread."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from radt import artifacts
from radt.bench.harness import Measurement, compare, rotate, timed
from radt.bench.reading import histories
from radt.bench.training import optimization, sizes
from radt.models import store
from radt.retrieval.chunks import embed_episodes
from radt.retrieval.index import distinct
from radt.retrieval.search import Search
from radt.settings import Experiment, Training

QUERIES, WANTED, WINDOWS = 128, 100, 32  # of a batch of 32 windows with four segments each
RESULTS = Path("results") / "darkroom"  # the real index, where a run has left it
CHUNK = 25
ROOM = Experiment(width=10, height=10, horizon=100, goals=100, held_out=20, validation=0)
SIMILARITY = 0.995  # index.duplicate_similarity of config/config.yaml
Keys = NDArray[np.float32]
Ids = NDArray[np.int64]


def default_index() -> tuple[str, Keys, Ids]:
    """Where they come from, keys [K, W] before de-duplication and their tasks [K] of the default experiment."""
    if found := sorted(RESULTS.glob("**/embeddings.safetensors")):
        tensors = artifacts.read_tensors(found[0])
        return "the trained encoder", np.array(tensors["keys"]), tensors["task"].astype(np.int64)
    with TemporaryDirectory() as directory:
        episodes = histories(Path(directory), ROOM)
        size = sizes()[0]
        encoder = store.dt(ROOM, Training(model=size.model(size.tokens), optimization=optimization("bfloat16"))).eval()
        parts = [
            embed_episodes(encoder, episodes.columns, episodes.first[part], episodes.length[part], CHUNK)[:2]
            for part in torch.arange(len(episodes.first)).split(128)
        ]
        task = torch.cat([episodes.task[128 * number + row] for number, (_, row) in enumerate(parts)])
    return "a fresh encoder", torch.cat([keys for keys, _ in parts]).numpy(), task.numpy()


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


def compared(name: str, keys: Keys, task: Ids, runs: int, targets: tuple[float | None, float | None]) -> list[Measurement]:
    """Both pools of one index against both peers."""
    queries, first, stop = batch(keys, task)
    search, flat, matrix = Search(keys, "torch"), faiss.IndexFlatIP(keys.shape[1]), torch.from_numpy(keys)
    flat.add(keys)
    wanted, ranges = torch.from_numpy(queries), list(zip(first.tolist(), stop.tolist(), strict=True))

    def flat_ranges() -> None:
        for row, (begin, end) in enumerate(ranges):
            if end > begin:
                faiss.knn(queries[row : row + 1], keys[begin:end], min(WANTED, end - begin), metric=faiss.METRIC_INNER_PRODUCT)

    def topk_ranges() -> None:
        for row, (begin, end) in enumerate(ranges):
            (wanted[row] @ matrix[begin:end].T).topk(min(WANTED, end - begin))

    pools = {
        "all": (
            lambda: search.nearest(queries, WANTED),
            lambda: flat.search(queries, WANTED),
            lambda: (wanted @ matrix.T).topk(WANTED),
        ),
        "earlier": (lambda: search.nearest_within(queries, WANTED, first, stop), flat_ranges, topk_ranges),
    }
    entries = []
    for pool, functions in pools.items():
        names = ("ours", "faiss IndexFlatIP" if pool == "all" else "faiss.knn in each range", "torch matmul and topk")
        rates = {label: lambda run=run: timed(run, QUERIES) for label, run in zip(names, functions, strict=True)}
        rate = rotate(rates, runs)
        entries += [
            compare(f"retrieval, pool {pool}, {name}: {peer}", "queries/s", peer, target, rate["ours"], rate[peer], runs)
            for peer, target in zip(names[1:], targets, strict=True)
        ]
    return entries


def measure(runs: int) -> list[Measurement]:
    """The index before and after de-duplication."""
    faiss.omp_set_num_threads(1)
    origin, keys, task = default_index()
    stay = distinct(keys, task, SIMILARITY)
    entries = compared(f"{len(keys)} keys of {origin}", keys, task, runs, (3.0, 1.0))
    return entries + compared(f"{len(stay)} keys of {origin} after de-duplication", keys[stay], task[stay], runs, (3.0, 1.0))
