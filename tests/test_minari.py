"""Learning histories to data sets of Minari and back, data sets of others, and what is refused."""

import os
import resource
import subprocess
import sys
import time
from collections import OrderedDict

import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces

import reach
from radt.commands.export import export
from radt.data import minari as ours
from radt.data import npz, trajectories
from radt.data.trajectories import ExperimentSpec, Shard
from radt.errors import RadtError
from radt.settings.sources import Minari, Trajectories
from radt.spaces import Image, Scaled, Spec
from radt.suites import suite_of
from radt.suites.grid.qlearning import learn
from radt.suites.gymnasium.sources import collect
from test_own_environment import odd
from test_vectors import experiment

NAME = "reach/learning-v0"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:minari")
FULL = os.environ.get("RADT_TORTURE") == "1"


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


def written(folder, suite, shards):
    trajectories.write(folder, "tiny", suite, {"name": "scripted"}, shards)
    return folder


def same(shards, others):
    one, other = trajectories.join(list(shards)), trajectories.join(list(others))
    for column in (*trajectories.TABLES, "observations", "actions", *trajectories.OPTIONAL):
        before, after = getattr(one, column), getattr(other, column)
        assert (before is None) == (after is None), column
        if before is not None:
            np.testing.assert_array_equal(before, after, column)
            assert before.dtype == after.dtype, column


@pytest.mark.parametrize("kind", ["numbers", "codes", "two histories", "grid"])
def test_columns_come_back_the_same(tmp_path, kind, room, generate):
    if kind == "grid":
        suite, shards = suite_of(room), [learn(room, generate)]
    else:
        changes = {"environment": reach.ID.replace("Reach", "Grasp")} if kind == "codes" else {}
        suite = suite_of(experiment(**changes))
        shards = [reach.histories(suite, range(5))]
    if kind == "two histories":
        half = np.concatenate([np.arange(12) // 6] * 5).astype(np.int32)
        shards = [Shard(**{**vars(shards[0]), "episode_history": half})]
    folder = export(written(tmp_path / "data", suite, shards), NAME)
    assert folder.is_dir() and minari.load_dataset(NAME).total_episodes == len(trajectories.join(shards).episode_task)
    same(ours.read([NAME], suite), trajectories.read(tmp_path / "data", suite).shards)
    with pytest.raises(RadtError, match=r"there is a data set reach/learning-v0 in .*: choose another name"):
        export(tmp_path / "data", NAME)


def other(name, episodes, seen=None, done=None):
    """A data set as Minari itself writes one, of one task."""
    seen = seen or spaces.Box(-np.inf, np.inf, (3,), np.float32)
    done = done or spaces.Box(-1.0, 1.0, (2,), np.float32)
    return minari.create_dataset_from_buffers(name, episodes, observation_space=seen, action_space=done)


def episode(steps=4, terminated=True, truncated=False, **changes):
    ended = np.zeros(steps, bool)
    ended[-1] = True
    given = {
        "observations": np.arange((steps + 1) * 3, dtype=np.float32).reshape(steps + 1, 3),
        "actions": np.zeros((steps, 2), np.float32),
        "rewards": np.ones(steps),
        "terminations": ended & terminated,
        "truncations": ended & truncated,
    }
    return minari.data_collector.EpisodeBuffer(**{**given, **changes})


def test_a_data_set_for_each_task(tmp_path):
    suite = suite_of(experiment())
    for task in range(5):
        other(f"reach/task{task}-v0", [episode(4 + task), episode(8, terminated=False, truncated=True)])
    shards = list(ours.read([f"reach/task{task}-v0" for task in range(5)], suite))
    assert [shard.episode_task.tolist() for shard in shards] == [[task] * 2 for task in range(5)]
    assert shards[2].terminated.tolist() == [1, 0] and shards[2].episode_start.tolist() == [0, 6, 14]
    assert shards[0].observations[1].tolist() == [3.0, 4.0, 5.0] and shards[0].labels is None
    trajectories.write(tmp_path / "data", "tiny", suite, {"name": "minari"}, shards)  # fits the experiment


def test_what_an_agent_does_not_see_is_left_out():
    suite = suite_of(experiment(hidden=[0]))
    for task in range(5):
        other(f"reach/task{task}-v0", [episode()])
    names = [f"reach/task{task}-v0" for task in range(5)]
    settings = Trajectories(source="minari", minari=Minari(datasets=names))
    source, shards = collect(suite.experiment, settings, None)
    assert source == {"name": "minari", "datasets": names}
    assert next(iter(shards)).observations[1].tolist() == [4.0, 5.0]


BAD = {
    "unknown end": ({"episodes": [episode(terminated=False)]}, "does not say how it ended"),
    "goes on": ({"episodes": [episode(terminations=np.ones(4, bool))]}, "goes on after its end"),
    "other observations": ({"episodes": [], "seen": spaces.Box(-1, 1, (4,), np.float32)}, r"shows Box\(.*name another one"),
    "other actions": ({"episodes": [], "done": spaces.Discrete(3)}, r"has actions Discrete\(3\), but the environment takes Box"),
    "other limits": ({"episodes": [], "done": spaces.Box(-2, 2, (2,), np.float32)}, "but the environment takes"),
}


@pytest.mark.parametrize(("given", "words"), BAD.values(), ids=BAD)
def test_what_does_not_fit_is_refused(given, words):
    """Data sets without episodes are not written by Minari: one that fits follows."""
    suite = suite_of(experiment())
    shape = given.get("seen", spaces.Box(-np.inf, np.inf, (3,), np.float32)).shape
    done = given.get("done")
    actions = np.zeros(4, np.int64) if isinstance(done, spaces.Discrete) else np.zeros((4, 2), np.float32)
    fallback = [episode(observations=np.zeros((5, *shape), np.float32), actions=actions)]
    for task in range(5):
        other(f"reach/task{task}-v0", given["episodes"] or fallback, given.get("seen"), done)
    with pytest.raises(RadtError, match=words):
        list(ours.read([f"reach/task{task}-v0" for task in range(5)], suite))


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    suite = suite_of(experiment())
    for task in range(5):
        other(f"reach/task{task}-v0", [episode(observations=np.full((5, 3), np.nan, np.float32))])
    with pytest.raises(RadtError, match="observations"):
        written(tmp_path / "data", suite, ours.read([f"reach/task{task}-v0" for task in range(5)], suite))


def test_missing_data_sets_and_episodes(tmp_path, root):
    suite = suite_of(experiment())
    with pytest.raises(RadtError, match=r"the data set a/b-v0 is not on this machine: run `minari download a/b-v0`"):
        list(ours.read(["a/b-v0"], suite))
    with pytest.raises(RadtError, match="names 2 data sets, allowed is one for each of the 5 training tasks"):
        list(ours.read(["a/b-v0", "a/c-v0"], suite))
    export(written(tmp_path / "data", suite, [reach.histories(suite, range(5))]), NAME)
    with h5py.File(root / NAME / "data/main_data.hdf5", "a") as file:
        del file["episode_7"]
    with pytest.raises(RadtError, match=r"has no whole episode 7 .*: download it again"):
        list(ours.read([NAME], suite))
    (root / NAME / "data/main_data.hdf5").write_bytes(b"nothing")
    with pytest.raises(RadtError, match="has no whole episode 0"):
        list(ours.read([NAME], suite))
    (root / NAME / "data/metadata.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RadtError, match="cannot be read"):
        list(ours.read([NAME], suite))


@pytest.mark.parametrize("name", ["learning", "../x-v0", "/tmp/x-v0", "a/../../b-v0", "x-v"])
def test_a_name_that_is_none(tmp_path, name):
    with pytest.raises(RadtError, match="is no name of a data set"):
        export(tmp_path, name)


def test_export_is_a_command(tmp_path, root):
    suite = suite_of(experiment())
    written(tmp_path / "data", suite, [reach.histories(suite, range(5))])
    command = [sys.executable, "-m", "radt", "export", str(tmp_path / "data"), "--minari", NAME]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0 and done.stdout.strip() == str(root / NAME), done.stderr


@pytest.mark.skipif(not FULL, reason="a minute: make torture")
def test_a_million_steps_in_a_minute_and_in_bounded_memory(tmp_path):
    suite = suite_of(experiment(horizon=100))
    episodes = 10_000
    random = np.random.default_rng(0)
    shards = [
        Shard(
            random.normal(size=(200_000, 3)).astype(np.float32),
            random.uniform(-1, 1, (200_000, 2)).astype(np.float32),
            np.ones(200_000, np.float32),
            np.arange(2001) * 100,
            np.full(2000, task, np.int32),
            np.zeros(2000, np.int32),
            np.zeros(2000, np.uint8),
        )
        for task in range(5)
    ]
    written(tmp_path / "data", suite, shards)
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    export(tmp_path / "data", NAME)
    assert sum(len(shard.episode_task) for shard in ours.read([NAME], suite)) == episodes
    assert time.perf_counter() - begun < 120
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def arrays(steps=20, **changes):
    """A file of one task in columns."""
    ended = np.arange(1, steps + 1) % 8 == 0
    given = {
        "observations": np.random.default_rng(0).normal(size=(steps, 3)),
        "actions": np.zeros((steps, 2)),
        "rewards": np.ones(steps),
        "terminated": np.zeros(steps, bool),
        "truncated": ended,
        **changes,
    }
    return {name: value for name, value in given.items() if value is not None}


def test_files_of_columns(tmp_path):
    suite = suite_of(experiment())
    for task in range(5):
        np.savez_compressed(tmp_path / f"task{task}.npz", **arrays(history=np.arange(20) // 8))
    shards = list(npz.histories(tmp_path, suite))
    assert [len(shard.actions) for shard in shards] == [16] * 5  # the last four steps belong to no finished episode
    assert shards[3].episode_task.tolist() == [3, 3] and shards[3].episode_history.tolist() == [0, 1]
    written(tmp_path / "data", suite, shards)
    (tmp_path / "task3.npz").unlink()
    with pytest.raises(RadtError, match=r"lacks 1 of 5 files, first 'task3\.npz'"):
        list(npz.histories(tmp_path, suite))


COLUMNS = {
    "no flags": ({"terminated": np.full(20, 0.2)}, "`terminated` that are not whole numbers"),
    "other flags": ({"truncated": np.full(20, 2)}, "other than 0 and 1"),
    "two histories": ({"history": np.arange(20)}, "`history` changes within it"),
    "half a history": ({"history": np.full(20, 0.9)}, "`history` that are not whole numbers"),
    "turned": ({"observations": np.zeros((3, 20))}, r"observations float64 \[3, 20\]"),
    "no ends": ({"truncated": np.zeros(20, bool)}, "has no episode that ends"),
    "a column less": ({"rewards": None}, "has no array 'rewards'"),
    "other shape": ({"observations": np.zeros((20, 4))}, r"observations float64 \[20, 4\], allowed are numbers \[N, 3\]"),
    "other length": ({"actions": np.zeros((19, 2))}, r"actions float64 \[19, 2\]"),
    "text": ({"rewards": np.array(["a"] * 20)}, "rewards <U1"),
}


@pytest.mark.parametrize(("changes", "words"), COLUMNS.values(), ids=COLUMNS)
def test_columns_that_do_not_fit(tmp_path, changes, words):
    suite = suite_of(experiment())
    for task in range(5):
        np.savez(tmp_path / f"task{task}.npz", **arrays(**changes))
    with pytest.raises(RadtError, match=words):
        list(npz.histories(tmp_path, suite))


def test_objects_are_never_unpickled(tmp_path):
    suite = suite_of(experiment())
    for task in range(5):
        np.savez(tmp_path / f"task{task}.npz", **arrays(rewards=np.array([{}] * 20, dtype=object)))
    with pytest.raises(RadtError, match="holds pickled objects"):
        list(npz.histories(tmp_path, suite))


def test_an_image_must_not_be_turned():
    spec = Spec(observation=Image(height=4, width=5, channels=3), actions=(2,), rewards=Scaled(), horizon=8)
    suite = ExperimentSpec(experiment(), spec)
    given = arrays(observations=np.zeros((20, 3, 4, 5), np.uint8), actions=np.zeros(20, np.uint8))
    with pytest.raises(RadtError, match=r"observations uint8 \[20, 3, 4, 5\], allowed are numbers \[N, 4, 5, 3\]"):
        npz.shard_of(given, 0, suite, "a file")


def test_a_data_set_of_another_experiment_or_task(tmp_path):
    suite = suite_of(experiment())
    export(written(tmp_path / "data", suite, [reach.histories(suite, range(5))]), NAME)
    others = suite_of(experiment(arguments={"task": [7, 6, 5, 4, 3, 2, 1, 0]}))
    with pytest.raises(RadtError, match=r"was written for the experiment .*: name another one"):
        list(ours.read([NAME], others))
    with pytest.raises(RadtError, match=r"episode 12 .* is of task 1, not 0"):
        list(ours._tasks_of(NAME, 0, suite, None))
    for names in ([NAME, NAME], ["a//b-v0"], ["a/../b-v0"]):
        with pytest.raises(ValueError, match="datasets"):
            Minari(datasets=names)


def test_a_dictionary_in_another_order_is_read_by_its_keys(monkeypatch):
    """Minari sorts the keys of a space."""
    space = spaces.Dict(
        OrderedDict([("velocity", spaces.Box(-9, 9, (1,), np.float32)), ("place", spaces.Box(-9, 9, (2,), np.float32))])
    )
    chosen = odd(monkeypatch, space=space)
    seen = {"velocity": np.full((5, 1), 7.0, np.float32), "place": np.full((5, 2), 1.0, np.float32)}
    for task in range(5):
        other(f"odd/task{task}-v0", [episode(observations=seen, actions=np.zeros(4, np.int64))], space, spaces.Discrete(2))
    settings = Trajectories(source="minari", minari=Minari(datasets=[f"odd/task{task}-v0" for task in range(5)]))
    shard = next(iter(collect(chosen, settings, None)[1]))
    first = suite_of(chosen).seen({key: values[:1] for key, values in seen.items()})[0]
    assert shard.observations[0].tolist() == first.tolist()
