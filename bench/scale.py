"""How cost grows with tasks, transitions, keys and evaluation: `python -m bench.scale --help`, docs/performance.md."""

from __future__ import annotations

import argparse
import csv
import io
import math
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from bench.harness import darkroom, defaults, generation, timed
from radt import artifacts
from radt.data import trajectories
from radt.data.episodes import EpisodeBuffer
from radt.data.trajectories import Shard
from radt.data.windows import Episodes
from radt.errors import RadtError
from radt.evaluation.memory import OnlineMemory
from radt.machine import commit, machine, threads
from radt.models import store
from radt.retrieval.chunks import embed_episodes
from radt.retrieval.engines import Inverted
from radt.retrieval.search import Search
from radt.stages import run
from radt.suites import suite_of
from radt.suites.grid.qlearning import learn
from radt.suites.grid.settings import GridExperiment
from radt.training import loop

COLUMNS = ("axis", "size", "quantity", "value", "unit", "machine", "commit")
Row = tuple[str, int, str, float, str]
HORIZON, BATCH, WIDTH, WANTED = 100, 64, 64, 100
EACH, MOST = 100_000, 65_535  # steps of a synthetic task, and the most tasks of them that a room has cells for
TASKS, STEPS, KEYS, EPISODES = (80, 800, 8000), (8 * 10**6, 8 * 10**7, 8 * 10**8), (300_000, 3_000_000), (40, 80, 160, 320)


class Kept(NamedTuple):
    """A row of the CSV file: what was measured, and where."""

    row: Row
    machine: str
    commit: str


def resident(kind: str) -> float:
    """Resident MB of this process: `RssAnon`, its own memory, or `RssFile`, pages of mapped files, which the system may drop."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    )
    return int(fields[kind].split()[0]) / 1024


def drop_cache(folder: Path) -> None:
    """Ask the system to forget the pages of all files in `folder`, so that the next read comes from the disk."""
    for path in folder.iterdir():
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def tasks() -> Iterator[Row]:
    """Learning histories by tabular Q-learning, ten episodes of each task, in a room with a cell for every goal."""
    for count in TASKS:
        side = math.ceil(count**0.5) + 1
        room = GridExperiment(
            world="darkroom", width=side, height=side, horizon=HORIZON, num_tasks=count + 1, num_held_out=1, num_validation=0
        )
        settings = generation().model_copy(update={"episodes": 10, "epsilon_episodes": 6})
        before, begin = resident("RssAnon"), time.perf_counter()
        shard = learn(room, settings)
        yield "tasks", count, "generation", (time.perf_counter() - begin) / len(shard.actions) * 1e6, "us per transition"
        yield "tasks", count, "generation, whole", time.perf_counter() - begin, "s"
        yield "tasks", count, "memory", resident("RssAnon") - before, "MB"


def synthetic(steps: int) -> Iterator[Shard]:
    """Learning histories of random content, a task of 100,000 steps after the other; noise is drawn once and shifted."""
    random, each = np.random.default_rng(0), EACH
    positions, actions = random.integers(0, 10, (2 * each, 2), np.uint8), random.integers(0, 5, 2 * each, np.uint8)
    rewards = (random.random(2 * each) < 0.5).astype(np.float32)
    start = np.arange(0, each + 1, HORIZON)
    for task in range(steps // each):
        part = slice(task * 7919 % each, task * 7919 % each + each)
        tasks = np.full(len(start) - 1, task, np.int32)
        yield Shard(positions[part], actions[part, None], rewards[part], start, tasks, np.zeros_like(tasks))


def wide_room(steps: int) -> GridExperiment:
    """A room for the tasks of `synthetic`."""
    return GridExperiment(
        world="darkroom", width=256, height=256, horizon=HORIZON, num_tasks=steps // EACH + 1, num_held_out=1, num_validation=0
    )


def transitions(sizes: tuple[int, ...], folder: Path) -> Iterator[Row]:
    """Writing synthetic data to `folder` and reading windows from them; the next size replaces them."""
    for steps in sizes:
        begin = time.perf_counter()
        trajectories.write(folder, "synthetic", suite_of(wide_room(steps)), {"name": "synthetic"}, synthetic(steps))
        yield "transitions", steps, "writing", time.perf_counter() - begin, "s"
        yield from windows(steps, folder)


def windows(steps: int, folder: Path) -> Iterator[Row]:
    """Window batches and updates from shards: after all was read once, and right after the cache was dropped."""
    begin, before = time.perf_counter(), resident("RssAnon")
    data = trajectories.read(folder, suite_of(wide_room(steps)))
    yield "transitions", steps, "verifying", time.perf_counter() - begin, "s"
    episodes, random = Episodes(data), np.random.default_rng(0)
    yield "transitions", steps, "opening", time.perf_counter() - begin, "s"
    for _ in range(400):
        episodes.sample(random, BATCH, HORIZON)
    rate = timed(lambda: episodes.sample(random, BATCH, HORIZON), BATCH, 3.0)
    yield "transitions", steps, "window batch", 1e6 * BATCH / rate, "us"
    yield "transitions", steps, "training update", updating(episodes, wide_room(steps)), "us"
    yield "transitions", steps, "own memory", resident("RssAnon") - before, "MB"
    yield "transitions", steps, "mapped pages", resident("RssFile"), "MB"
    for shard in data.shards:
        artifacts.read_at_random(shard.rewards)
    drop_cache(folder)
    rate = timed(lambda: episodes.sample(random, BATCH, HORIZON), BATCH, 3.0)
    yield "transitions", steps, "window batch, cache dropped", 1e6 * BATCH / rate, "us"


def updating(episodes: Episodes, room: GridExperiment) -> float:
    """Microseconds of an update of the default DT, from drawing its windows to the optimiser's step."""
    settings = defaults().pretrain
    model, random = store.dt(suite_of(room).spec, settings), np.random.default_rng(1)
    optimizer = loop.optimizer_of(model, settings.optimization)

    def update() -> None:
        _, steps = episodes.sample(random, BATCH, HORIZON)
        with loop.autocast(settings.optimization, "cpu"):
            logits, _ = model(steps)
        loss = loop.action_loss(model.head, logits, steps).mean
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(3):
        update()
    return 1e6 / timed(update, 1.0, 5.0)


def clustered(count: int) -> NDArray[np.float32]:
    """Keys [count, W] of length 1 around 2000 centres, as crowded as those of a trained encoder."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(2000, WIDTH)).astype(np.float32)
    keys = np.empty((count, WIDTH), np.float32)
    for begin in range(0, count, 10**6):
        part = keys[begin : begin + 10**6]
        part[:] = random.standard_normal(part.shape, np.float32) * 0.3
        part += centres[random.integers(0, len(centres), len(part))]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return keys


def keys(sizes: tuple[int, ...]) -> Iterator[Row]:
    """A batch of 128 queries for 100 keys: exact search, and inverted lists with their build time and recall."""
    faiss.omp_set_num_threads(threads())
    for count in sizes:
        vectors = clustered(count)
        queries = vectors[np.random.default_rng(1).integers(0, count, 128)]
        yield "keys", count, "keys in memory", vectors.nbytes / 2**20, "MB"
        search = Search(vectors, "torch")
        yield "keys", count, "exact search", 1e3 * 128 / timed(lambda: search.nearest(queries, WANTED), 128, 2.0), "ms"  # noqa: B023
        wanted = search.nearest(queries, WANTED)[1]
        begin, before = time.perf_counter(), resident("RssAnon")
        lists = Inverted(vectors, defaults().train_retrieval.retrieval.nprobe)
        yield "keys", count, "inverted lists, building", time.perf_counter() - begin, "s"
        yield "keys", count, "inverted lists, memory", resident("RssAnon") - before, "MB"
        yield "keys", count, "inverted lists", 1e3 * 128 / timed(lambda: lists.candidates(queries, WANTED), 128, 2.0), "ms"  # noqa: B023
        rows, ids = lists.candidates(queries, WANTED)
        hits = sum(len(set(wanted[row]) & set(ids[rows == row].tolist())) for row in range(128))
        yield "keys", count, "inverted lists, recall", hits / wanted.size, ""


def evaluation() -> Iterator[Row]:
    """Time of one query of all held-out tasks in a memory of so many episodes, and of adding an episode to it."""
    room, settings = darkroom(), defaults()
    encoder = store.dt(suite_of(room).spec, settings.pretrain).eval().requires_grad_(False)
    chunk_length, k_context = settings.embed.chunk_length, settings.train_retrieval.retrieval.k_context
    for count in EPISODES:
        history = EpisodeBuffer(room.num_held_out, count, suite_of(room).spec)
        memory = OnlineMemory(
            partial(embed_episodes, encoder, chunk_length), history, settings.evaluate.memory, chunk_length, k_context
        )
        begin = time.perf_counter()
        for episode in range(count):
            history.finish()
            memory.add(episode)
        yield "evaluation episodes", count, "adding an episode", (time.perf_counter() - begin) / count * 1e6, "us"
        queries = torch.nn.functional.normalize(torch.randn(room.num_held_out, settings.pretrain.model.width), dim=-1)
        rate = timed(lambda: memory.context(queries), 1.0, 1.0)  # noqa: B023
        yield "evaluation episodes", count, "query", 1e6 / rate, "us"


def slope(points: list[tuple[int, float]]) -> float:
    """Least-squares slope of log(value) over log(size)."""
    size, value = np.log(np.array(points, float)).T
    return float(((size - size.mean()) * (value - value.mean())).sum() / ((size - size.mean()) ** 2).sum())


def slopes(rows: list[Row]) -> list[tuple[str, str, float]]:
    """Axis, quantity and fitted exponent: the slope of log(value) over log(size)."""
    found = []
    for axis, quantity in dict.fromkeys((row[0], row[2]) for row in rows):
        points = [(row[1], row[3]) for row in rows if (row[0], row[2]) == (axis, quantity) and row[3] > 0]
        if len({size for size, _ in points}) > 1:
            found.append((axis, quantity, slope(points)))
    return found


def draw(rows: list[Row], path: Path) -> None:
    """One panel for each axis, both scales logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    axes = list(dict.fromkeys(row[0] for row in rows))
    figure, panels = pyplot.subplots(1, len(axes), figsize=(4.2 * len(axes), 4), layout="constrained", squeeze=False)
    for axis, panel in zip(axes, panels[0], strict=True):
        own = [row for row in rows if row[0] == axis and row[4]]
        for quantity, unit in dict.fromkeys((row[2], row[4]) for row in own):
            points = [(row[1], row[3]) for row in own if row[2] == quantity]
            panel.loglog(*zip(*points, strict=True), marker="o", label=f"{quantity} ({unit})")
        panel.set_xlabel(axis)
        panel.legend(fontsize=6)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    artifacts.write_bytes(path, buffer.getvalue())


def read(path: Path) -> list[Kept]:
    """Rows of a CSV file that `main` wrote; none when there is no file. Raises `RadtError` when it holds something else."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        head, *lines = [*csv.reader(file)] or [[]]
    try:
        if tuple(head) != COLUMNS:
            raise ValueError(head)
        return [
            Kept((axis, int(size), quantity, float(value), unit), where, at)
            for axis, size, quantity, value, unit, where, at in lines
        ]
    except ValueError:
        raise RadtError(f"{path} holds no measurements of this version: delete it, or give another --output") from None


def write(folder: Path, kept: list[Kept]) -> None:
    """The CSV file and the figure."""
    text = io.StringIO()
    rows = [(*row[:3], f"{row[3]:.5g}", row[4], where, at) for row, where, at in sorted(kept)]
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    artifacts.write_text(folder / "scale.csv", text.getvalue())
    draw(sorted(entry.row for entry in kept), folder / "scale.png")


def check(steps: list[int], keys: list[int], folder: Path | None) -> None:
    """Raise `RadtError` for sizes that cannot be measured, or when `folder` is not there."""
    for count in steps:
        if count % EACH or not 0 < count <= MOST * EACH:
            raise RadtError(f"--steps is {count}, allowed is a multiple of {EACH} up to {MOST * EACH}")
    for count in keys:
        if count < WANTED:
            raise RadtError(f"--keys is {count}, allowed is {WANTED} or more: as many are searched for")
    if folder and not folder.is_dir():
        raise RadtError(f"--folder is {folder}, which is no directory: make it, or give another one")


def main(argv: list[str] | None = None) -> int:
    """Measure some axes, replace their rows in the CSV file, and draw everything that is in it."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    axes = ("tasks", "transitions", "keys", "evaluation")
    parser.add_argument("--only", nargs="+", choices=axes, default=axes, help="measure these instead of everything")
    parser.add_argument("--steps", nargs="+", type=int, default=STEPS, help="sizes of synthetic data; 7 bytes on disk each")
    parser.add_argument("--keys", nargs="+", type=int, default=KEYS, help="sizes of synthetic indices; 512 bytes in memory each")
    parser.add_argument("--folder", type=Path, help="where synthetic data are kept for the time being")
    parser.add_argument("--output", type=Path, default=Path("docs") / "bench", help="folder of scale.csv and scale.png")
    given = parser.parse_args(argv)
    check(list(given.steps), list(given.keys), given.folder)
    loop.prepare("cpu")
    kept = read(given.output / "scale.csv")
    with TemporaryDirectory(dir=given.folder) as folder:
        measured: dict[str, Callable[[], Iterator[Row]]] = {
            "tasks": tasks,
            "transitions": lambda: transitions(tuple(given.steps), Path(folder)),
            "keys": lambda: keys(tuple(given.keys)),
            "evaluation": evaluation,
        }
        for axis in given.only:
            for row in measured[axis]():
                print(f"{row[0]:20} {row[1]:12} {row[2]:28} {row[3]:12.5g} {row[4]}", flush=True)
                kept = [*(old for old in kept if old.row[:3] != row[:3]), Kept(row, machine(), commit())]
    write(given.output, kept)
    for axis, quantity, slope in slopes([entry.row for entry in kept]):
        print(f"{axis:20} {quantity:28} exponent {slope:.2f}")
    return 0


if __name__ == "__main__":
    run(main)
