"""Dark-Room against a scalar rewrite of its rules, as a Gymnasium environment, and with bad input."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import radt.suites.grid.registered
from radt.suites.grid.darkroom import DarkRoomEnv, DarkRoomVectorEnv, vector_env
from radt.suites.grid.engine import measure

ROOMS = [(10, 10, 100), (4, 7, 13), (1, 1, 3), (40, 20, 30), (256, 1, 5), (3, 3, 1)]


def scalar_episode(width: int, height: int, horizon: int, goal: tuple[int, int], actions: list[int]):
    """The rules of the room in plain Python: positions before and after every step, and rewards."""
    x, y, before, after, rewards = 0, 0, [], [], []
    for step, action in enumerate(actions):
        before.append((y, x))
        if action == 0 and y > 0:
            y -= 1
        elif action == 1 and x < width - 1:
            x += 1
        elif action == 2 and y < height - 1:
            y += 1
        elif action == 3 and x > 0:
            x -= 1
        after.append((y, x))
        rewards.append(1.0 if (x, y) == goal and step < horizon - 1 else 0.0)
    return before, after, rewards


def some_goals(width: int, height: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    near = np.minimum(rng.integers(0, 4, (count, 2)), (width - 1, height - 1))
    return np.concatenate([near, [[0, 0], [width - 1, height - 1]]])


@pytest.mark.parametrize(("width", "height", "horizon"), ROOMS)
def test_same_as_scalar_rules(width, height, horizon):
    goals = some_goals(width, height, 30)
    env = DarkRoomVectorEnv(width, height, horizon, goals)
    actions = np.random.default_rng(0).choice(5, p=[0.15, 0.3, 0.3, 0.15, 0.1], size=(3, horizon, len(goals)))
    expected = [
        [scalar_episode(width, height, horizon, tuple(goal), tape) for goal, tape in zip(goals, episode.T, strict=True)]
        for episode in actions
    ]
    observation, infos = env.reset(seed=5)
    assert infos == {}
    for episode in range(3):
        for step in range(horizon):
            assert observation.dtype == np.uint8
            assert observation.tolist() == [list(task[0][step]) for task in expected[episode]]
            observation, rewards, terminated, truncated, infos = env.step(actions[episode, step])
            last = step == horizon - 1
            assert rewards.dtype == np.float32 and rewards.tolist() == [task[2][step] for task in expected[episode]]
            assert not terminated.any() and truncated.tolist() == [last] * len(goals)
            after = infos["final_obs"] if last else observation
            assert after.tolist() == [list(task[1][step]) for task in expected[episode]]
            assert infos.keys() == ({"final_obs", "_final_obs"} if last else set())
        assert (observation == 0).all()


def test_returned_arrays_are_not_reused():
    env = DarkRoomVectorEnv(3, 3, 10, [[1, 1], [2, 2]])
    first, _ = env.reset()
    second = env.step(np.array([1, 2]))[0]
    env.step(np.array([1, 2]))
    assert first.tolist() == [[0, 0], [0, 0]] and second.tolist() == [[0, 1], [1, 0]]


def test_same_bytes_batched_alone_and_in_a_fresh_process():
    code = """if True:
        import hashlib, numpy as np
        from radt.suites.grid.darkroom import DarkRoomVectorEnv
        goals = np.random.default_rng(0).integers(0, 10, (64, 2))
        tape = np.random.default_rng(1).integers(0, 5, (250, 64))
        def play(columns):
            env = DarkRoomVectorEnv(10, 10, 100, goals[columns])
            steps = [env.reset(seed=3)[0]]
            for row in tape:
                steps += env.step(row[columns])[:4]
            return [b"".join(np.ascontiguousarray(s[k]).tobytes() for s in steps) for k in range(len(goals[columns]))]
        together = play(np.arange(64))
        assert together == [play(np.array([k]))[0] for k in range(64)]
        print(hashlib.sha256(b"".join(together)).hexdigest())
    """
    digests = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout for _ in range(2)
    }
    assert len(digests) == 1 and len(digests.pop()) == 65


def test_registered_single():
    env = gymnasium.make("radt/DarkRoom-v0", width=5, height=4, horizon=7, goal=(1, 0))
    assert env.reset(seed=0)[0].tolist() == [0, 0]
    results = [env.step(action) for action in [1, 4, 4, 4, 4, 2, 0]]
    assert [reward for _, reward, *_ in results] == [1, 1, 1, 1, 1, 0, 0]
    assert [truncated for *_, truncated, _ in results] == [False] * 6 + [True]
    assert results[-1][0].tolist() == [0, 1]
    assert type(results[0][1]) is float


@pytest.mark.filterwarnings("error")
def test_gymnasium_checker_accepts_it():
    check_env(DarkRoomEnv(), skip_render_check=True)


def test_registered_vector():
    env = gymnasium.make_vec("radt/DarkRoom-v0", num_envs=100)
    assert isinstance(env, DarkRoomVectorEnv) and env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert env.observation_space.shape == (100, 2) and env.action_space.shape == (100,)
    observation, _ = env.reset()
    assert env.observation_space.contains(observation)
    assert env.step(env.action_space.sample())[0] in env.observation_space
    assert radt.suites.grid.__doc__
    goals = gymnasium.make_vec("radt/DarkRoom-v0", num_envs=2, width=3, height=2, horizon=4, goals=[[1, 0], [2, 1]])
    goals.reset()
    assert goals.step([1, 1])[1].tolist() == [1, 0]
    with pytest.raises(ValueError, match="one for each of the 3 environments"):
        gymnasium.make_vec("radt/DarkRoom-v0", num_envs=3, goals=[[1, 0], [2, 1]])


def test_bounds_of_the_observation_space():
    space = DarkRoomVectorEnv(40, 20, 800, [[0, 0]]).single_observation_space
    assert np.array([19, 39], np.uint8) in space and np.array([20, 0], np.uint8) not in space


@pytest.mark.parametrize(
    ("goals", "message"),
    [
        ([[4, 0]], r"goal \[4, 0\] .* outside the 4x3 room"),
        ([[0, 0], [0, 3]], r"goal \[0, 3\]"),
        ([[-1, 0]], r"goal \[-1, 0\]"),
        ([[0.5, 0]], "goals are float64"),
        ([0, 0], r"goals are int64 \[2\]"),
        (np.zeros((0, 2), int), r"\[0, 2\]"),
    ],
)
def test_bad_goals(goals, message):
    with pytest.raises(ValueError, match=message):
        DarkRoomVectorEnv(4, 3, 8, goals)


@pytest.mark.parametrize(("width", "height", "horizon"), [(0, 3, 8), (3, 257, 8), (3, 3, 0)])
def test_bad_room(width, height, horizon):
    with pytest.raises(ValueError, match="allowed are 1 to 256"):
        DarkRoomVectorEnv(width, height, horizon, [[0, 0]])


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0], r"actions are int64 \[1\], allowed are integers \[2\]"),
        ([[0, 1]], r"\[1, 2\]"),
        ([0.0, 1.0], "float64"),
        ([True, False], "bool"),
        ([0, 5], "range from 0 to 5"),
        ([-1, 0], "range from -1 to 0"),
    ],
)
def test_bad_actions(actions, message):
    env = DarkRoomVectorEnv(4, 3, 8, [[0, 0], [1, 1]])
    env.reset()
    before = env.step([1, 1])[0]
    with pytest.raises(ValueError, match=message):
        env.step(actions)
    assert env.step([4, 4])[0].tolist() == before.tolist()  # a refused action moved nothing


def test_step_before_reset():
    with pytest.raises(ValueError, match="call reset"):
        DarkRoomVectorEnv(4, 3, 8, [[0, 0]]).step([0])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_whole_numbers_of_any_kind_are_actions(dtype):
    env = DarkRoomVectorEnv(4, 3, 8, [[0, 0], [1, 1]])
    env.reset()
    assert env.step(np.array([1, 2], dtype))[0].tolist() == [[0, 1], [1, 0]]


def test_state_and_codes_tell_where_the_agent_is():
    env = DarkRoomVectorEnv(4, 3, 2, [[0, 0], [1, 1], [0, 0]])
    env.reset()
    env.step([1, 2, 4])
    assert env.states == 12 and env.state.tolist() == [1, 4, 0] and env.codes.tolist() == [[0, 1], [1, 0], [0, 0]]
    env.step([1, 2, 4])
    assert env.state.tolist() == [0, 0, 0]  # the next episode has begun
    env.step([1, 2, 4])
    env.reset()
    assert env.state.tolist() == [0, 0, 0]
    assert not env.step([4, 4, 4])[3].any() and env.step([4, 4, 4])[3].all()  # reset counts steps from 0


def test_same_goal_twice_needs_one_table():
    env = vector_env(num_envs=300, width=3, height=2, horizon=5)
    assert len(env.tables.following) == 6 and len(env.rows) == 300


def test_fast():
    assert measure(vector_env(num_envs=4096), steps=100) > 5e6
