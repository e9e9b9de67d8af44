"""`radt.load`: agents of the tiny project act in environments of a user as they did in its evaluation."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import gymnasium
import numpy as np
import pandas as pd
import pytest

import radt
from helpers import alone
from project import ROOT
from radt import artifacts
from radt.agent import ENCODER, MODEL, SETTINGS, WEIGHTS
from radt.errors import RadtError
from radt.evaluation.rollout import environment_seed

EPISODES = 6


@pytest.fixture(scope="module")
def weights(made):
    """Folder of the weights of a method."""
    return lambda name: made / "results/darkroom" / ("pretrain" if name == "dt" else f"train/{name}") / "seed42"


class Early(gymnasium.vector.VectorWrapper):
    """Environments that pay 1 in each step, and whose episodes end after 3, 4, ... steps, before the horizon."""

    def reset(self, **options):
        self.steps = 0
        return super().reset(**options)

    def step(self, actions):
        self.steps += 1
        observation, reward, _, truncated, told = super().step(actions)
        return observation, np.ones_like(reward), self.steps == 3 + np.arange(self.num_envs), truncated, told


def play(agent, env, episodes):
    """Returns [episodes, n] of all environments of a vector environment."""
    returns = np.zeros((episodes, env.num_envs), np.float32)
    for episode in range(episodes):
        observation, _ = env.reset()
        agent.begin()
        for _ in range(agent.suite.spec.horizon):
            observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
            agent.receive(reward, terminated | truncated)
            returns[episode] += reward
    return returns


def test_the_page_on_agents_works(made, weights, monkeypatch, capsys):
    """Its program, in the room that the tiny project was trained for."""
    program = re.search(r"```python\n(.*?)```", (ROOT / "docs/agents.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    room = radt.load(weights("radt")).suite.experiment
    own = f"width={room.width}, height={room.height}, horizon={room.horizon}, goal=(1, 1)"
    assert "goal=(3, 7)" in program
    monkeypatch.chdir(made)
    exec(program.replace("goal=(3, 7)", own), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [str(episode) for episode in range(10)]


def test_the_tutorial_works(made, monkeypatch, capsys):
    """All its programs, with the agent of the tiny project."""
    notebook = json.loads((ROOT / "docs/tutorial.ipynb").read_text(encoding="utf-8"))
    monkeypatch.chdir(made)
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    names = {}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        exec("".join(cell["source"]).replace("results/smoke/", "results/darkroom/"), names)
        assert not cell["outputs"]
    assert len(names["returns"]) == len(names["curve"]) == 10 and names["read"][0] == [] and names["read"][1]
    np.testing.assert_allclose(names["curve"], names["agents"].history.totals[:, :10].mean(0), rtol=1e-6)
    suite, tasks = names["agent"].suite, names["tasks"]
    names["agent"] = SimpleNamespace(suite=SimpleNamespace(make=lambda tasks: Early(suite.make(tasks))))
    exec("".join(cells[-1]["source"]), names)
    assert names["curve"] == [np.mean(3 + np.arange(len(tasks)))] * 10


@pytest.mark.parametrize("method", ["radt", "radt_lm", "ad", "dpt", "dt"])
def test_a_loaded_agent_plays_as_in_the_evaluation(made, weights, method, tmp_path):
    """All tasks of the evaluation at once; the same after it was saved, which needs the project no more."""
    table = pd.read_csv(made / f"results/darkroom/evaluate/{method}/seed42.csv")
    tasks = table["task"].unique()
    expected = table.pivot(index="episode", columns="task", values="return")[tasks].to_numpy()
    agent = radt.load(weights(method), environments=len(tasks), episodes=len(expected))
    assert (play(agent, agent.suite.make(tasks), len(expected)) == expected).all()
    agent.save(tmp_path / "saved")
    assert (tmp_path / "saved" / ENCODER).is_dir() == (method == "radt")
    again = radt.load(tmp_path / "saved", environments=len(tasks), episodes=len(expected))
    assert (play(again, again.suite.make(tasks), len(expected)) == expected).all()


def test_the_protocol_can_be_chosen(made, weights):
    table = pd.read_csv(made / "results/darkroom/evaluate/radt_fixed/seed42.csv")
    tasks = table["task"].unique()
    expected = table.pivot(index="episode", columns="task", values="return")[tasks].to_numpy()
    agent = radt.load(weights("radt"), method="radt_fixed", environments=len(tasks))
    assert (play(agent, agent.suite.make(tasks), len(expected)) == expected).all()


def test_what_was_retrieved_is_told(weights):
    """Of the agent's own episodes alone, best first; nothing in the first episode, and none of another task after `forget`."""
    agent = radt.load(weights("radt"))
    room = agent.suite.experiment
    env = gymnasium.make("radt/DarkRoom-v0", width=room.width, height=room.height, horizon=room.horizon, goal=(1, 1))
    assert agent.retrieved == [[]]
    returns = alone(agent, env, 1)
    assert agent.retrieved == [[]]
    returns += alone(agent, env, EPISODES)
    (found,) = agent.retrieved
    assert found and [part.score for part in found] == sorted((part.score for part in found), reverse=True)
    for part in found:
        assert 0 <= part.first < part.end <= room.horizon and 0 <= part.episode < EPISODES
        assert part.episode_return == returns[part.episode] and -1.001 <= part.similarity <= 1.001
    first = agent.history.columns.action.clone()
    agent.forget()
    assert agent.retrieved == [[]]
    assert alone(agent, env, 1 + EPISODES) == returns and (agent.history.columns.action == first).all()


def test_an_episode_may_be_cut_off(weights):
    """What was lived through is remembered with its length; an action whose reward nobody told is not."""
    agent = radt.load(weights("radt"), episodes=3)
    env = agent.suite.make(np.array([0]))
    observation, _ = env.reset()
    agent.begin()
    agent.begin()  # nothing happened yet
    assert agent.reset_seed == environment_seed(42, 0)
    for _ in range(7):
        observation, reward, *_ = env.step([agent.act(observation[0])])
        agent.receive(reward[0], False)
    agent.act(observation[0])
    assert agent.reset_seed == environment_seed(42, 1)  # of the episode that comes after this one
    agent.begin()
    assert agent.reset_seed == environment_seed(42, 1)
    assert agent.history.episode == 1 and agent.history.lengths[0, 0] == 7
    assert len(alone(agent, gymnasium.make("radt/DarkRoom-v0", width=5, height=5, horizon=20, goal=(1, 1)), 1)) == 1


def test_what_cannot_be_used_is_refused_in_a_sentence(made, weights, tmp_path):
    def refused(action, *parts):
        with pytest.raises(RadtError) as caught:
            action()
        assert all(part in str(caught.value) for part in parts), caught.value

    refused(lambda: radt.load(tmp_path / "none"), "none is not there: give a folder such as results/darkroom/train/radt/seed42")
    refused(lambda: radt.load(tmp_path), "has no trained network")
    refused(lambda: radt.load(weights("ad"), method="radt"), "has no evaluation 'radt' (it was evaluated as ad)")
    lonely = shutil.copytree(weights("ad"), tmp_path / "seed42")
    refused(lambda: radt.load(lonely), "it was not evaluated")
    for given in ({"environments": 0}, {"environments": 1.5}, {"episodes": "5"}, {"seed": 0.5}, {"seed": -1}):
        ((name, value),) = given.items()
        least = int(name != "seed")
        told = f"{name} is {value!r}, allowed are whole numbers from {least} on"
        refused(lambda given=given: radt.load(weights("ad"), **given), told)
    agent = radt.load(weights("ad"), episodes=1)
    refused(lambda: agent.act([0, 0]), "call begin()")
    agent.begin()
    refused(lambda: agent.receive(0.0, False), "call act(observation) first")
    room = agent.suite.experiment.title
    refused(lambda: agent.act([0, 0, 0]), "such as [0, 0, 0]", room, "2 numbers below")
    refused(lambda: agent.act([0, 200]), "such as [0, 200]", room)
    refused(lambda: agent.act([0.5, 0]), "such as [0.5, 0.0]", room)
    agent.act([0, 0])
    refused(lambda: agent.act([0, 0]), "call receive(reward, done)")
    refused(lambda: agent.receive(np.nan, False), "not finite")
    refused(lambda: agent.receive([0.0, 1.0], [False, False]), "2 rewards and 2 ends are given, allowed are 1 of both")
    agent.receive(0.0, True)
    refused(agent.begin, "room for 1 episodes")
    refused(lambda: agent.act([0, 0]), "no episode goes on (an episode has at most 20 steps)")
    half = radt.load(weights("ad"), episodes=1)
    half.begin()
    half.act([0, 0])
    half.receive(0.0, False)
    refused(half.begin, "room for 1 episodes")  # it was cut off
    refused(lambda: half.act([0, 0]), "no episode goes on")
    several = radt.load(weights("ad"), environments=3)
    several.begin()
    refused(lambda: several.act([[0, 0]]), "1 observations are given, allowed are 3")
    refused(lambda: several.act([[0, 0], [1]]), "the observation does not fit")
    several.act([[0, 0], [1, 0], [0, 1]])
    refused(lambda: several.receive([0.0, None, 0.0], [False] * 3), "not finite")
    refused(lambda: several.receive([0.0, 1e300, 0.0], [False] * 3), "not finite")
    refused(lambda: several.receive("much", False), "allowed are a number and a truth value")
    refused(lambda: several.receive([0.0, np.nan, 0.0], [False] * 3), "not finite")
    several.receive([0.0] * 3, [False, True, False])
    several.act([[0, 0], [0, 0], [0, 1]])
    several.receive([0.0, np.nan, 1.0], [False] * 3)  # what follows the end of an episode counts for nothing
    assert several.history.totals[:, 0].tolist() == [0.0, 0.0, 1.0]
    refused(lambda: radt.load(weights("ad"), device="gpu"), "device is 'gpu', allowed are cpu, cuda and auto")
    refused(lambda: radt.load(weights("ad"), revision="main"), "leave one of both out")
    agent.save(tmp_path / "saved")
    refused(lambda: agent.save(tmp_path / "saved"), "is there already")
    (tmp_path / "file").touch()
    refused(lambda: agent.save(tmp_path / "file/saved"), "file/saved cannot be made", "save to another folder")
    refused(lambda: agent.save(tmp_path / "file/inner/saved"), "cannot be made", "save to another folder")
    refused(lambda: radt.load(tmp_path / "saved", method="radt"), "was saved to act as ad: leave method out")
    path = tmp_path / "saved" / SETTINGS
    values = artifacts.read_checked_json(path)
    artifacts.write_checked_json(path, {**values, "format": 99})
    refused(lambda: radt.load(tmp_path / "saved"), "has format 99")
    path.write_text("{}", encoding="utf-8")
    refused(lambda: radt.load(tmp_path / "saved"), "agent.json")
    artifacts.write_checked_json(path, values)
    (tmp_path / "saved" / MODEL / WEIGHTS).write_bytes(b"other")
    refused(lambda: radt.load(tmp_path / "saved"), "is damaged")


def test_settings_that_are_null_are_saved(made, weights, tmp_path):
    agent = radt.load(weights("radt"))
    selection = agent.trained.selection
    embed = selection.embed.model_copy(update={"query_stride": None})
    agent.trained = replace(agent.trained, selection=selection.model_copy(update={"embed": embed}))
    agent.save(tmp_path / "saved")
    assert radt.load(tmp_path / "saved").trained.selection.embed.query_stride is None
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_a_path_may_go_up(made, monkeypatch):
    monkeypatch.chdir(made / "results/darkroom/train/ad")
    assert radt.load("../radt/seed42").trained.method == "radt" and radt.load("../ad/seed42").trained.method == "ad"


def test_results_may_be_behind_a_link_and_beside_damaged_records_of_others(copy, tmp_path):
    shutil.move(copy / "results", tmp_path / "elsewhere")
    (copy / "results").symlink_to(tmp_path / "elsewhere")
    (copy / "results/darkroom/evaluate/dpt/seed42.provenance.json").write_text("{}", encoding="utf-8")
    assert radt.load(copy / "results/darkroom/train/ad/seed42").trained.method == "ad"
    with pytest.raises(RadtError, match="seed42"):
        radt.load(copy / "results/darkroom/train/dpt/seed42")


def test_an_agent_does_not_take_other_weights_than_those_it_was_loaded_with(copy, tmp_path):
    folder = copy / "results/darkroom/train/ad/seed42"
    agent = radt.load(folder)
    shutil.copy(copy / "results/darkroom/train/ad/seed43" / WEIGHTS, folder)
    for action in (agent.forget, lambda: agent.save(tmp_path / "saved")):
        with pytest.raises(RadtError, match="has changed since the agent was loaded"):
            action()
    assert not (tmp_path / "saved").exists()


def test_weights_of_another_training_than_the_evaluated_one_are_refused(copy):
    folder = copy / "results/darkroom/train/ad/seed42"
    shutil.copy(copy / "results/darkroom/train/ad/seed43" / WEIGHTS, folder)
    with pytest.raises(RadtError, match="is not the one that was evaluated"):
        radt.load(folder)


def test_the_package_starts_without_torch():
    code = "import sys, radt; assert 'torch' not in sys.modules and 'gymnasium' not in sys.modules; radt.load"
    assert subprocess.run([sys.executable, "-c", code], check=True).returncode == 0
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        _ = radt.lod
