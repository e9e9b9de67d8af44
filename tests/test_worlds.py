"""What the stages use of all worlds alike: environments, optimum, optimal actions, descriptions, names in Gymnasium."""

import itertools
from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import radt.suites.grid.registered
from radt.suites import suite_of
from radt.suites.grid.darkroom import DarkRoomEnv, DarkRoomVectorEnv
from radt.suites.grid.engine import ACTIONS, best_actions, best_returns
from radt.suites.grid.keydoor import KeyDoorEnv, KeyDoorVectorEnv
from radt.suites.grid.mazerunner import MazeRunnerEnv, MazeRunnerVectorEnv
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.worlds import descriptions, make, optimal_actions, optimum

NAMES = {"DarkRoom": (DarkRoomEnv, DarkRoomVectorEnv), "KeyDoor": (KeyDoorEnv, KeyDoorVectorEnv)}
NAMES["MazeRunner"] = (MazeRunnerEnv, MazeRunnerVectorEnv)


def experiment(world, width=5, height=4, horizon=20, num_tasks=20, num_held_out=4):
    if world == "mazerunner":
        width, height, horizon = 15, 15, 400
    return GridExperiment(
        world=world, width=width, height=height, horizon=horizon, num_tasks=num_tasks, num_held_out=num_held_out, num_validation=2
    )


EXPERIMENTS = {world: experiment(world) for world in ("darkroom", "keydoor", "mazerunner")}
FULL = {
    "darkroom": experiment("darkroom", 10, 10, 100, 100, 20),
    "darkroom 40x20": experiment("darkroom", 40, 20, 800, 100, 20),
    "keydoor": experiment("keydoor", 10, 10, 100, 100, 20),
    "keydoor 20x20": experiment("keydoor", 20, 20, 400, 100, 20),  # one key lies on the start cell
    "keydoor 40x20": experiment("keydoor", 40, 20, 800, 100, 20),
    "mazerunner": experiment("mazerunner", num_tasks=119, num_held_out=20),
}


def greedy_return(env):
    """Return of one episode of optimal actions of every task."""
    actions, total, running = optimal_actions(env), np.zeros(env.num_envs), np.ones(env.num_envs, bool)
    assert actions.shape == (env.num_envs, env.states) and actions.max() < ACTIONS
    env.reset()
    for _ in range(env.horizon):
        _, reward, terminated, truncated, _ = env.step(actions[np.arange(env.num_envs), env.state])
        total += reward * running
        running &= ~(terminated | truncated)
    assert not running.any()
    return total


@pytest.mark.parametrize("name", FULL)
def test_optimal_actions_reach_the_optimum(name):
    env = make(FULL[name], np.arange(FULL[name].num_tasks))
    np.testing.assert_array_equal(greedy_return(env), optimum(FULL[name]))


@pytest.mark.parametrize("world", EXPERIMENTS)
def test_optimum_is_what_backward_induction_gets(world):
    env = make(EXPERIMENTS[world], np.arange(20))
    np.testing.assert_array_equal(
        best_returns(env.tables, env.horizon, env.last_step_pays)[env.rows], optimum(EXPERIMENTS[world])
    )


@pytest.mark.parametrize("world", ["darkroom", "keydoor"])
def test_optimum_is_the_best_of_all_action_sequences(world):
    """Every sequence of six actions, all at once, one environment for each."""
    tiny = experiment(world, 2, 2, 6, num_tasks=4, num_held_out=1)
    sequences = np.array(list(itertools.product(range(ACTIONS), repeat=6)))
    for task, best in enumerate(optimum(tiny)):
        env = make(tiny, np.full(len(sequences), task))
        env.reset()
        assert sum(env.step(actions)[1] for actions in sequences.T).max() == best


@pytest.mark.parametrize("world", EXPERIMENTS)
def test_optimal_actions_lead_to_pay_from_every_state(world):
    """The steps to the next pay that optimal actions need from a state are as few as any actions need."""
    env = make(EXPERIMENTS[world], np.arange(6))
    tables, actions = env.tables, optimal_actions(env)
    for task, row in enumerate(env.rows):
        following, pays = tables.following[row], tables.reward[row] > 0
        fewest = np.where(pays.any(axis=1), 1, np.iinfo(np.int32).max // 2)
        for _ in range(env.states):
            new = np.minimum(fewest, 1 + fewest[following].min(axis=1))
            if (new == fewest).all():
                break
            fewest = new
        reached = np.flatnonzero(fewest < env.states)
        chosen = actions[task, reached]
        left = np.where(pays[reached, chosen], 1, 1 + fewest[following[reached, chosen]])
        np.testing.assert_array_equal(left, fewest[reached])


def test_optimal_actions_far_from_every_reward():
    """From the far corner of the longest room there is, 255 steps away."""
    env = DarkRoomVectorEnv(256, 1, 300, [[255, 0]])
    assert (best_actions(env.tables)[0, :255] == 1).all()
    env = KeyDoorVectorEnv(128, 1, 600, [[127, 0]], [[0, 0]])
    actions = best_actions(env.tables)[0]
    assert (actions[:127] == 1).all() and (actions[129:256] == 3).all()
    env = KeyDoorVectorEnv(150, 1, 600, [[0, 0]], [[149, 0]])
    assert best_actions(env.tables)[0, 0] == 1  # any first step finds the key, one of them also leads to the door


@pytest.mark.parametrize("world", EXPERIMENTS)
def test_environments_of_some_tasks_are_those_of_all(world):
    chosen = np.array([7, 0, 19, 3])
    some, every = make(EXPERIMENTS[world], chosen), make(EXPERIMENTS[world], np.arange(20))
    assert some.num_envs == 4 and some.horizon == EXPERIMENTS[world].horizon
    some.reset(), every.reset()
    for actions in np.random.default_rng(0).integers(0, ACTIONS, (60, 20)):
        few, all_of = some.step(actions[chosen]), every.step(actions)
        for a, b in zip(few[:4], all_of[:4], strict=True):
            np.testing.assert_array_equal(a, b[chosen])
        np.testing.assert_array_equal(some.state, every.state[chosen])
        np.testing.assert_array_equal(some.codes, every.codes[chosen])
    assert every.codes.shape == (20, len(suite_of(EXPERIMENTS[world]).spec.observation.sizes))


@pytest.mark.parametrize("world", FULL)
def test_codes_fit_the_sizes_of_the_experiment(world):
    env = make(FULL[world], np.arange(FULL[world].num_tasks))
    assert (env.tables.codes.max(axis=(0, 1)) < suite_of(FULL[world]).spec.observation.sizes).all()


def test_descriptions():
    assert descriptions(FULL["darkroom"])[:2] == [{"goal": [2, 0]}, {"goal": [0, 2]}]
    assert descriptions(FULL["keydoor"])[0] == {"key": [8, 3], "door": [2, 0]}
    assert descriptions(FULL["mazerunner"])[98:100] == [{"seed": 121}, {"seed": 300}]
    assert [len(descriptions(each)) for each in FULL.values()] == [100, 100, 100, 100, 100, 119]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("error")
def test_gymnasium_checker_accepts_it(name):
    env = gymnasium.make(f"radt/{name}-v0")
    assert isinstance(env.unwrapped, NAMES[name][0]) and radt.suites.grid.__doc__
    check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.parametrize("name", NAMES)
def test_registered_vector(name):
    env = gymnasium.make_vec(f"radt/{name}-v0", num_envs=7)
    assert isinstance(env, NAMES[name][1]) and env.num_envs == 7
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observation, _ = env.reset(seed=1)
    assert observation in env.observation_space and env.step(env.action_space.sample())[0] in env.observation_space


def test_registered_vector_with_tasks_of_its_own():
    env = gymnasium.make_vec(
        "radt/KeyDoor-v0", num_envs=2, width=3, height=2, horizon=9, keys=[[1, 0], [0, 1]], doors=[[1, 1], [0, 0]]
    )
    env.reset()
    assert [env.step(actions)[1].tolist() for actions in ([1, 2], [2, 0])] == [[1, 1], [1, 1]]
    mazes = gymnasium.make_vec("radt/MazeRunner-v0", num_envs=2, seeds=[300, 301], horizon=5)
    mazes.reset()
    assert [mazes.step([4, 4])[3].all() for _ in range(5)] == [False] * 4 + [True]


@pytest.mark.parametrize("world", ["darkroom", "mazerunner"])
def test_reset_mask_begins_some_tasks_anew_as_in_gymnasium(world):
    """Against Gymnasium's own vector environment of the single ones, with ends of episodes at different times."""
    singles, batch = alone_and_together(world)
    oracle = gymnasium.vector.SyncVectorEnv(singles, autoreset_mode=AutoresetMode.SAME_STEP)
    random = np.random.default_rng(0)
    oracle.reset()
    batch.reset()
    for number in range(40):
        actions = random.integers(0, 5, 3)
        for ours, theirs in zip(batch.step(actions)[:4], oracle.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        if number % 3 == 0:
            mask = random.random(3) < 0.5
            mask[number % 2] = True
            np.testing.assert_array_equal(
                batch.reset(options={"reset_mask": mask})[0], oracle.reset(options={"reset_mask": mask})[0]
            )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reset_mask": np.zeros(3, np.bool_)}, "one of them true"),
        ({"reset_mask": np.ones(2, np.bool_)}, r"reset_mask is bool \[2\], allowed are booleans \[3\]"),
        ({"reset_mask": np.ones(3, np.int64)}, "reset_mask is int64"),
        ({"goal": (1, 1)}, "options has 'goal', allowed is reset_mask"),
    ],
)
def test_other_options_of_reset_are_refused(options, words):
    _, batch = alone_and_together("darkroom")
    batch.reset()
    before = batch.state
    with pytest.raises(ValueError, match=words):
        batch.reset(options=options)
    np.testing.assert_array_equal(batch.state, before)


def test_some_tasks_cannot_begin_anew_before_all_have_begun():
    _, batch = alone_and_together("darkroom")
    with pytest.raises(ValueError, match="call reset"):
        batch.reset(options={"reset_mask": np.array([True, False, False])})


def alone_and_together(world):
    """Three tasks as functions that make one each, and as one batch."""
    if world == "darkroom":
        goals = [(1, 1), (3, 2), (0, 2)]
        return [partial(DarkRoomEnv, 4, 3, 6, goal) for goal in goals], DarkRoomVectorEnv(4, 3, 6, goals)
    return [partial(MazeRunnerEnv, seed, 9) for seed in (0, 1, 3)], MazeRunnerVectorEnv([0, 1, 3], 9)
