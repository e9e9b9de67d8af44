"""Sources that learn: what is written down is what the world did; the library itself only where it is installed."""

import dataclasses
import json
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from histories import PPO, contents, trajectories_stage
from radt.data import trajectories
from radt.data.curve import HEADER, learning_curve
from radt.data.trajectories import Shard, join
from radt.errors import RadtError
from radt.models.observations import Frames
from radt.settings.sources import Ppo, Trajectories
from radt.spaces import LEAST_SIDE
from radt.suites import learners, suite_of
from radt.suites.grid import worlds
from radt.suites.grid.rl import Recorder
from radt.suites.grid.settings import GridExperiment
from radt.suites.sources import learn

SMALL = Trajectories(source="ppo", ppo=Ppo(**PPO))
ROOM = GridExperiment(world="darkroom", width=4, height=3, horizon=8, num_tasks=10, num_held_out=2, num_validation=0)
KEYDOOR = GridExperiment(world="keydoor", width=4, height=3, horizon=8, num_tasks=10, num_held_out=2, num_validation=0)
MAZE = GridExperiment(world="mazerunner", width=15, height=15, horizon=50, num_tasks=4, num_held_out=1, num_validation=0)
library = pytest.mark.skipif(find_spec("stable_baselines3") is None, reason="the extra rl is not installed")


def with_settings(**changes):
    return Trajectories(source="ppo", ppo=Ppo(**{**PPO, **changes}))


def play_at_random(settings, recorder, task, done):
    """In place of the library: random actions, in its loop, until all is done."""
    random = np.random.default_rng(task)
    recorder.reset()
    while not done():
        _, _, terminated, truncated, _ = recorder.step(random.integers(0, 5))
        if terminated or truncated:
            recorder.reset()


def replayed(experiment, task, shard):
    """What `worlds.make` shows and pays for the actions of a history, episode by episode."""
    env, seen, paid, ends = worlds.make(experiment, np.array([task])), [], [], []
    env.reset()
    for step, action in enumerate(shard.actions[:, 0]):
        seen.append(env.codes[0])
        _, reward, terminated, truncated, _ = env.step(np.array([action]))
        paid.append(reward[0])
        ends += [step + 1] * bool(terminated[0] | truncated[0])
    return np.array(seen), np.array(paid), ends


@pytest.fixture
def at_random(monkeypatch):
    monkeypatch.setattr(learners, "fit", play_at_random)


@pytest.mark.parametrize("train", [False, pytest.param(True, marks=library)], ids=["random", "library"])
@pytest.mark.parametrize("experiment", [ROOM, KEYDOOR, MAZE], ids=lambda experiment: experiment.world)
def test_history_is_what_the_world_does(experiment, train, monkeypatch):
    if not train:
        monkeypatch.setattr(learners, "fit", play_at_random)
    shard = learn(experiment, SMALL, 2)
    seen, paid, ends = replayed(experiment, 2, shard)
    np.testing.assert_array_equal(shard.observations, seen)
    np.testing.assert_array_equal(shard.rewards, paid)
    assert shard.episode_start.tolist() == [0, *ends] and ends[-1] == len(shard.actions) > 300 - experiment.horizon
    assert set(shard.episode_task.tolist()) == {2}


def test_network_sees_observations_as_they_are():
    """Corner by corner; the observation of the last step is that of the ended episode."""
    recorder = Recorder(worlds.make(ROOM, np.array([0])), 20)
    assert recorder.reset()[0].tolist() == [0, 0]
    for action in (1, 1, 1, 2, 2, 4, 4):
        recorder.step(action)
    observation, _, terminated, truncated, _ = recorder.step(4)
    assert observation.tolist() == [ROOM.height - 1, ROOM.width - 1] and recorder.observation_space.contains(observation)
    assert (terminated, truncated) == (True, False)
    recorder = Recorder(worlds.make(MAZE, np.array([0])), 60)
    start = recorder.reset()[0]
    np.testing.assert_allclose(start[:2], [13 / 15, 7 / 15], rtol=1e-6)
    assert [recorder.step(4)[2:4] for _ in range(50)][-1] == (False, True)


def test_only_training_tasks(at_random):
    for task in (-1, 8, 9, 10):
        with pytest.raises(RadtError, match=rf"task {task} is not a training task: allowed are \[0, 1, 2, 3, 4, 5, 6, 7\]"):
            learn(ROOM, SMALL, task)


def test_history_without_an_episode(at_random):
    with pytest.raises(RadtError, match=r"`steps` of the learner is 7, in which task 0 finishes no episode: .* 8 steps"):
        learn(ROOM, with_settings(steps=7, rollout=4), 0)


def test_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(RadtError, match=r"its extra is not installed: run `make setup-rl`"):
        learn(ROOM, SMALL, 0)


@pytest.fixture
def learned(tmp_path, at_random):
    """The folder of the rl stage, with the histories of all training tasks."""
    for task in range(8):
        path = tmp_path / "rl" / f"task{task}.safetensors"
        learners.write(path, suite_of(ROOM), SMALL, learn(ROOM, SMALL, task))
    return tmp_path / "rl"


def test_comes_back_and_is_the_same_bytes(learned, at_random):
    read = list(learners.read(learned, suite_of(ROOM), SMALL))
    before = contents(learned)
    for task, shard in enumerate(read):
        again = learn(ROOM, SMALL, task)
        for column in trajectories.columns(suite_of(ROOM).spec):
            np.testing.assert_array_equal(getattr(shard, column), getattr(again, column))
        learners.write(learned / f"task{task}.safetensors", suite_of(ROOM), SMALL, again)
    assert contents(learned) == before and len(before) == 16
    assert len({tuple(shard.actions[:100, 0].tolist()) for shard in read}) == 8


def test_merging_refuses_what_does_not_belong(learned):
    with pytest.raises(RadtError, match="was made with other settings"):
        list(learners.read(learned, suite_of(ROOM), with_settings(seed=1)))
    with pytest.raises(RadtError, match="was made with other settings"):
        list(learners.read(learned, suite_of(ROOM.model_copy(update={"horizon": 9})), SMALL))
    (learned / "task3.safetensors").write_bytes((learned / "task4.safetensors").read_bytes())
    with pytest.raises(RadtError, match=r"task3\.safetensors is damaged, .*: delete it and run the rl stage again"):
        list(learners.read(learned, suite_of(ROOM), SMALL))
    (learned / "task3.json").write_bytes((learned / "task4.json").read_bytes())
    with pytest.raises(RadtError, match=r"task3\.safetensors holds another task"):
        list(learners.read(learned, suite_of(ROOM), SMALL))
    (learned / "task3.json").unlink()
    with pytest.raises(RadtError, match=r"task3\.json"):
        list(learners.read(learned, suite_of(ROOM), SMALL))


def test_trajectories_stage_merges(learned, tmp_path, generate):
    done = trajectories_stage(tmp_path / "out", ROOM, generate, "ppo", "--histories", str(learned))
    assert done.returncode == 0, done.stderr
    data = trajectories.read(tmp_path / "out", suite_of(ROOM))
    assert data.manifest["source"] == {"name": "ppo", "algorithm": "ppo", **PPO}
    np.testing.assert_array_equal(data.shards[0].actions, join(list(learners.read(learned, suite_of(ROOM), SMALL))).actions)
    assert (tmp_path / "out" / "learning.csv").read_text(encoding="utf-8") == learning_curve(data.shards)


def test_trajectories_stage_asks_for_the_histories(tmp_path, generate):
    done = trajectories_stage(tmp_path / "out", ROOM, generate, "ppo")
    assert done.returncode == 1 and "--histories is not given" in done.stderr


def shard_of(lengths, returns, task):
    """A history of episodes of these lengths, each paid at its last step."""
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rewards = np.zeros(starts[-1], np.float32)
    rewards[starts[1:] - 1] = returns
    steps = np.zeros(starts[-1], np.uint8)
    return Shard(
        np.stack([steps, steps], 1),
        steps[:, None],
        rewards,
        starts,
        np.full(len(lengths), task, np.int32),
        np.zeros(len(lengths), np.int32),
    )


def curve(shards):
    lines = learning_curve(shards).splitlines()
    assert lines[0] == HEADER and len(lines) == 51
    return np.array([[float(value) for value in line.split(",")] for line in lines[1:]])


def test_learning_curve():
    """Against means over the episodes of every fiftieth, picked one by one."""
    random = np.random.default_rng(0)
    histories = [(random.integers(1, 30, size), random.integers(0, 9, size)) for size in (200, 120, 7)]
    shards = [shard_of(lengths, returns, task) for task, (lengths, returns) in enumerate(histories)]
    expected = np.zeros((3, 50))
    for row, (lengths, returns) in enumerate(histories):
        ends, total = np.cumsum(lengths), lengths.sum()
        for point in range(50):
            inside = [
                value
                for end, length, value in zip(ends, lengths, returns, strict=True)
                if end * 50 > point * total and (end - length) * 50 < (point + 1) * total
            ]
            expected[row, point] = np.mean(inside)
    table = curve([join(shards[:2]), shards[2]])
    np.testing.assert_allclose(table[:, 1], expected.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(table[:, 2], np.percentile(expected, 10, axis=0), atol=1e-4)
    np.testing.assert_allclose(table[:, 3], np.percentile(expected, 90, axis=0), atol=1e-4)
    assert table[-1, 0] == round(np.mean([lengths.sum() for lengths, _ in histories]))
    shuffled = [dataclasses.replace(shards[2]), join(shards[:2])]
    np.testing.assert_array_equal(curve(shuffled), table)


def test_one_history_has_no_percentiles():
    lines = learning_curve([shard_of([4, 4], [1.0, 2.0], 0)]).splitlines()
    assert lines[1] == "0,1.0000,," and lines[-1] == "8,2.0000,,"


@pytest.mark.parametrize("error", [AssertionError("`batch_size` must be greater than 1.\nSee"), ValueError("logits are nan")])
def test_what_the_library_refuses_is_one_sentence(monkeypatch, error):
    def refuse(*given, **named):
        raise error

    monkeypatch.setitem(sys.modules, "stable_baselines3", SimpleNamespace(PPO=refuse))
    with pytest.raises(
        RadtError, match=r"^PPO cannot learn with these settings \((`batch_size` must .*1\.|logits are nan)\): change"
    ):
        learn(ROOM, SMALL, 1)


@library
def test_library_gives_the_same_bytes_in_fresh_processes(tmp_path):
    text = json.dumps({"experiment": ROOM.model_dump(), "trajectories": {"source": "ppo", "ppo": PPO}})
    command = [sys.executable, "-m", "radt.stages.rl", "--experiment", "tiny", "--task", "1", "--settings", text]
    for name in "ab":
        done = subprocess.run(
            [*command, "--output", str(tmp_path / name / "task1.safetensors")], capture_output=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "a") == contents(tmp_path / "b") and len(contents(tmp_path / "a")) == 2


@library
def test_library_learns_a_small_room():
    """A goal three steps away in a 3x3 room: from chance to nearly the best possible return."""
    room = GridExperiment(world="darkroom", width=3, height=3, horizon=20, num_tasks=9, num_held_out=1, num_validation=0)
    task = next(task for task, row in enumerate(worlds.descriptions(room)) if sum(row["goal"]) == 3)
    settings = with_settings(steps=6000, rollout=256, epochs=10, learning_rate=2.0e-3)
    returns = learn(room, settings, task).returns()
    assert returns[:20].mean() < 8 < 13 < returns[-20:].mean() <= worlds.optimum(room)[task]


@library
def test_images_are_as_large_as_the_convolutions_of_both_need():
    from gymnasium.spaces import Box
    from stable_baselines3.common.torch_layers import NatureCNN

    def theirs(side):
        return NatureCNN(Box(0, 255, (3, side, side), np.uint8), 8)

    def ours(side):
        return Frames(side, side, 3, 8)

    for network, error in ((theirs, RuntimeError), (ours, RadtError)):
        network(LEAST_SIDE)
        with pytest.raises(error):
            network(LEAST_SIDE - 1)
