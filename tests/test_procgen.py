"""Procgen on its real engine: frames, levels, many at once, a tiny experiment from pixels to the evaluation."""

import hashlib
import subprocess
import sys
from collections import deque
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import radt
from radt import artifacts
from radt.agent import Trained, TrainedAgent
from radt.data import features, trajectories
from radt.errors import RadtError
from radt.evaluation.card import summary
from radt.evaluation.rollout import reached
from radt.models.observations import Frames
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.sources import Expert, Generate, Trajectories
from radt.stages import features as features_stage
from radt.stages import rl
from radt.stages import trajectories as trajectories_stage
from radt.stages.evaluate import Selection
from radt.suites import experiment_spec, suite_of
from radt.suites.procgen import engine, mazes, planner, sources, tapes
from radt.suites.procgen.engine import Level
from radt.suites.procgen.environment import LevelEnv, LevelsVectorEnv
from radt.suites.procgen.settings import Game
from stages import Chain, configuration, select

ENGINE = pytest.mark.skipif(find_spec("procgen") is None, reason="procgen-mirror has no wheel for this Python")
MAZE = {"suite": "procgen", "games": ["maze"], "levels": 6, "horizon": 24, "num_tasks": 6, "num_held_out": 2, "num_validation": 1}
MOVES = (1, 3, 5, 7)
"""Actions left, down, up, right."""
NOISE = {"seed": 0, "histories": 1, "episodes": 2, "power": 1.0, "random": "first"}
"""Settings of an expert."""


class Chosen(Section):
    experiment: AnyExperiment


def experiment(**changes):
    return parse(Chosen, {"experiment": {**MAZE, **changes}}).experiment


def generated(**changes):
    return parse(Generate, {**configuration()["trajectories"]["generate"], "initial_value": 10.0, **changes})


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
    assert own.caption(4) == "Heist, level 11"
    assert [task.split for task in tasks] == ["train"] * 3 + ["validation"] + ["held_out"] * 2
    env = suite_of(own).make(np.array([4]))
    assert (env.reset()[0][0] == Level("heist", 11, "easy").frame).all()
    assert (suite_of(own).seen(env.reset()[0]) == env.reset()[0]).all()


@ENGINE
def test_unseen_levels_are_further_levels_of_the_training_games():
    changes = {"games": ["maze", "heist", "miner"], "levels": 2, "unseen_levels": 3, "first_level": 10, "num_tasks": 12}
    tasks = suite_of(experiment(**changes)).tasks()
    found = {split: [] for split in ("train", "validation", "held_out", "unseen")}
    for task in tasks:
        found[task.split].append((task.description["game"], task.description["level"]))
    unseen = [(game, level) for game in ("maze", "heist") for level in (12, 13, 14)]
    training = [("maze", 10), ("maze", 11), ("heist", 10)]
    held_out = [("miner", 10), ("miner", 11)]
    assert found == {"train": training, "validation": [("heist", 11)], "held_out": held_out, "unseen": unseen}


@ENGINE
def test_what_cannot_be_played_is_refused_in_a_sentence(monkeypatch):
    def refused(words, **changes):
        with pytest.raises(RadtError) as caught:
            suite_of(experiment(**changes)).make(np.array([0]))
        assert words in str(caught.value), caught.value

    refused("'starpilot'", games=["pong"])
    refused("num_tasks is 6, but there are 1 games with 5 levels each and 0 unseen levels: allowed is 5", levels=5)
    refused("and 12 unseen levels: allowed is 18", games=["maze", "heist", "miner"], levels=2, unseen_levels=6)
    refused("num_held_out is 2 and levels 6: whole games must be held out", unseen_levels=1)
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
@pytest.mark.parametrize("mode", ["easy", "memory"])
def test_a_maze_is_a_table(mode):
    """Random moves in the game show and pay what the table says."""
    level, random = Level("maze", 3, mode), np.random.default_rng(0)
    maze = mazes.explore(level)
    goal = len(maze.frames)
    level.reset()
    state = 0
    for move in random.integers(0, 5, 400).tolist():
        reward, ended, _ = level.step(int(mazes.MOVES[move]))
        following = int(maze.following[state, move])
        assert reward == maze.reward[state, move] and ended == (following == goal)
        state = 0 if ended else following
        if ended:
            level.reset()
        assert (level.frame == maze.frames[state]).all()
    assert (maze.following[goal] == goal).all() and not maze.reward[goal].any()


@ENGINE
def test_histories_in_mazes_are_what_the_game_shows_and_labels_lead_to_the_goal():
    own = experiment(horizon=60, numbers_per_frame=8).raw
    found = list(mazes.histories(own, generated(histories=2, episodes=3)))
    assert [int(shard.episode_task[0]) for shard in found] == [0, 1, 2]
    for number, shard in enumerate(found):
        level, starts = Level("maze", number, "easy"), shard.episode_start
        paid = []
        for begin, end in pairwise(starts.tolist()):
            level.reset()
            for step in range(begin, end):
                assert (level.frame == shard.observations[step]).all()
                reward, ended, _ = level.step(int(shard.actions[step, 0]))
                assert reward == shard.rewards[step] and (not ended or step == end - 1)
            paid.append(ended)
        assert shard.terminated.tolist() == paid
        way = len(way_out(level))
        label = {frame.tobytes(): int(action) for frame, action in zip(shard.observations, shard.labels[:, 0], strict=True)}
        level.reset()
        for step in range(way):
            if level.frame.tobytes() not in label:  # where no learner was
                break
            _, ended, _ = level.step(label[level.frame.tobytes()])
            assert ended == (step == way - 1)
    again = list(mazes.histories(own, generated(histories=2, episodes=3)))
    assert all((one.actions == other.actions).all() for one, other in zip(found, again, strict=True))
    with pytest.raises(RadtError, match="for coinrun, allowed is one of maze and heist: set it to expert"):
        sources.collect(experiment(games=["coinrun"]), Trajectories(source="generate", generate=generated()), None)


@ENGINE
def test_the_expert_takes_a_shortest_way_out_of_a_maze():
    own = suite_of(experiment())
    env = own.make(np.array([1, 4]))
    lengths = [len(way_out(Level("maze", number, "easy"))) for number in (1, 4)]
    env.reset()
    act = own.expert(env, 0)  # which leaves the levels as they are
    ended = np.zeros(2, np.int64)
    for step in range(24):
        _, _, terminated, _, _ = env.step(own.done(act()))
        ended[terminated & (ended == 0)] = step + 1
    assert ended.tolist() == [length if length <= 24 else 0 for length in lengths]


def doings(level, codes, steps=3):
    """What each code shows and pays in the present state, where it is held for some steps."""
    state, found = level.state(), []
    for code in codes:
        level.restore(state)
        found.append([(level.step(code), level.frame.tobytes()) for _ in range(steps)])
    level.restore(state)
    return found


@ENGINE
def test_codes_that_the_planner_leaves_out_do_the_same_as_others():
    """In states along random play; each code that it tries does something of its own in one of them."""
    assert set(planner.DIFFERENT) == set(get_args(Game)) - {"maze", "heist"}
    for game in planner.DIFFERENT:
        level, random, codes = Level(game, 1, "easy"), np.random.default_rng(0), planner.DIFFERENT[game]
        alike = np.ones((engine.CHOICES, engine.CHOICES), np.bool_)
        for _ in range(8):
            does = doings(level, range(engine.CHOICES))
            alike &= [[one == other for other in does] for one in does]
            code = int(random.choice(codes))
            for _ in range(5):
                level.step(code)
        assert (alike[:, codes].sum(1) == 1).all(), game


@ENGINE
def test_the_expert_plans_and_leaves_the_level_as_it_is():
    own = suite_of(experiment(games=["miner", "dodgeball"], levels=3, horizon=60))
    env = own.make(np.array([1, 4]))
    returns = {}
    for method in ("random", "expert"):
        env.reset()
        act, random, total = own.expert(env, 0), np.random.default_rng(0), np.zeros(2)
        running = np.ones(2, np.bool_)
        for _ in range(60):
            before = [level.state() for level in env.levels]
            codes = act() if method == "expert" else random.integers(0, engine.CHOICES, (2, 1)).astype(np.uint8)
            assert [level.state() for level in env.levels] == before
            _, rewards, terminated, truncated, _ = env.step(own.done(codes))
            total += rewards * running
            running &= ~(terminated | truncated)
        returns[method] = total
    assert (returns["expert"] >= returns["random"] + 2.0).all(), returns


def outside(folder, config, learned):
    """An agent plays as in the evaluation, and so does one that was saved, which needs no other files."""
    rows = pd.read_csv(folder / "radt.csv")
    expected = rows.pivot(index="episode", columns="task", values="return")[rows["task"].unique()]
    selection = parse(Selection, select(config, "embed", "evaluate"))
    places = folder / "radt", folder / "dt", learned
    known = summary(rows.astype(str).to_dict("records"))
    trained = Trained(
        "radt", 1, selection, known, *places, tuple(artifacts.sha256(place / "model.safetensors") for place in places)
    )
    agent = TrainedAgent(trained, len(expected.columns), len(expected), None, "cpu")
    agent.save(folder / "saved")
    for own in (agent, radt.load(folder / "saved", environments=len(expected.columns), episodes=len(expected))):
        assert (play(own, own.suite.make(expected.columns.to_numpy()), len(expected)) == expected.to_numpy()).all()
    (folder / "saved/features/model.safetensors").write_bytes(b"other")
    with pytest.raises(RadtError, match="is damaged"):
        radt.load(folder / "saved")


def play(agent, env, episodes):
    """Returns [episodes, n] of all environments of a vector environment."""
    returns = np.zeros((episodes, env.num_envs))
    for episode in range(episodes):
        seen, _ = env.reset()
        agent.begin()
        running = np.ones(env.num_envs, np.bool_)
        while agent.history.episode == episode:
            seen, rewards, terminated, truncated, _ = env.step(agent.act(seen))
            agent.receive(rewards, terminated | truncated)
            returns[episode] += rewards * running
            running &= ~(terminated | truncated)
    return returns


@ENGINE
def test_a_tiny_experiment_of_mazes_is_read_as_numbers(tmp_path):
    config = configuration()
    config["experiments"] = {"tiny": {**MAZE, "reward_scale": 10.0, "numbers_per_frame": 8}}
    config["trajectories"] |= {"source": "generate"}
    config["trajectories"]["generate"] |= {"histories": 2, "episodes": 2, "initial_value": 10.0}
    config["evaluate"]["methods"] = {
        name: {"model": name, "target_return": target, "actions": "sample"}
        for name, target in (("radt", "from_memory"), ("dpt", "none"), ("random", "none"))
    }
    chain = Chain(tmp_path, config)
    named = ["--experiment", "tiny", "--settings"]
    learned, other = tmp_path / "features", tmp_path / "other"
    for folder, frames in ((learned, 1000), (other, 6)):
        config["features"] = {"frames": frames}
        features_stage.main([*named, select(config, "features", "trajectories"), "--output", str(folder)])
    told = [*named, select(config, "trajectories"), "--output", str(tmp_path / "trajectories")]
    with pytest.raises(RadtError, match="--features is missing"):
        trajectories_stage.main(told)
    trajectories_stage.main([*told, "--features", str(learned)])
    own = experiment(numbers_per_frame=8, reward_scale=10.0)
    data = trajectories.read(tmp_path / "trajectories", experiment_spec(own))
    assert data.shards[0].observations.dtype == np.float16
    first = features.read(learned, own)(Level("maze", 0, "easy").frame[None])
    assert (data.shards[0].observations[0] == first[0]).all()
    for stage in (chain.pretrain, chain.embed, chain.index, chain.radt, chain.dpt):
        stage()
    for method in ("radt", "dpt", "random"):
        chain.evaluate(method, None if method == "random" else method, f"{method}.csv", features=learned)
        assert np.isfinite(pd.read_csv(tmp_path / f"{method}.csv")["return"]).all()
    outside(tmp_path, config, learned)
    with pytest.raises(RadtError, match="was trained with another encoder of images than"):
        chain.evaluate("dpt", "dpt", "again.csv", features=other)
    with pytest.raises(RadtError, match="--features is missing"):
        chain.evaluate("dpt", "dpt", "again.csv")


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


@ENGINE
def test_an_expert_under_noise_makes_histories_of_several_games(tmp_path):
    """From its jobs to numbers; they replay in the game, and are the same bytes again."""
    config = configuration()
    games = {"games": ["caveflyer", "dodgeball", "jumper"], "levels": 1, "first_level": 2, "num_tasks": 3, "num_held_out": 1}
    config["experiments"] = {"tiny": {**MAZE, **games, "num_validation": 0, "horizon": 60, "numbers_per_frame": 8}}
    config["trajectories"] |= {"source": "expert"}
    config["trajectories"]["expert"] |= {"histories": 1, "episodes": 3}
    config["features"] = {"frames": 1000}
    named = ["--experiment", "tiny", "--settings"]
    for folder, tasks in (("rl", (0, 1)), ("again", (1,))):
        for task in tasks:
            output = ["--output", str(tmp_path / folder / f"task{task}.safetensors")]
            rl.main([*named, select(config, "trajectories"), "--task", str(task), *output])
    assert (tmp_path / "rl/task1.safetensors").read_bytes() == (tmp_path / "again/task1.safetensors").read_bytes()
    assert (tmp_path / "rl/task1.safetensors").stat().st_size < 30 * 180 + 2000  # tapes, without frames
    made = ["--histories", str(tmp_path / "rl"), "--output"]
    features_stage.main([*named, select(config, "features", "trajectories"), *made, str(tmp_path / "features")])
    told = [*named, select(config, "trajectories"), "--features", str(tmp_path / "features")]
    trajectories_stage.main([*told, *made, str(tmp_path / "trajectories")])
    own = parse(Chosen, {"experiment": config["experiments"]["tiny"]}).experiment
    encoder, data = features.read(tmp_path / "features", own), trajectories.read(tmp_path / "trajectories", experiment_spec(own))
    (shard,) = data.shards
    assert shard.episode_task.tolist() == [0] * 3 + [1] * 3
    for number, (begin, end) in enumerate(pairwise(shard.episode_start.tolist())):
        level = Level(*own.level_of(int(shard.episode_task[number])), "easy")
        frames = []
        for step in range(begin, end):
            frames.append(level.frame.copy())
            reward, ended, _ = level.step(int(shard.actions[step, 0]))
            assert reward == shard.rewards[step] and ended == (step == end - 1 and bool(shard.terminated[number]))
        assert (encoder(np.stack(frames)) == shard.observations[begin:end]).all()
        assert ended or end - begin == 60
    same = (shard.actions == shard.labels)[:, 0]
    first, _, last = np.split(same[: shard.episode_start[3]], shard.episode_start[1:3])
    assert first.mean() < 0.4 and last.all()
    assert shard.returns()[2] == 10.0
    level, random = LevelEnv(Level("caveflyer", 2, "easy"), 60), np.random.default_rng(0)
    for _ in range(10):
        level.reset()
        assert not any(level.step(code)[1] for code in random.integers(0, engine.CHOICES, 60))  # random actions never get there


@ENGINE
@pytest.mark.parametrize("column", ["observations", "rewards"])
def test_a_tape_that_does_not_play_again_is_refused(column):
    own = experiment(games=["starpilot"])
    tape = tapes.tape_of(planner.imitate(Level("starpilot", 1, "easy"), parse(Expert, NOISE), 1, 20))
    assert tapes.play(tape, own).observations.shape == (40, 64, 64, 3)
    changed = getattr(tape, column).copy()
    changed[7] += 1
    with pytest.raises(RadtError, match="history of task 1 shows or pays something else in step 7 when it is played again"):
        tapes.play(replace(tape, **{column: changed}), own)
