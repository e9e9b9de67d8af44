"""Random training windows read from our shards against HDF5 with gzip and Minari, and training on them against data in memory."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.harness import Measurement, alternate, compare, darkroom, generation, peer_package, rotate, timed
from bench.scale import updating
from radt.data import trajectories, windows
from radt.data.windows import Episodes
from radt.settings.sources import Generate
from radt.suites import suite_of
from radt.suites.grid.qlearning import learn
from radt.suites.grid.settings import GridExperiment
from radt.training import job

ROOM = darkroom()
BATCH, WINDOW = 64, 100
CHUNKS = {"HDF5 with gzip": None, "HDF5 with gzip, chunks of ten episodes": 10 * ROOM.horizon}  # rows; None: h5py's own
MINARI = 1000  # episodes in the Minari data set: its rate does not depend on their number, the time to make it does
Columns = dict[str, NDArray[Any]]


def histories(folder: Path, room: GridExperiment, generate: Generate) -> Episodes:
    """Learning histories, written to `folder` and read back as every stage reads them."""
    trajectories.write(folder, "bench", suite_of(room), {"name": "generate"}, [learn(room, generate)])
    return job.read_data(folder, suite_of(room)).episodes


def flat(episodes: Episodes) -> Columns:
    """The stored columns, one row for each step."""
    steps = episodes.columns.windows(episodes.first, episodes.first, episodes.first + episodes.length, ROOM.horizon)
    return {
        "observations": steps.observation.flatten(0, 1).to(torch.uint8).numpy(),
        "actions": steps.action.flatten().to(torch.uint8).numpy(),
        "rewards": steps.reward.flatten().numpy(),
    }


def in_memory(episodes: Episodes) -> Episodes:
    """The same data in tensors."""
    steps = episodes.columns.windows(episodes.first, episodes.first, episodes.first + episodes.length, ROOM.horizon)
    steps = steps.map(lambda values: values.flatten(0, 1))
    held = copy.copy(episodes)
    observation, action = steps.observation.to(torch.uint8), steps.action.to(torch.uint8)
    held.columns = windows.Columns(observation, action, steps.reward, steps.returns, steps.received, episodes.columns.spec)
    return held


def hdf5(path: Path, columns: Columns, start: NDArray[np.int64], chunk: int | None) -> Callable[[], object]:
    """A reader of random batches of whole episodes from one HDF5 file with gzip, `chunk` rows compressed together."""
    h5py = peer_package("h5py")
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file.create_dataset(name, data=values, chunks=chunk is None or (chunk, *values.shape[1:]), compression="gzip")
    file, random = h5py.File(path), np.random.default_rng(0)
    datasets = [file[name] for name in columns]

    def read() -> object:
        rows = start[random.integers(0, len(start), BATCH)].tolist()
        return [torch.from_numpy(np.stack([data[row : row + WINDOW] for row in rows])) for data in datasets]

    return read


def minari(folder: Path, columns: Columns) -> Callable[[], object]:
    """A reader of random batches of whole episodes from a Minari data set."""
    os.environ["MINARI_DATASETS_PATH"] = str(folder / "minari")
    package, buffers, spaces = peer_package("minari"), peer_package("minari.data_collector"), peer_package("gymnasium.spaces")
    shaped = {name: values.reshape(MINARI, ROOM.horizon, *values.shape[1:]) for name, values in columns.items()}
    ends = np.zeros(ROOM.horizon, bool)
    data = package.create_dataset_from_buffers(
        "radt/bench-v0",
        [
            buffers.EpisodeBuffer(
                id=number,
                observations=np.concatenate([observations, observations[-1:]]),
                actions=actions,
                rewards=rewards,
                terminations=ends,
                truncations=ends,
            )
            for number, (observations, actions, rewards) in enumerate(zip(*shaped.values(), strict=True))
        ],
        observation_space=spaces.Box(0, 255, (2,), np.uint8),
        action_space=spaces.Discrete(5),
    )
    random = np.random.default_rng(0)

    def read() -> object:
        drawn = list(data.iterate_episodes(random.integers(0, MINARI, BATCH).tolist()))
        return [
            torch.from_numpy(np.stack([getattr(episode, name)[:WINDOW] for episode in drawn]))
            for name in ("observations", "actions", "rewards")
        ]

    return read


def measure(runs: int) -> list[Measurement]:
    """Batches of 64 windows of 100 steps; ours also returns the returns-to-go and what came before each step."""
    with TemporaryDirectory() as directory:
        episodes, random = histories(Path(directory) / "ours", ROOM, generation()), np.random.default_rng(0)
        columns, names = flat(episodes), (*CHUNKS, "Minari")
        readers = {
            "ours": lambda: episodes.sample(random, BATCH, WINDOW),
            **{
                name: hdf5(Path(directory) / f"{number}.hdf5", columns, episodes.first.numpy(), chunk)
                for number, (name, chunk) in enumerate(CHUNKS.items())
            },
            "Minari": minari(Path(directory), {name: values[: MINARI * ROOM.horizon] for name, values in columns.items()}),
        }
        held = in_memory(episodes)
        updates = alternate(
            "training on mapped data", "updates/s", "the same data in memory", 0.9,
            lambda: 1e6 / updating(episodes, ROOM), lambda: 1e6 / updating(held, ROOM), runs,
        )  # fmt: skip
        rate = rotate({name: lambda read=read: timed(read, BATCH) for name, read in readers.items()}, runs)  # type: ignore[misc]
    read = [compare(f"random windows: {name}", "windows/s", name, 20.0, rate["ours"], rate[name], runs) for name in names]
    return [*read, updates]
