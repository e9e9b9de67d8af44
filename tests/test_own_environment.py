"""docs/own_environment.md brings an environment to its figure; what environments may and may not do."""

import re

import gymnasium
import numpy as np
import pandas as pd
import pytest
from gymnasium import spaces

import reach
from histories import PPO
from project import ROOT, planned, snakemake
from radt import artifacts
from radt.data import trajectories
from radt.errors import RadtError
from radt.pipeline import provenance
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.sources import Dqn, Ppo, Sac, Trajectories
from radt.spaces import Codes, Image, Numbers
from radt.suites import experiment_spec, suite_of
from radt.suites.gymnasium.environment import view_of
from radt.suites.gymnasium.rl import Recorder
from radt.suites.gymnasium.settings import GymnasiumExperiment
from radt.suites.sources import learn
from test_extending import follow

PAGE = ROOT / "docs/own_environment.md"


class Chosen(Section):
    experiment: AnyExperiment


def test_the_page_makes_a_figure(copy):
    options = ["--configfile", *follow(PAGE.read_text(encoding="utf-8"), copy)]
    target = "results/boat/figure.pdf"
    status, text = snakemake("--cores", "2", *options, "--", target, folder=copy)
    assert status == 0, text
    table = pd.read_csv(copy / "results/boat/table.csv")
    assert {*table["method"]} == {"radt", "ad", "dpt", "dt", "retrieve", "random"} and {*table["split"]} == {"held_out"}
    tasks = artifacts.read_json(copy / "results/boat/trajectories/manifest.json")["tasks"]
    currents = {(task["east"], task["north"]) for task in tasks}
    assert len(currents) == 8 and all(-1 <= value <= 1 for current in currents for value in current)
    assert planned(*options, "--", target, folder=copy) == {}


def experiment(**changes):
    given = {"environment": reach.ID, "horizon": 8, "num_tasks": 8, "num_held_out": 2, "num_validation": 1, "action_codes": 5}
    return GymnasiumExperiment(suite="gymnasium", **{**given, **changes})


class Odd(gymnasium.Env):
    """Shows, pays and does what its arguments say."""

    def __init__(self, seen=None, reward=0.0, space=None, action=None, later=None, gain=1.0):
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32) if space is None else space
        self.action_space = spaces.Discrete(2) if action is None else action
        self.value, self.reward, self.later = seen, reward, later
        self.inner, self.gain = type("Inner", (), {"gain": gain})(), gain

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return (self.observation_space.sample() * 0 if self.value is None else self.value), {}

    def step(self, action):
        seen = self.reset()[0] if self.later is None else self.later
        return seen, self.reward, False, False, {}


gymnasium.register("radt-tests/Odd-v0", entry_point=f"{__name__}:Odd")


def odd(monkeypatch, **given):
    """An experiment of it, whose tasks differ in an attribute."""
    monkeypatch.setitem(gymnasium.registry["radt-tests/Odd-v0"].kwargs, "reward", 0.0)
    for name, value in given.items():
        monkeypatch.setitem(gymnasium.registry["radt-tests/Odd-v0"].kwargs, name, value)
    return experiment(environment="radt-tests/Odd-v0", attributes={"inner.gain": {"low": 0.0, "high": 1.0}})


SEEN = {
    "numbers": (spaces.Box(-1, 1, (3,), np.float32), Numbers(size=3)),
    "matrix": (spaces.Box(-1, 1, (2, 3), np.float64), Numbers(size=6)),
    "dictionary": (
        spaces.Dict({"a": spaces.Box(-1, 1, (2,), np.float32), "b": spaces.Box(-1, 1, (1, 2), np.float32)}),
        Numbers(size=4),
    ),
    "code": (spaces.Discrete(7), Codes(sizes=(7,))),
    "codes": (spaces.MultiDiscrete([3, 9]), Codes(sizes=(3, 9))),
    "image": (spaces.Box(0, 255, (8, 9, 3), np.uint8), Image(height=8, width=9, channels=3)),
}


@pytest.mark.parametrize(("space", "expected"), SEEN.values(), ids=SEEN)
def test_what_is_seen(monkeypatch, space, expected):
    """The observation of every space comes through a vector environment as it is, in the order of its keys."""
    space.seed(0)
    seen = space.sample()
    suite = suite_of(odd(monkeypatch, space=space, seen=seen))
    assert suite.spec.observation == expected
    env = suite.make(np.array([0, 3]))
    shown = suite.seen(env.reset(seed=0)[0])
    flat = np.concatenate([np.ravel(part) for part in (seen.values() if isinstance(seen, dict) else [seen])])
    assert shown.shape == (2, *expected.shape)
    np.testing.assert_array_equal(shown.reshape(2, -1), np.stack([flat, flat]).astype(shown.dtype))


def test_what_is_hidden(monkeypatch):
    kept = odd(monkeypatch, space=SEEN["codes"][0]).model_copy(update={"hidden": [0]})
    assert experiment_spec(kept).spec.observation == Codes(sizes=(9,))
    kept = odd(monkeypatch, space=SEEN["dictionary"][0]).model_copy(update={"hidden": ["a"]})
    assert experiment_spec(kept).spec.observation == Numbers(size=2)
    suite = suite_of(experiment(hidden=[0, 2]))
    env = suite.make(np.array([1]))
    full = reach.Reach(1)
    np.testing.assert_array_equal(suite.seen(env.reset(seed=5)[0])[0], full.reset(seed=5)[0][[1]])


HIDDEN = {
    "no number": ({"hidden": [3]}, r"hidden is 3, but .* shows numbers 0 to 2"),
    "no key": ({"hidden": ["speed"]}, r"hidden is 'speed', but .* shows numbers 0 to 2"),
    "all": ({"hidden": [0, 1, 2]}, "hides all that .* shows"),
}


@pytest.mark.parametrize(("changes", "words"), HIDDEN.values(), ids=HIDDEN)
def test_what_cannot_be_hidden(changes, words):
    with pytest.raises(RadtError, match=words):
        suite_of(experiment(**changes))


def test_tasks_come_from_arguments_and_attributes(monkeypatch):
    one = experiment(arguments={"task": [7, 6, 5, 4, 3, 2, 1, 0]})
    assert [own["arguments"]["task"] for own in one.parameters] == [7, 6, 5, 4, 3, 2, 1, 0]
    drawn = odd(monkeypatch)
    values = [own["attributes"]["inner.gain"] for own in drawn.parameters]
    assert len(set(values)) == 8 and all(0 <= value <= 1 for value in values)
    env = suite_of(drawn).environment(4)
    assert env.unwrapped.inner.gain == values[4]
    other = drawn.model_copy(update={"task_seed": 1})
    assert [own["attributes"]["inner.gain"] for own in other.parameters] != values
    assert [own["arguments"] for own in experiment().parameters] == [{"task": task} for task in range(8)]


TASKS = {
    "twice": ({"arguments": {"task": [0, 1, 2, 3, 4, 5, 6, 0]}}, "tasks 0 and 7 are the same"),
    "the same number": ({"arguments": {"task": [0, 1, 2, 3, 4, 5, 6, 0.0]}}, "tasks 0 and 7 are the same"),
    "two places": ({"arguments": {"task": [*range(8)]}, "attributes": {"task": [*range(8)]}}, "among arguments and attributes"),
    "too few": ({"arguments": {"task": [0, 1]}}, "task has 2 values, allowed is one for each of the 8 tasks"),
    "few choices": ({"arguments": {"task": {"values": [0, 1]}}}, r"tasks \d and \d are the same"),
    "backwards": ({"attributes": {"gain": {"low": 1.0, "high": 0.0}}}, "low is 1.0 and high 0.0"),
    "a code": ({"attributes": {"__class__()": [1] * 8}}, "attributes"),
}


@pytest.mark.parametrize(("changes", "words"), TASKS.values(), ids=TASKS)
def test_tasks_that_are_none(changes, words):
    values = {**experiment().model_dump(mode="json"), **changes}
    with pytest.raises(RadtError, match=words):
        parse(Chosen, {"experiment": values})


MADE = {
    "not registered": ({"environment": "Nothing-v0"}, "Gymnasium cannot make the environment 'Nothing-v0'"),
    "no module": (
        {"environment": "no_such_module:Nothing-v0"},
        "module no_such_module, .* check its spelling",
    ),
    "other argument": ({"arguments": {"speed": {"low": 0.0, "high": 1.0}}}, "cannot make .* unexpected keyword argument 'speed'"),
    "no attribute": (
        {"attributes": {"wind": {"low": 0.0, "high": 1.0}}, "environment": "CartPole-v1"},
        "has no attribute 'wind'",
    ),
}


@pytest.mark.parametrize(("changes", "words"), MADE.values(), ids=MADE)
def test_an_environment_that_cannot_be_made(changes, words):
    with pytest.raises(RadtError, match=words):
        suite_of(experiment(**changes))


BROKEN = {
    "not finite": ({"later": np.array([np.nan, 0.0], np.float32)}, "shows a number that is not finite"),
    "other shape": ({"later": np.zeros(3, np.float32)}, r"fails \(Output array is the wrong shape; .*\): mend it"),
    "text": ({"later": "north"}, "fails"),
    "code": ({"space": spaces.MultiDiscrete([3, 9]), "seen": np.array([2, 9])}, "a code that it does not have"),
    "reward": ({"reward": np.inf}, "pays a reward that is not finite"),
}


@pytest.mark.parametrize(("given", "words"), BROKEN.values(), ids=BROKEN)
def test_an_environment_that_breaks_its_word(monkeypatch, given, words):
    suite = suite_of(odd(monkeypatch, **given))
    env = suite.make(np.array([0]))
    env.reset(seed=0)
    with pytest.raises(RadtError, match=words):
        suite.seen(env.step(np.array([0]))[0])


SPACES = {
    "bytes": ({"space": spaces.Box(0, 255, (5,), np.uint8)}, "Box of other types than uint8"),
    "nothing": ({"space": spaces.Box(-1, 1, (0,), np.float32)}, "has no form here"),
    "whole numbers": ({"action": spaces.Box(0, 5, (1,), np.int64)}, "Box of real numbers"),
    "one value": ({"action": spaces.Box(np.float32([1.0]), np.float32([1.0]))}, "has no form here"),
    "bits": ({"action": spaces.MultiBinary(3)}, "takes actions MultiBinary"),
    "begins at 1": ({"space": spaces.Discrete(3, start=1)}, "shows Discrete"),
    "tuple": ({"space": spaces.Tuple([spaces.Discrete(2)])}, "shows Tuple"),
    "text": ({"space": spaces.Text(5)}, r"shows Text\(.*allowed are Discrete"),
    "many codes": ({"space": spaces.Discrete(300)}, "allowed are Discrete and MultiDiscrete up to 256"),
    "no limits": ({"action": spaces.Box(-np.inf, np.inf, (1,))}, "takes actions Box.*with limits"),
    "matrix": ({"action": spaces.Box(-1, 1, (2, 2))}, "takes actions Box"),
}


@pytest.mark.parametrize(("given", "words"), SPACES.values(), ids=SPACES)
def test_spaces_that_are_not_supported(monkeypatch, given, words):
    with pytest.raises(RadtError, match=words):
        suite_of(odd(monkeypatch, **given))


def test_an_environment_that_never_ends_is_cut_off(monkeypatch):
    suite = suite_of(odd(monkeypatch))
    env = suite.make(np.array([0, 1]))
    env.reset(seed=0)
    ends = [env.step(np.array([0, 0]))[3].tolist() for _ in range(8)]
    assert ends == [[False, False]] * 7 + [[True, True]]


@pytest.mark.parametrize("kind", ["Reach", "Grasp"])
def test_what_a_learner_leaves_is_what_the_environment_did(kind, tmp_path):
    """Every transition of PPO, replayed; labels are those of the policy at the end, and what is hidden is left out."""
    chosen = experiment(environment=reach.ID.replace("Reach", kind), hidden=[2])
    settings = Trajectories(
        source="ppo",
        ppo=Ppo(seed=0, steps=300, learning_rate=1e-3, rollout=64, batch_size=32, epochs=2, discount=0.9, entropy=0.0),
    )
    shard = learn(chosen, settings, 3)
    suite = suite_of(chosen)
    trajectories.write(tmp_path, "tiny", suite, {"name": "ppo"}, [shard])  # fits the experiment
    assert shard.observations.shape[1:] == (2,) and 250 < len(shard.rewards) <= 300
    env = reach.Reach(3, kind == "Reach")
    for first, stop, terminated in zip(shard.episode_start, shard.episode_start[1:], shard.terminated, strict=False):
        env.reset()
        env.place = shard.observations[first].astype(np.float64)
        for step in range(first, stop):
            np.testing.assert_allclose(env.place, shard.observations[step], atol=1e-5)
            action = shard.actions[step]
            _, reward, done, _, _ = env.step(action)
            assert abs(reward - shard.rewards[step]) < 1e-4
        assert bool(terminated) == done or stop - first == 8
    again = learn(chosen, settings, 3)
    np.testing.assert_array_equal(again.actions, shard.actions)
    assert shard.labels.shape == shard.actions.shape
    with pytest.raises(RadtError, match="task 6 is not a training task"):
        learn(chosen, settings, 6)


def test_the_recorder_keeps_no_more_than_asked_for(monkeypatch):
    chosen = odd(monkeypatch)
    suite = suite_of(chosen)
    env = suite.environment(0)
    recorder = Recorder(env, view_of(chosen, env.observation_space), suite.spec, 20)
    recorder.reset()
    for step in range(30):
        _, _, terminated, truncated, _ = recorder.step(step % 2)
        if terminated or truncated:
            recorder.reset()
    assert recorder.full and recorder.ends == [8, 16] and recorder.actions[:4, 0].tolist() == [0, 1, 0, 1]


def test_the_page_names_every_array():
    from radt.data import npz

    text = PAGE.read_text(encoding="utf-8")
    assert {*npz.COLUMNS, *npz.OPTIONAL} <= {*re.findall(r"`(\w+)`", text)}


class Reused(gymnasium.Env):
    """Changes its observation in its place, as some environments do."""

    def __init__(self, task):
        self.observation_space, self.action_space = spaces.MultiDiscrete([9, 9]), spaces.Discrete(2)
        self.seen = np.zeros(2, np.int64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seen[:] = 0
        return self.seen, {}

    def step(self, action):
        self.seen += 1
        return self.seen, 1.0, False, False, {}


gymnasium.register("radt-tests/Reused-v0", entry_point=f"{__name__}:Reused")


def test_an_environment_that_changes_its_observation_in_its_place():
    chosen = experiment(environment="radt-tests/Reused-v0", horizon=4)
    settings = {"steps": 40, "rollout": 8, "batch_size": 4, "epochs": 1}
    shard = learn(chosen, Trajectories(source="ppo", ppo=Ppo(**{**PPO, **settings})), 0)
    assert shard.observations[:4].tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]


@pytest.mark.parametrize("part", ["reset", "step"])
def test_an_environment_that_fails_is_one_sentence(monkeypatch, part):
    def fails(*given, **named):
        raise ValueError("boom in user code\nmore")

    chosen, settings = experiment(), Trajectories(source="ppo", ppo=Ppo(**{**PPO, "steps": 100, "rollout": 8}))
    suite = suite_of(chosen)
    env = suite.make(np.array([0]))
    monkeypatch.setattr(reach.Reach, part, fails)
    words = rf"the environment '{re.escape(reach.ID)}' fails \(boom in user code; test_own_environment.py, line \d+\): mend it"
    with pytest.raises(RadtError, match=words):
        env.reset(seed=0)
        env.step(np.zeros((1, 2), np.float32))
    with pytest.raises(RadtError, match=words):
        learn(chosen, settings, 0)


def test_learners_that_would_not_learn_are_refused():
    with pytest.raises(ValueError, match="rollout is 64, allowed is less than steps"):
        Ppo(**{**PPO, "steps": 64, "rollout": 64})
    sac = {"seed": 0, "learning_rate": 1e-3, "width": 8, "batch_size": 8, "train_every": 1, "discount": 0.9}
    with pytest.raises(ValueError, match="begin is 50, allowed is less than steps"):
        Sac(**sac, steps=50, begin=50)
    grasp = experiment(environment=reach.ID.replace("Reach", "Grasp"))
    with pytest.raises(RadtError, match="SAC needs continuous actions, not MultiDiscrete"):
        learn(grasp, Trajectories(source="sac", sac=Sac(**sac, steps=50, begin=10)), 0)


def test_sac_and_dqn_leave_histories(monkeypatch, tmp_path):
    off = {
        "seed": 0,
        "learning_rate": 1e-3,
        "width": 8,
        "batch_size": 8,
        "train_every": 4,
        "discount": 0.9,
        "steps": 60,
        "begin": 10,
    }
    shard = learn(experiment(), Trajectories(source="sac", sac=Sac(**off)), 0)
    assert 50 < len(shard.actions) <= 60 and shard.actions.dtype == np.float32 and np.abs(shard.labels).max() <= 1
    chosen = odd(monkeypatch)
    dqn = Dqn(**off, target_every=10, explore=0.5, epsilon_last=0.1)
    shard = learn(chosen, Trajectories(source="dqn", dqn=dqn), 0)
    assert shard.episode_start.tolist() == [*range(0, 57, 8)] and {*shard.actions[:, 0].tolist()} == {0, 1}
    assert shard.terminated.tolist() == [0] * 7


def test_code_of_an_environment_counts(tmp_path, monkeypatch):
    """That of a file of the project, and that of radt."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "boat.py").write_text("one = 1\n", encoding="utf-8")
    given = {"experiment": {"suite": "gymnasium", "environment": "boat:Boat-v0"}}
    before = provenance.code_of("radt.stages.rl", given, [])
    (tmp_path / "boat.py").write_text("one = 2\n", encoding="utf-8")
    assert provenance.code_of("radt.stages.rl", given, []) != before
    plain, ours = (
        {"experiment": {"suite": "gymnasium", "environment": name}} for name in ("X-v0", "radt.suites.gymnasium.classic:X-v0")
    )
    assert provenance.code_of("radt.stages.rl", plain, []) != provenance.code_of("radt.stages.rl", ours, [])
