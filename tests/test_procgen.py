"""Procgen on its real engine: frames, levels, many at once, a tiny experiment from pixels to the evaluation."""

import hashlib
import subprocess
import sys
from collections import deque
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from radt.errors import RadtError
from radt.evaluation.rollout import reached
from radt.models.observations import Frames
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.stages import rl
from radt.stages import trajectories as trajectories_stage
from radt.suites import suite_of
from radt.suites.procgen import engine
from radt.suites.procgen.engine import Level
from radt.suites.procgen.environment import LevelEnv, LevelsVectorEnv
from radt.suites.procgen.settings import Game
from stages import Chain, configuration, select

ENGINE = pytest.mark.skipif(find_spec("procgen") is None, reason="procgen-mirror has no wheel for this Python")
MAZE = {"suite": "procgen", "games": ["maze"], "levels": 6, "horizon": 24, "num_tasks": 6, "num_held_out": 2, "num_validation": 1}
MOVES = (1, 3, 5, 7)
"""Actions left, down, up, right."""


class Chosen(Section):
    experiment: AnyExperiment


def experiment(**changes):
    return parse(Chosen, {"experiment": {**MAZE, **changes}}).experiment


def tape(level, steps=150):
    """A hash of all frames and rewards after random actions."""
    level.reset()
    found = hashlib.sha256(level.frame.tobytes())
    for action in np.random.default_rng(0).integers(0, engine.CHOICES, steps).tolist():
        reward, ended, _ = level.step(action)
        found.update(level.frame.tobytes() + np.array([reward, ended]).tobytes())
        if ended:
            level.reset()
    return found.hexdigest()


@ENGINE
def test_levels_play_alike_again_and_in_another_process():
    """All 16 games."""
    code = """if True:
        import test_procgen as here
        print([here.tape(here.Level(game, 3, "easy")) for game in here.get_args(here.Game)])
    """
    path = str(Path(__file__).parent)
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, cwd=path).stdout
    levels = [Level(game, 3, "easy") for game in get_args(Game)]
    hashes = [tape(level) for level in levels]
    assert len(set(hashes)) == 16 and str(hashes) == again.strip()
    assert [tape(level) for level in levels] == hashes
    for level in levels:
        level.close()


@ENGINE
def test_levels_and_modes_differ():
    assert len({tape(Level("heist", level, mode), 5) for level in (0, 1) for mode in ("easy", "hard", "memory")}) == 6


@ENGINE
def test_a_state_is_put_back():
    level = Level("miner", 5, "easy")
    for action in (7, 7, 3):
        level.step(action)
    kept, frame = level.state(), level.frame.copy()
    after = [(*level.step(action), level.frame.copy()) for action in (3, 1, 5, 7)]
    level.restore(kept)
    assert (level.frame == frame).all()
    for action, (reward, ended, completed, shown) in zip((3, 1, 5, 7), after, strict=True):
        assert level.step(action) == (reward, ended, completed) and (level.frame == shown).all()


def way_out(level):
    """The shortest way to the goal of a maze, by breadth-first search over frames."""
    level.reset()
    waiting, known = deque([(level.state(), ())]), {level.frame.tobytes()}
    while waiting:
        state, actions = waiting.popleft()
        for action in MOVES:
            level.restore(state)
            reward, ended, _ = level.step(action)
            if ended:
                assert reward == 10.0
                return [*actions, action]
            if level.frame.tobytes() not in known:
                known.add(level.frame.tobytes())
                waiting.append((level.state(), (*actions, action)))
    raise AssertionError("there is no way")


@ENGINE
def test_a_maze_pays_at_its_goal_and_begins_anew():
    level = Level("maze", 4, "easy")
    way = way_out(level)
    env = LevelEnv(level, horizon=100)
    for _ in range(2):
        env.reset()
        told = [env.step(action) for action in way]
        assert [reward for _, reward, *_ in told] == [0.0] * (len(way) - 1) + [10.0]
        assert [terminated for _, _, terminated, _, _ in told] == [False] * (len(way) - 1) + [True]
        assert [info["success"] for *_, info in told] == [False] * (len(way) - 1) + [True]


@ENGINE
def test_many_levels_are_each_as_alone():
    """Episodes end each for itself, by the game or the time limit; success is told of the episode that ended."""
    ways = [way_out(Level("maze", number, "easy")) for number in (4, 5)]
    horizon = len(ways[0]) + 3
    many = LevelsVectorEnv([Level("maze", 4, "easy"), Level("coinrun", 1, "easy")], horizon)
    alone = [LevelEnv(Level("maze", 4, "easy"), horizon), LevelEnv(Level("coinrun", 1, "easy"), horizon)]
    seen, _ = many.reset(seed=1)
    assert (seen == np.stack([env.reset()[0] for env in alone])).all()
    for step in range(2 * horizon):
        actions = np.array([ways[0][step] if step < len(ways[0]) else 4, 7])
        seen, rewards, terminated, truncated, told = many.step(actions)
        success = reached(told)
        for number, env in enumerate(alone):
            shown, reward, ended, cut, info = env.step(actions[number])
            assert (reward, ended, cut) == (rewards[number], terminated[number], truncated[number])
            assert bool(success[number]) == info["success"]
            if ended or cut:
                assert (told["final_obs"][number] == shown).all()
                shown = env.reset()[0]
            assert (seen[number] == shown).all()
        assert success[0] == (step == len(ways[0]) - 1)
    many.close()


@ENGINE
@pytest.mark.filterwarnings("ignore:.*close.*")
def test_gymnasium_accepts_a_level():
    check_env(LevelEnv(Level("starpilot", 0, "easy"), 50), skip_render_check=True)


@ENGINE
def test_the_last_frame_is_told_where_the_time_limit_ends_an_episode():
    level, env = Level("bigfish", 2, "easy"), LevelEnv(Level("bigfish", 2, "easy"), 3)
    env.reset()
    level.reset()
    for action in (7, 5, 1):
        level.step(action)
        shown, _, terminated, truncated, _ = env.step(action)
    assert truncated and not terminated and (shown == level.frame).all()
    assert (env.reset()[0] != shown).any()


@ENGINE
def test_a_closed_level_is_refused():
    env = LevelEnv(Level("maze", 0, "easy"), 10)
    env.reset()
    env.close()
    with pytest.raises(ValueError, match="the level was closed: make a new one"):
        env.reset()
    with pytest.raises(ValueError, match="allowed are none"):
        LevelEnv(Level("maze", 0, "easy"), 10).reset(options={"reset_mask": [False]})


@ENGINE
def test_tasks_are_levels_of_games():
    own = experiment(games=["maze", "heist"], levels=3, first_level=10)
    tasks = suite_of(own).tasks()
    assert [(task.description["game"], task.description["level"]) for task in tasks] == [
        (game, level) for game in ("maze", "heist") for level in (10, 11, 12)
    ]
    assert [task.split for task in tasks] == ["train"] * 3 + ["validation"] + ["held_out"] * 2
    env = suite_of(own).make(np.array([4]))
    assert (env.reset()[0][0] == Level("heist", 11, "easy").frame).all()
    assert (suite_of(own).seen(env.reset()[0]) == env.reset()[0]).all()


@ENGINE
def test_what_cannot_be_played_is_refused_in_a_sentence(monkeypatch):
    def refused(words, **changes):
        with pytest.raises(RadtError) as caught:
            suite_of(experiment(**changes)).make(np.array([0]))
        assert words in str(caught.value), caught.value

    refused("'starpilot'", games=["pong"])
    refused("num_tasks is 6, but there are 1 games with 5 levels each: allowed is 5", levels=5)
    refused("maze is named twice, allowed is once", games=["maze", "maze"], levels=3)
    games = "caveflyer, dodgeball, heist, jumper, maze, miner"
    refused(f"coinrun has no mode memory, allowed are {games}", games=["coinrun"], mode="memory")
    env = suite_of(experiment()).make(np.array([0, 1]))
    with pytest.raises(ValueError, match="call reset before step"):
        env.step(np.array([0, 0]))
    env.reset()
    for wrong in (np.array([0]), np.array([0, 15]), np.array([0.0, 1.0])):
        with pytest.raises(ValueError, match="allowed are 2 integers from 0 to 14"):
            env.step(wrong)
    with pytest.raises(RadtError, match="shows what is not in its space"):
        suite_of(experiment()).seen(np.zeros((1, 84, 84, 3), np.uint8))
    engine.library.cache_clear()
    monkeypatch.setattr(engine.ctypes, "CDLL", lambda path: (_ for _ in ()).throw(OSError("libGL.so.1: no such file")))
    refused("the engine of Procgen cannot be loaded (libGL.so.1: no such file): on Debian or Ubuntu `apt-get install")
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    refused("the suite 'procgen' needs a package that is not installed: run `make setup-procgen`")


def test_networks_read_each_frame_for_itself():
    torch.manual_seed(0)
    frames = Frames(64, 64, 3, 8)
    images = torch.randint(0, 256, (2, 5, 64, 64, 3), dtype=torch.uint8)
    together = frames.added(images)
    assert together.shape == (2, 5, 8)
    alone = frames.linear(frames.convolutions(images[1, 3].float().permute(2, 0, 1)[None] / 255.0).flatten(1))[0]
    torch.testing.assert_close(together[1, 3], alone)
    assert (together[0, 0] - together[0, 1]).abs().max() > 1e-3
    assert Frames(40, 52, 1, 8).added(torch.zeros(3, 40, 52, 1, dtype=torch.uint8)).shape == (3, 8)
    with pytest.raises(RadtError, match="images are 20x64, allowed are 36x36 and larger"):
        Frames(20, 64, 3, 8)


@ENGINE
def test_a_tiny_experiment_goes_from_pixels_to_the_evaluation(tmp_path):
    config = configuration()
    config["experiments"] = {"tiny": {**MAZE, "reward_scale": 10.0}}
    config["trajectories"] |= {"source": "ppo"}
    config["trajectories"]["ppo"] |= {"steps": 96, "rollout": 48, "batch_size": 24, "epochs": 1}
    config["evaluate"]["methods"] = {
        name: {"model": name, "target_return": target, "actions": "sample"}
        for name, target in (("radt", "from_memory"), ("ad", "none"), ("dpt", "none"), ("dt", "fixed"), ("retrieve", "none"))
    }
    chain = Chain(tmp_path, config)
    for task in range(3):
        output = tmp_path / f"rl/task{task}.safetensors"
        rl.main(
            ["--experiment", "tiny", "--task", str(task), "--settings", select(config, "trajectories"), "--output", str(output)]
        )
    places = ["--histories", str(tmp_path / "rl"), "--output", str(tmp_path / "trajectories")]
    trajectories_stage.main(["--experiment", "tiny", "--settings", select(config, "trajectories"), *places])
    for stage in (chain.pretrain, chain.embed, chain.index, chain.radt, chain.ad, chain.dpt):
        stage()
    for method in ("radt", "ad", "dpt", "dt", "retrieve"):
        chain.evaluate(method, None if method == "retrieve" else method, f"{method}.csv")
        table = pd.read_csv(tmp_path / f"{method}.csv")
        assert len(table) == 6 * 3 and np.isfinite(table["return"]).all() and set(table["success"]) <= {0, 1}
