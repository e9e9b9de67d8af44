"""DMControl and Meta-World on the real engines: what is seen and paid, goals, learners that search, a tiny experiment of each."""

import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import gymnasium
import numpy as np
import pandas as pd
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from radt.data import trajectories
from radt.data.episodes import EpisodeBuffer
from radt.errors import RadtError
from radt.evaluation.references import ExpertAgent
from radt.evaluation.rollout import in_context, reached
from radt.seeding import generator
from radt.settings.base import Section
from radt.settings.evaluation import Evaluate, Memory, Protocol
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.sources import Search, Trajectories
from radt.stages import rl
from radt.stages import trajectories as trajectories_stage
from radt.suites import experiment_spec, searching, suite_of
from radt.suites.dmcontrol.planner import Planner
from radt.suites.gymnasium.environment import view_of
from radt.suites.gymnasium.rl import Recorder
from radt.suites.metaworld.arm import Arm
from radt.suites.searching import Belief
from radt.suites.sources import histories, learn
from stages import Chain, configuration, select

SEARCH = {"seed": 0, "histories": 2, "episodes": 3, "patience": 5, "noise": 0.1}
REACHER = {
    "suite": "dmcontrol",
    "names": ["reacher-easy"],
    "goals": 6,
    "start_seed": 3,
    "action_repeat": 5,
    "hidden": ["to_target"],
}
REACH = {"suite": "metaworld", "names": ["reach"], "goals": 6, "action_repeat": 4}
SIZES = {"horizon": 12, "num_tasks": 6, "num_held_out": 2, "num_validation": 1, "action_codes": 5}
UNION = {"suite": "dmcontrol", "union": True, "names": ["cartpole-swingup", "reacher-easy"], "num_tasks": 2, "num_held_out": 1}

PROTOCOL = Protocol(model="expert", target_return="none", actions="greedy")
MEMORY = Memory(k_rerank=5, weight_similarity=1.0, weight_return=1.0, weight_reward=1.0, query_stride=5)
EVALUATE = Evaluate(
    episodes=2, splits=["train"], target_mean=1.0, target_std=0.0, target_low=(1.0, 2.0), memory=MEMORY, methods={}, device="cpu"
)


class Chosen(Section):
    experiment: AnyExperiment


def experiment(given, **changes):
    return parse(Chosen, {"experiment": {**SIZES, **given, **changes}}).experiment


def refused(given, **changes):
    with pytest.raises(RadtError) as caught:
        suite_of(experiment(given, **changes)).make(np.array([0]))
    return str(caught.value)


PLACES = {  # first number of each part in the published observation, and its name in the package
    "cartpole-swingup": {"position": 41, "velocity": 14},
    "ball_in_cup-catch": {"position": 41, "velocity": 14},
    "walker-walk": {"orientations": 0, "velocity": 14, "height": 203},
    "reacher-easy": {"position": 41, "velocity": 14, "to_target": 142},
}


@pytest.mark.parametrize("name", PLACES)
def test_steps_are_those_of_dm_control(name):
    other = "hopper-stand"
    own = experiment(UNION, names=[name, other], num_validation=0, start_seed=3, action_repeat=5)
    env = suite_of(own).environment(0)
    from dm_control import suite as package

    theirs = package.load(*name.split("-"), task_kwargs={"random": 3})
    if name == "reacher-easy":
        goal = env.goal["geom_pos"]
    theirs.task.random.seed(3)
    shown, (seen, _) = theirs.reset(), env.reset()
    if name == "reacher-easy":  # with the target of our task
        theirs.physics.model.geom_pos[:] = goal
        theirs.physics.forward()
        shown = shown._replace(observation=theirs.task.get_observation(theirs.physics))
    random = np.random.default_rng(0)
    for _ in range(5):
        expected = np.zeros(204)
        for part, first in PLACES[name].items():
            values = np.ravel(shown.observation[part])
            expected[first : first + len(values)] = values
        np.testing.assert_array_equal(seen, expected)
        action = random.uniform(-1, 1, 6)
        seen, reward, _, _, _ = env.step(action)
        paid = []
        for _ in range(5):
            shown = theirs.step(action[: theirs.action_spec().shape[0]])
            paid.append(shown.reward)
        assert reward == sum(paid)


@pytest.mark.parametrize("given", [REACHER, REACH], ids=["dmcontrol", "metaworld"])
def test_a_task_has_one_goal_and_its_episodes_begin_alike(given):
    suite = suite_of(experiment(given))
    env = suite.make(np.array([0, 1, 5]))

    def goals():
        return np.stack([goal_of(one.unwrapped) for one in env.env.envs])

    first = suite.seen(env.reset(seed=1)[0])
    before = goals()
    for _ in range(3):
        env.step(suite.done(np.zeros((3, len(suite.spec.actions)), np.int64)))
        np.testing.assert_array_equal(goals(), before)
    np.testing.assert_array_equal(suite.seen(env.reset(seed=2)[0]), first)
    np.testing.assert_array_equal(goals(), before)
    assert len({tuple(goal) for goal in before}) == 3
    if given is REACHER:  # nothing tells tasks apart
        assert first.shape == (3, 4) and (first == first[0]).all()
    else:
        assert (first[:, 36:] == 0).all()


def test_each_episode_may_have_a_goal_of_its_own_which_its_expert_knows():
    own = experiment({**UNION, "new_goals": True}, names=["finger-turn_hard", "reacher-easy"], action_repeat=5, num_validation=0)
    finger, robot = suite_of(own).environment(0), suite_of(own).environment(1)
    body, sites, goals = suite_of(own).body(robot, None), [], []
    for episode in range(3):
        finger.reset(seed=None if episode else 1)
        sites.append(finger.physics.named.model.site_pos["target"].tolist())
        body.reset(None if episode else 1)
        goals.append(goal_of(robot).tolist())
        np.testing.assert_array_equal(body.goal, goals[-1])
        assert [body.step(body.towards(body.goal))[1] for _ in range(100)][-1] == 5.0
    assert len({*map(tuple, goals)}) == len({*map(tuple, sites)}) == 3
    body.reset(1)
    assert goal_of(robot).tolist() == goals[0]
    assert (own.caption(1), experiment(REACHER).caption(1)) == ("reacher-easy", "Reacher easy, task 1")


def goal_of(env):
    own = env.goal if isinstance(env.goal, np.ndarray) else env.physics.named.model.geom_pos["target", :2]
    return np.array(own)


def test_starts_differ_without_a_seed_and_histories_are_the_same_again():
    given = experiment(REACHER, start_seed=None)
    one, again = (learn(given, Trajectories(source="search", search=SEARCH), 1) for _ in range(2))
    np.testing.assert_array_equal(one.observations, again.observations)
    starts = one.observations[one.episode_start[:-1]]
    assert len({tuple(start) for start in starts}) == len(starts) == 6
    other = learn(given, Trajectories(source="search", search={**SEARCH, "seed": 1}), 1)
    assert not np.isin(other.observations[other.episode_start[:-1]], starts[:, :2]).any(1).all()


def test_metaworld_pays_what_the_package_pays():
    """An expert of reach, so that some steps reach the goal."""
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    env = suite_of(experiment(REACH)).environment(2)
    package = ALL_V3_ENVIRONMENTS["reach-v3"]()
    package._set_task_called, package._freeze_rand_vec, package._last_rand_vec = True, True, env.env._last_rand_vec
    seen, _ = env.reset()
    shown, _ = package.reset()
    body, successes = Arm(env), []
    for _ in range(16):
        np.testing.assert_allclose(seen, shown, atol=1e-6)
        action = body.towards(env.goal).astype(np.float32)
        seen, reward, _, _, told = env.step(action)
        results = [package.step(action) for _ in range(4)]
        shown = results[-1][0]
        assert reward == pytest.approx(sum(paid for _, paid, *_ in results), abs=1e-4)
        assert told["success"] == any(one["success"] for *_, one in results)
        successes.append(told["success"])
    assert not successes[0] and successes[-1]


BYTES = """
import hashlib, json, sys
from test_robots import REACH, REACHER, SEARCH, experiment
from radt.settings.sources import Trajectories
from radt.suites.sources import histories, learn
settings = Trajectories(source="search", search=SEARCH)
for given in (REACHER, REACH):
    shard = learn(experiment(given), settings, 1)
    columns = shard.observations, shard.actions, shard.rewards, shard.labels
    print(hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest())
"""


def test_histories_are_the_same_bytes_in_another_process():
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{BYTES}"]
    first, second = (subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout for _ in range(2))
    assert first == second and len(set(first.split())) == 2


def test_belief_is_what_agrees_with_all_that_was_paid():
    random = np.random.default_rng(0)
    places, goal = random.uniform(0, 1, (300, 2)), np.array([0.3, 0.7])
    belief, paid_at, unpaid_at = Belief(places, 0.2, random), [], []
    for place in random.uniform(0, 1, (60, 2)):
        reached = bool(np.linalg.norm(place - goal) <= 0.2)
        belief.learn(place, reached)
        (paid_at if reached else unpaid_at).append(place)
        within = lambda spots: np.linalg.norm(places[:, None] - np.array(spots)[None], axis=2) <= 0.2  # noqa: E731
        if paid_at:
            np.testing.assert_array_equal(belief.possible, within(paid_at).all(1))
            assert np.linalg.norm(belief.guess() - goal) < 0.2
        else:
            np.testing.assert_array_equal(belief.possible, ~within(unpaid_at).any(1))
            assert (belief.guess() == places[belief.possible]).all(1).any()
    assert paid_at


class Point:
    """A point that goes where it wants to, at most 0.1 a step."""

    reach = 0.3

    def __init__(self, goal):
        self.goal, self.at = np.array(goal), np.zeros(2)

    def places(self, count, random):
        return random.uniform(-1, 1, (count, 2))

    def reset(self, seed):
        self.at = np.zeros(2)
        return self.at

    def step(self, action):
        self.at = self.at + 0.1 * action
        paid = bool(np.linalg.norm(self.at - self.goal) <= self.reach)
        return self.at, float(paid), paid

    def place(self):
        return self.at

    def towards(self, goal):
        return np.clip(10.0 * (goal - self.at), -1.0, 1.0)


def test_a_learner_knows_nothing_of_the_goal_before_it_is_paid_and_remembers_it_after():
    settings = Search(seed=0, histories=20, episodes=6, patience=30, noise=0.05)
    one, other = (searching.search(Point(goal), np.float32, settings, 0, 60) for goal in ([0.8, 0.5], [-0.6, -0.7]))
    for history in range(20):
        own = slice(history * 360, (history + 1) * 360)
        paid = min(np.flatnonzero(np.append(shard.rewards[own], 1))[0] for shard in (one, other))
        np.testing.assert_array_equal(one.actions[own][: paid + 1], other.actions[own][: paid + 1])
    first = [next((own for own in history if own.any()), np.ones(60)) for history in one.rewards.reshape(20, 6, 60)]
    assert np.mean([own[np.flatnonzero(own)[0] :].mean() for own in first]) > 0.9  # who passes the goal turns back at once
    returns = one.returns().reshape(20, 6).mean(0)
    assert returns[-1] > 45 > 35 > returns[0]
    wanted = np.clip(10.0 * (np.array([0.8, 0.5]) - one.observations), -1.0, 1.0)
    np.testing.assert_allclose(one.labels, wanted, atol=1e-5)


def test_an_expert_under_noise_goes_from_random_actions_to_its_own():
    settings = Trajectories(source="expert", expert={"seed": 0, "histories": 1, "episodes": 3, "power": 2.0, "random": "mixed"})
    shard = learn(experiment(REACH, names=["drawer-close"], horizon=40), settings, 1)
    actions, labels = shard.actions.reshape(3, 40, 4), shard.labels.reshape(3, 40, 4)
    same = (actions == labels).all(-1).mean(-1)
    assert same[0] == 0.0 and same[2] == 1.0 and 0.0 < same[1] < 0.4  # a chance of 0.87
    returns = shard.returns()
    assert returns[2] > 2 * returns[0]


def test_an_expert_takes_over_earlier_from_episode_to_episode():
    settings = Trajectories(source="expert", expert={"seed": 0, "histories": 1, "episodes": 5, "power": 1.0, "random": "first"})
    shard = learn(experiment(REACH, names=["drawer-close"], horizon=40), settings, 1)
    same = (shard.actions == shard.labels).all(-1).reshape(5, 40)
    for episode, taken_over in enumerate([40, 30, 20, 10, 0]):
        assert not same[episode, :taken_over].any() and same[episode, taken_over:].all()


@pytest.mark.parametrize(
    ("given", "tasks"),
    [(REACH, [0, 2]), ({**UNION, "start_seed": 0, "num_validation": 0}, [0, 1])],
    ids=["metaworld", "dmcontrol"],
)
def test_the_expert_plays_in_evaluation_what_it_does_alone(given, tasks):
    """Its actions are rounded to codes."""
    own = experiment(given, horizon=25, action_codes=11)
    suite, played = suite_of(own), EpisodeBuffer(2, 2, suite_of(own).spec)
    env = suite.make(np.array(tasks))
    returns = in_context(ExpertAgent(suite, env, 0), played, suite, env, PROTOCOL, EVALUATE, seed=0)
    for number, task in enumerate(tasks):
        robot, total = suite.environment(task), 0.0
        body = suite.body(robot, generator(0, "expert", number))
        robot.reset()
        for _ in range(25):
            total += body.step(suite.done(suite.spec.codes(body.towards(body.goal))[None])[0])[1]
        assert returns[number, 0] == pytest.approx(total, rel=1e-4)
        if not isinstance(body, Planner):  # whose plans are drawn anew
            assert returns[number, 1] == returns[number, 0]


def test_planning_pays_and_leaves_the_simulation_as_it_was():
    own = experiment(UNION, names=["reacher-easy", "hopper-stand"], num_validation=0, start_seed=0, action_repeat=5)
    planner, alone = Planner(suite_of(own).environment(0), np.random.default_rng(0)), suite_of(own).environment(0)
    planner.reset(0)
    alone.reset()
    paid = 0.0
    for _ in range(25):
        action = planner.towards(planner.goal)
        assert (action[2:] == 0).all() and (planner.towards(planner.goal) == action).all()
        seen, reward, _ = planner.step(action)
        shown, other, *_ = alone.step(action)
        np.testing.assert_array_equal(seen, shown)
        assert reward == other
        paid += reward
    assert paid > 20  # of 125; at random it is about 4


def test_a_plan_values_a_sequence_whatever_was_tried_before():
    own = experiment(UNION, names=["walker-walk", "hopper-stand"], num_validation=0, start_seed=0, action_repeat=5)
    planner = Planner(suite_of(own).environment(0), np.random.default_rng(0))
    planner.reset(0)
    one, other = np.random.default_rng(0).uniform(-1, 1, (2, 3, 6))
    first, _, again = planner._paid(np.stack([one, other, one]))
    assert first == again > 0


class Flag(gymnasium.Env):
    """Says that it succeeds, as a number, in the steps of `at`, of an episode of three."""

    observation_space, action_space = spaces.Box(-1, 1, (1,)), spaces.Discrete(2)

    def __init__(self, at, horizon=3):
        self.at, self.horizon, self.time = at, horizon, 0

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(1, np.float32), {"success": 1.0}

    def step(self, action):
        self.time += 1
        return np.zeros(1, np.float32), 0.0, self.time == self.horizon, False, {"success": float(self.time in self.at)}


def test_success_is_of_the_step_and_of_the_episode_that_ended_with_it():
    makers = [partial(Flag, at) for at in ((3,), (1,), (), (2,))] + [partial(Flag, (1,), horizon=1)]
    env = SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset()
    told = [reached(env.step(np.zeros(5, np.int64))[4]).tolist() for _ in range(3)]
    assert told == [[False, True, False, False, True], [False, False, False, True, True], [True, False, False, False, True]]
    assert reached({}) is None


def test_what_cannot_be_played_is_refused_in_a_sentence(monkeypatch):
    assert "DMControl has no task 'reacher-hardest': allowed are" in refused(REACHER, names=["reacher-hardest"])
    assert "Meta-World has no task 'juggle': allowed are assembly, " in refused(REACH, names=["juggle"])
    assert "new_goals is true, but goals is 6: allowed are goals 1 and" in refused(REACHER, new_goals=True)
    assert "cartpole-swingup has no target" in refused(REACHER, names=["cartpole-swingup"])
    assert "union is false, but there are several names" in refused(UNION, union=False, num_validation=0)
    assert "num_tasks is 6, but there are 1 names with 5 goals each: allowed is 5" in refused(REACH, goals=5)
    assert "reach-v2 names a version, allowed is reach" in refused(REACH, names=["reach-v2"])
    assert "horizon 12 x action_repeat 50 is 600 steps, allowed are at most 500" in refused(REACH, action_repeat=50)
    assert "takes 21 actions" in refused(UNION, names=["humanoid-run", "reacher-easy"], num_validation=0)
    assert "hidden is 'target', but reacher-easy shows position, to_target, velocity" in refused(REACHER, hidden=["target"])
    with pytest.raises(RadtError, match="which hopper-stand does not have: set it to expert, sac or ppo"):
        own = experiment(UNION, names=["hopper-stand", "reacher-easy"], num_validation=0)
        learn(own, Trajectories(source="search", search=SEARCH), 0)
    for package, extra in (("dm_control", "dmcontrol"), ("metaworld.env_dict", "metaworld")):
        monkeypatch.setitem(sys.modules, package, None)
        assert f"pip install 'radt[{extra}]'" in refused(REACHER if extra == "dmcontrol" else REACH)


def test_a_simulation_that_fails_stops_the_experiment():
    for given, name in ((REACH, "reach"), (REACHER, "reacher-easy")):
        suite = suite_of(experiment(given))
        env = suite.make(np.array([0]))
        env.reset()
        one = env.env.envs[0].unwrapped
        (one.env if given is REACH else one.physics).data.qvel[0] = np.nan
        with pytest.raises(RadtError, match=f"the simulation of {name} is not stable at step 0"):
            env.step(np.zeros((1, len(suite.spec.actions))))


def buffer(size, dimensions, seed):
    """Two episodes of 12 and 5 steps and an unfinished one, in the form of the published files."""
    random = np.random.default_rng(seed)
    ended = np.zeros((20, 1), np.float32)
    ended[[11, 16]] = 1
    shape = {"observations": (20, 1, size), "actions": (20, 1, dimensions), "rewards": (20, 1)}
    return {**{name: random.uniform(-1, 1, own).astype("f4") for name, own in shape.items()}, "dones": ended}


MANY = {"suite": "metaworld", "names": ["push", "reach", "sweep"], "num_tasks": 3, "num_held_out": 1, "num_validation": 0}
ALL = {**UNION, "names": ["cartpole-swingup", "reacher-easy", "walker-walk"], "num_tasks": 3, "num_validation": 0}


@pytest.mark.parametrize(
    ("given", "names", "size", "dimensions"),
    [(MANY, ["push-v2.npz", "reach-v2.npz"], 39, 4), (ALL, ["cartpole_swingup.npz", "reacher_easy.npz"], 204, 6)],
    ids=["metaworld", "dmcontrol"],
)
def test_published_buffers_are_read_without_their_goal(given, names, size, dimensions, tmp_path):
    buffers = [buffer(size, dimensions, seed) for seed in range(2)]
    for name, arrays in zip(names, buffers, strict=True):
        np.savez_compressed(tmp_path / name, **arrays)
    own, settings = experiment(given), Trajectories(source="import", import_folder=str(tmp_path))
    source, shards = histories(own, settings, None)
    assert sorted(source["files"]) == names
    for task, (shard, arrays) in enumerate(zip(shards, buffers, strict=True)):
        expected = arrays["observations"][:17, 0]
        expected[:, 36:39] = 0 if size == 39 else expected[:, 36:39]
        np.testing.assert_array_equal(shard.observations, expected)
        np.testing.assert_array_equal(shard.actions, arrays["actions"][:17, 0])
        np.testing.assert_array_equal(shard.rewards, arrays["rewards"][:17, 0])
        assert shard.episode_start.tolist() == [0, 12, 17] and set(shard.episode_task) == {task}
    np.savez_compressed(tmp_path / names[1], **{**buffers[1], "actions": buffers[1]["actions"] * 2})
    with pytest.raises(RadtError, match=f"{names[1]} has an action of .*, allowed is -1 to 1"):
        list(histories(own, settings, None)[1])
    (tmp_path / names[0]).unlink()
    with pytest.raises(RadtError, match=f"lacks 1 of 2 files, first '{names[0]}'"):
        histories(own, settings, None)
    with pytest.raises(RadtError, match="set it to search, expert, download, ppo, sac, dqn, minari or import"):
        histories(own, Trajectories(source="generate", generate=configuration()["trajectories"]["generate"]), None)


@pytest.mark.parametrize("given", [REACHER, REACH], ids=["dmcontrol", "metaworld"])
def test_a_tiny_experiment_goes_through_all_stages(given, tmp_path):
    config = configuration()
    config["experiments"] = {"tiny": {**SIZES, **given, "reward_scale": 10.0}}
    config["trajectories"] |= {"source": "search", "search": SEARCH}
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
    data = trajectories.read(tmp_path / "trajectories", experiment_spec(experiment(given, reward_scale=10.0)))
    assert data.manifest["episodes"] == 3 * 2 * 3 and data.manifest["source"]["algorithm"] == "search"
    for stage in (chain.pretrain, chain.embed, chain.index, chain.radt, chain.ad, chain.dpt):
        stage()
    for method in ("radt", "ad", "dpt", "retrieve"):
        chain.evaluate(method, None if method == "retrieve" else method, f"{method}.csv")
        table = pd.read_csv(tmp_path / f"{method}.csv")
        assert len(table) == 6 * 3 and np.isfinite(table["return"]).all()
        assert ("success" in table) == (given is REACH)


def test_a_learner_acts_in_the_dimensions_that_its_task_has():
    """reacher-easy has two of the six dimensions of the shared action, which are recorded three times, as are their labels."""
    suite = suite_of(experiment(UNION, num_validation=0))
    env = suite.environment(1)
    recorder = Recorder(env, view_of(suite.experiment, env.observation_space), suite.spec, 20)
    assert recorder.action_space.shape == (2,) and env.action_space.shape == (6,)
    recorder.action_space.seed(0)
    acted = [recorder.action_space.sample() for _ in range(20)]
    recorder.reset(seed=0)
    for action in acted:
        recorder.step(action)
    recorder.ends, recorder.terminated = [20], [False]
    policy = SimpleNamespace(predict=lambda part, deterministic: (np.tile([0.5, -0.5], (len(part), 1)), None))
    history = recorder.history(1, policy)
    np.testing.assert_array_equal(history.actions, np.tile(acted, 3).astype(np.float32))
    np.testing.assert_array_equal(history.labels, np.tile([0.5, -0.5], (20, 3)))
