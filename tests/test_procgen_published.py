"""The published histories of Procgen: HDF5 files of the same form are read, and files that are more than arrays are refused."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from radt.data import trajectories
from radt.errors import RadtError
from radt.settings.parsing import parse
from radt.settings.sources import Trajectories
from radt.suites import suite_of
from radt.suites.procgen import published, sources
from stages import configuration
from test_procgen import experiment

if find_spec("h5py"):
    import h5py

HDF5 = pytest.mark.skipif(find_spec("h5py") is None or find_spec("procgen") is None, reason="not all extras are installed")


def published_files(folder, levels=(7, 0, 1, 0, 2, 2)):
    """Random episodes of a game as they are published, each of a level; what was written, by number."""
    random, written = np.random.default_rng(0), {}
    (folder / "maze").mkdir(parents=True)
    for number, steps in enumerate(random.integers(2, 9, len(levels)).tolist()):
        frames, actions = random.integers(0, 256, (steps, 3, 64, 64), np.uint8), random.integers(0, 15, (steps, 1))
        with h5py.File(folder / f"maze/{number}.hdf5", "w") as file:
            file.create_dataset("states", data=frames, compression="gzip")
            file["actions"], file["rewards"], file["dones"] = actions, np.arange(steps) / 2, np.arange(steps) == steps - 1
            file["returns_to_go"] = np.zeros(steps)
        written[number] = frames.transpose(0, 2, 3, 1), actions
    (folder / "maze/episode_seeds.json").write_text(
        json.dumps({str(number): level for number, level in enumerate(levels)}), encoding="utf-8"
    )
    return written


@HDF5
def test_published_episodes_of_a_level_are_the_history_of_its_task(tmp_path):
    written = published_files(tmp_path)
    settings = {**configuration()["trajectories"], "source": "import", "import_folder": str(tmp_path)}
    told, found = sources.collect(experiment(), parse(Trajectories, settings), None)
    found = list(found)
    assert [set(shard.episode_task.tolist()) for shard in found] == [{0}, {1}, {2}]
    assert list(told["files"]) == ["maze/0", "maze/1", "maze/2"] and len(set(told["files"].values())) == 3
    for shard, numbers in zip(found, ((1, 3), (2,), (4, 5)), strict=True):
        assert (shard.observations == np.concatenate([written[number][0] for number in numbers])).all()
        assert (shard.actions == np.concatenate([written[number][1] for number in numbers])).all()
        assert np.diff(shard.episode_start).tolist() == [len(written[number][1]) for number in numbers]
        assert shard.terminated.tolist() == [1] * len(numbers)
    trajectories.write(tmp_path / "out", "tiny", suite_of(experiment()), told, found)


@HDF5
def test_published_files_that_are_more_than_arrays_are_refused(tmp_path):
    written = published_files(tmp_path)
    path = tmp_path / "maze/1.hdf5"
    kept, frames = path.read_bytes(), written[1][0]

    def refused(words, change=None):
        path.write_bytes(kept)
        if change:
            with h5py.File(path, "a") as file:
                change(file)
        with pytest.raises(RadtError) as caught:
            list(published.histories(tmp_path, experiment()))
        assert words in str(caught.value) and "get it again" in str(caught.value), caught.value

    def put(name, value):
        def change(file):
            del file[name]
            if value is not None:
                file[name] = value

        return change

    def outside(file):
        del file["rewards"]
        file.create_dataset("rewards", (4,), "f8", external=[(str(tmp_path / "secret"), 0, 32)])

    refused("has no data set rewards, or a link in its place", put("rewards", h5py.ExternalLink("2.hdf5", "rewards")))
    refused("has no data set rewards, or a link in its place", put("rewards", h5py.SoftLink("/dones")))
    refused("has no data set dones", put("dones", None))
    refused("keeps rewards in other files", outside)
    refused("has states float64", put("states", frames / 255.0))
    refused("allowed are steps of [64, 64, 3]", put("states", frames[:, :32]))
    refused("has columns of different lengths", put("states", frames[:-1]))
    refused("has an action that is none of 0 to 14", put("actions", np.full(len(frames), 15)))
    kept = kept[: len(kept) // 2]
    refused("cannot be read")
    path.unlink()
    with pytest.raises(RadtError, match="is missing, one of 1 files"):
        published.episodes(tmp_path, experiment())
    with pytest.raises(RadtError, match="has no episode of level 3: add its files"):
        published.episodes(tmp_path, experiment(first_level=3))
    (tmp_path / "maze/episode_seeds.json").write_text('{"../x": 0}', encoding="utf-8")
    with pytest.raises(RadtError, match="does not give the level of each episode"):
        published.episodes(tmp_path, experiment())
