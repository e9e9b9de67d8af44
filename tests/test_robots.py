"""DMControl and Meta-World on the real engines: what is seen and paid, goals, learners that search, a tiny experiment of each."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from radt.data import trajectories
from radt.errors import RadtError
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.sources import Search, Trajectories
from radt.stages import rl
from radt.stages import trajectories as trajectories_stage
from radt.suites import experiment_spec, searching, suite_of
from radt.suites.dmcontrol.planner import Planner
from radt.suites.searching import Belief
from radt.suites.sources import learn
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
REACH = {"suite": "metaworld", "names": ["reach"], "goals": 6, "start_seed": 0, "action_repeat": 4}
SIZES = {"horizon": 12, "num_tasks": 6, "num_held_out": 2, "num_validation": 1, "action_codes": 5}
UNION = {"suite": "dmcontrol", "union": True, "names": ["cartpole-swingup", "reacher-easy"], "num_tasks": 2, "num_held_out": 1}


class Chosen(Section):
    experiment: AnyExperiment


def experiment(given, **changes):
    return parse(Chosen, {"experiment": {**SIZES, **given, **changes}}).experiment


def refused(given, **changes):
    with pytest.raises(RadtError) as caught:
        suite_of(experiment(given, **changes)).make(np.array([0]))
    return str(caught.value)


@pytest.mark.parametrize("name", ["cartpole-swingup", "ball_in_cup-catch", "walker-walk", "hopper-stand"])
def test_steps_are_those_of_dm_control(name):
    own = experiment(
        REACHER, names=[name, "reacher-easy"], union=True, hidden=[], goals=1, num_tasks=2, num_held_out=1, num_validation=0
    )
    env, repeat = suite_of(own).environment(0), own.action_repeat
    from dm_control import suite as package

    theirs = package.load(*name.split("-"), task_kwargs={"random": own.start_seed})
    theirs.task.random.seed(own.start_seed)
    before, _ = env.reset()
    shown = theirs.reset()
    random = np.random.default_rng(0)
    for _ in range(5):
        np.testing.assert_array_equal(
            np.sort(before[before != 0]), np.sort(flat(shown.observation)[flat(shown.observation) != 0])
        )
        action = random.uniform(-1, 1, env.action_space.shape)
        before, reward, _, _, _ = env.step(action)
        paid = []
        for _ in range(repeat):
            shown = theirs.step(action[: theirs.action_spec().shape[0]])
            paid.append(shown.reward)
        assert reward == sum(paid)


def flat(parts):
    return np.concatenate([np.ravel(part) for part in parts.values()])


def test_the_published_observation_has_each_part_in_its_place():
    suite = suite_of(experiment(UNION, num_validation=0))
    assert suite.spec.observation.size == 204 and len(suite.spec.actions) == 6
    seen, _ = suite.environment(1).reset(seed=0)
    parts = suite.environment(1).task.get_observation(suite.environment(1).physics)
    assert set(np.flatnonzero(seen)) <= {14, 15, 41, 42, 142, 143} and list(parts) == ["position", "to_target", "velocity"]
    assert seen[[41, 42, 142, 143]].all()


@pytest.mark.parametrize("given", [REACHER, REACH], ids=["dmcontrol", "metaworld"])
def test_episodes_begin_alike_and_tasks_differ_in_their_goal_alone(given):
    suite = suite_of(experiment(given))
    env = suite.make(np.array([0, 1, 5]))
    first = suite.seen(env, env.reset(seed=1)[0])
    for _ in range(3):
        env.step(suite.done(np.zeros((3, len(suite.spec.actions)), np.int64)))
    np.testing.assert_array_equal(suite.seen(env, env.reset(seed=2)[0]), first)
    goals = [np.concatenate([np.ravel(value) for value in np.atleast_1d(goal_of(one.unwrapped))]) for one in env.env.envs]
    assert len({tuple(goal) for goal in goals}) == 3
    for goal in goals:  # no number of the goal is seen
        assert not np.isin(first, goal[np.abs(goal) > 1e-3].astype(np.float32)).any()


def goal_of(env):
    return env.goal if isinstance(env.goal, np.ndarray) else env.physics.named.model.geom_pos["target", :2]


def test_metaworld_pays_what_the_package_pays():
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    suite = suite_of(experiment(REACH, names=["push"]))
    env = suite.environment(2)
    package = ALL_V3_ENVIRONMENTS["push-v3"]()
    package._set_task_called, package._freeze_rand_vec, package._last_rand_vec = True, True, env.env._last_rand_vec
    seen, _ = env.reset()
    shown, _ = package.reset()
    random = np.random.default_rng(0)
    for _ in range(4):
        np.testing.assert_allclose(seen, shown, atol=1e-6)
        action = random.uniform(-1, 1, 4).astype(np.float32)
        seen, reward, _, _, told = env.step(action)
        results = [package.step(action) for _ in range(4)]
        shown = results[-1][0]
        assert reward == pytest.approx(sum(paid for _, paid, *_ in results), abs=1e-4)
        assert told["success"] == any(one["success"] for *_, one in results)


BYTES = """
import hashlib, json, sys
from test_robots import REACH, REACHER, SEARCH, experiment
from radt.settings.sources import Trajectories
from radt.suites.sources import learn
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

    def reset(self):
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
    returns = one.returns().reshape(20, 6).mean(0)
    assert returns[-1] > 45 > 35 > returns[0]
    wanted = np.clip(10.0 * (np.array([0.8, 0.5]) - one.observations), -1.0, 1.0)
    np.testing.assert_allclose(one.labels, wanted, atol=1e-5)


def test_an_expert_under_noise_goes_from_random_actions_to_its_own():
    settings = Trajectories(source="expert", expert={"seed": 0, "histories": 1, "episodes": 3, "power": 2.0})
    shard = learn(experiment(REACH, names=["drawer-close"], horizon=40), settings, 1)
    actions, labels = shard.actions.reshape(3, 40, 4), shard.labels.reshape(3, 40, 4)
    same = (actions == labels).all(-1).mean(-1)
    assert same[0] == 0.0 and same[2] == 1.0 and 0.0 < same[1] < 0.4  # a chance of 0.87
    returns = shard.returns()
    assert returns[2] > 2 * returns[0]


def test_planning_pays_and_leaves_the_simulation_as_it_was():
    own = experiment(UNION, names=["reacher-easy", "hopper-stand"], num_validation=0, start_seed=0, action_repeat=5)
    planner, alone = Planner(suite_of(own).environment(0)), suite_of(own).environment(0)
    planner.reset()
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


def test_what_cannot_be_played_is_refused_in_a_sentence(monkeypatch):
    assert "DMControl has no task 'reacher-hardest': allowed are" in refused(REACHER, names=["reacher-hardest"])
    assert "Meta-World has no task 'juggle': allowed are assembly, " in refused(REACH, names=["juggle"])
    assert "cartpole-swingup has no target" in refused(REACHER, names=["cartpole-swingup"])
    assert "union is false, but there are several names" in refused(UNION, union=False, num_validation=0)
    assert "num_tasks is 6, but there are 1 names with 5 goals each: allowed is 5" in refused(REACH, goals=5)
    assert "hidden is 'target', but reacher-easy shows position, to_target, velocity" in refused(REACHER, hidden=["target"])
    with pytest.raises(RadtError, match="which hopper-stand does not have: set it to expert, sac or ppo"):
        own = experiment(UNION, names=["hopper-stand", "reacher-easy"], num_validation=0)
        learn(own, Trajectories(source="search", search=SEARCH), 0)
    for package, extra in (("dm_control", "dmcontrol"), ("metaworld.env_dict", "metaworld")):
        monkeypatch.setitem(sys.modules, package, None)
        assert f"pip install 'radt[{extra}]'" in refused(REACHER if extra == "dmcontrol" else REACH)


def test_a_simulation_that_fails_stops_the_experiment():
    suite = suite_of(experiment(REACH))
    env = suite.make(np.array([0]))
    env.reset()
    env.env.envs[0].env.data.qvel[0] = np.nan
    with pytest.raises(RadtError, match="the simulation of reach is not stable at step 0"):
        env.step(np.zeros((1, 4)))


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
