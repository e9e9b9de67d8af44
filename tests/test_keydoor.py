"""Key-Door against a scalar rewrite of its rules, its corner cases, the best returns, and bad input."""

import itertools

import numpy as np
import pytest

from radt.suites.grid.engine import best_returns
from radt.suites.grid.keydoor import KeyDoorEnv, KeyDoorVectorEnv, vector_env
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.splits import goals, keys
from radt.suites.grid.worlds import optimum

NORTH, EAST, SOUTH, WEST, STAY = range(5)


def scalar_episode(width, height, horizon, key, door, actions, held=False):
    """The rules in plain Python: positions (y, x) after every step, rewards, and whether the key is held at the end."""
    x, y, after, rewards = 0, 0, [], []
    for step, action in enumerate(actions):
        start = (x, y)
        x = min(max(x + (action == EAST) - (action == WEST), 0), width - 1)
        y = min(max(y + (action == SOUTH) - (action == NORTH), 0), height - 1)
        after.append((y, x))
        last, reward = step == horizon - 1, 0
        if not held and key in ((x, y), start) and not last:
            held, reward = True, 1
        rewards.append(float(reward + (held and not last and (x, y) == door)))
    return after, rewards, held


def returns(width, height, horizon, key, door, actions):
    """Rewards of one episode of a single task."""
    env = KeyDoorEnv(width, height, horizon, key, door)
    env.reset()
    return [env.step(action)[1] for action in actions]


@pytest.mark.parametrize("key_stays", [False, True])
@pytest.mark.parametrize(("width", "height", "horizon"), [(10, 10, 100), (3, 2, 7), (1, 1, 3), (4, 1, 1)])
def test_same_as_scalar_rules(width, height, horizon, key_stays):
    rng = np.random.default_rng(0)
    keys, doors = (np.minimum(rng.integers(0, 4, (40, 2)), (width - 1, height - 1)) for _ in range(2))
    env = KeyDoorVectorEnv(width, height, horizon, keys, doors, key_stays)
    held = [False] * 40
    env.reset()
    for actions in rng.choice(5, p=[0.15, 0.3, 0.3, 0.15, 0.1], size=(4, horizon, 40)):
        expected = [
            scalar_episode(width, height, horizon, tuple(key), tuple(door), tape, key_stays and had)
            for key, door, tape, had in zip(keys, doors, actions.T, held, strict=True)
        ]
        held = [task[2] for task in expected]
        for step in range(horizon):
            observation, rewards, terminated, truncated, infos = env.step(actions[step])
            last = step == horizon - 1
            assert rewards.dtype == np.float32 and rewards.tolist() == [task[1][step] for task in expected]
            assert (infos["final_obs"] if last else observation).tolist() == [list(task[0][step]) for task in expected]
            assert not terminated.any() and truncated.tolist() == [last] * 40
        assert (observation == 0).all()


def test_key_pays_once_and_the_door_only_with_it():
    actions = [EAST, WEST, SOUTH, STAY, NORTH, EAST, STAY, WEST, EAST, WEST, SOUTH]
    assert returns(3, 3, 20, (0, 1), (1, 0), actions) == [0, 0, 1, 0, 0, 1, 1, 0, 1, 0, 0]


def test_last_step_never_pays():
    assert returns(3, 1, 2, (1, 0), (1, 0), [STAY, EAST]) == [0, 0]  # neither for the key nor for the door
    assert returns(3, 1, 3, (0, 0), (1, 0), [EAST, STAY, STAY]) == [2, 1, 0]


def test_key_on_the_start_cell_is_taken_by_any_first_step():
    for action in range(5):
        assert returns(3, 3, 9, (0, 0), (2, 2), [action, STAY]) == [1, 0]


def test_door_on_the_start_cell_pays_after_the_key():
    assert returns(3, 3, 9, (1, 0), (0, 0), [STAY, EAST, WEST, STAY]) == [0, 1, 1, 1]


def test_key_on_the_door_pays_twice_in_that_step():
    assert returns(3, 3, 9, (1, 0), (1, 0), [EAST, STAY, WEST, EAST]) == [2, 1, 0, 1]
    assert returns(1, 1, 4, (0, 0), (0, 0), [STAY] * 4) == [2, 1, 1, 0]


@pytest.mark.parametrize(("key_stays", "second"), [(False, [0, 1, 1, 0]), (True, [1, 0, 1, 0])])
def test_key_is_needed_again_in_the_next_episode(key_stays, second):
    """As a batch, which begins the next episode by itself, and alone, where `reset` begins it."""
    tape = [[EAST, SOUTH, NORTH, STAY]] * 2
    env, single = KeyDoorVectorEnv(2, 2, 4, [[1, 1]], [[1, 0]], key_stays), KeyDoorEnv(2, 2, 4, (1, 1), (1, 0), key_stays)
    env.reset()
    together = [[env.step([action])[1].item() for action in actions] for actions in tape]
    alone = []
    for actions in tape:
        single.reset()
        alone.append([single.step(action)[1] for action in actions])
    assert together == [[0, 1, 1, 0], second] and alone == together


def test_key_found_in_the_last_step_does_not_stay():
    env = KeyDoorVectorEnv(2, 1, 2, [[1, 0]], [[0, 0]], key_stays=True)
    env.reset()
    assert [env.step([action])[1].item() for action in [STAY, EAST, STAY, EAST, EAST, STAY, STAY]] == [0, 0, 0, 0, 1, 0, 1]


def test_state_tells_the_key_and_the_observation_does_not():
    env = KeyDoorVectorEnv(3, 2, 9, [[1, 0]], [[2, 1]])
    observation, _ = env.reset()
    assert env.states == 12 and env.state.tolist() == [0]
    env.step([EAST])
    assert env.state.tolist() == [1 + 6] and env.codes.tolist() == [[0, 1]]
    assert env.step([WEST])[0].tolist() == observation.tolist() and env.state.tolist() == [6]


def experiment(width, height, horizon, num_tasks=100, num_held_out=20):
    return GridExperiment(
        world="keydoor",
        width=width,
        height=height,
        horizon=horizon,
        num_tasks=num_tasks,
        num_held_out=num_held_out,
        num_validation=0,
    )


@pytest.mark.parametrize(
    ("width", "height", "horizon", "train", "held_out"),
    [(10, 10, 100, 84.6625, 86.05), (20, 20, 400, 369.325, 367.25), (40, 20, 800, 753.7625, 744.9)],
)
def test_published_mean_optimum(width, height, horizon, train, held_out):
    best = optimum(experiment(width, height, horizon))
    assert best[:80].mean() == pytest.approx(train) and best[80:].mean() == pytest.approx(held_out)


@pytest.mark.parametrize(("width", "height", "horizon"), [(4, 3, 9), (2, 1, 3), (3, 2, 2), (5, 1, 1), (4, 4, 5)])
def test_optimum_is_what_backward_induction_gets(width, height, horizon):
    room = experiment(width, height, horizon, num_tasks=width * height, num_held_out=1)
    cells = np.array([(x, y) for x in range(width) for y in range(height)])
    pairs = np.array(list(itertools.product(cells, cells)))
    env = KeyDoorVectorEnv(width, height, horizon, pairs[:, 0], pairs[:, 1])
    best = best_returns(env.tables, horizon, last_step_pays=False)[env.rows]
    to_key = pairs[:, 0].sum(axis=1)
    to_door = np.maximum(to_key + np.abs(pairs[:, 0] - pairs[:, 1]).sum(axis=1), 1)
    expected = np.maximum(horizon - to_door, 0) + (np.maximum(to_key, 1) < horizon)
    np.testing.assert_array_equal(best, expected)
    known = {(tuple(key), tuple(door)): value for (key, door), value in zip(pairs.tolist(), best, strict=True)}
    tasks = zip(map(tuple, keys(room).tolist()), map(tuple, goals(room).tolist()), strict=True)
    assert optimum(room).tolist() == [known[task] for task in tasks]


@pytest.mark.parametrize(("width", "height", "horizon"), [(2, 2, 5), (3, 1, 5), (1, 1, 3)])
def test_optimum_is_the_best_of_all_action_sequences(width, height, horizon):
    sequences = list(itertools.product(range(5), repeat=horizon))
    cells = list(itertools.product(range(width), range(height)))
    for key, door in itertools.product(cells, cells):
        env = KeyDoorVectorEnv(width, height, horizon, [key], [door])
        best = max(sum(scalar_episode(width, height, horizon, key, door, actions)[1]) for actions in sequences)
        assert best_returns(env.tables, horizon, last_step_pays=False).tolist() == [best]


@pytest.mark.parametrize(
    ("keys", "doors", "message"),
    [
        ([[4, 0]], [[0, 0]], r"^key \[4, 0\] \(x, y\) is outside the 4x3 room$"),
        ([[0, 0]], [[0, 3]], r"^door \[0, 3\] \(x, y\) is outside the 4x3 room$"),
        ([[0.5, 0]], [[0, 0]], r"^keys are float64 \[1, 2\], allowed are integers \[n, 2\] with n >= 1$"),
        ([[0, 0]], [0, 0], r"^doors are int64 \[2\]"),
        ([[0, 0]], [[0, 0], [1, 1]], r"^keys are 1 and doors 2, allowed is one of each for every task$"),
    ],
)
def test_bad_keys_and_doors(keys, doors, message):
    with pytest.raises(ValueError, match=message):
        KeyDoorVectorEnv(4, 3, 8, keys, doors)


def test_bad_number_of_pairs():
    with pytest.raises(ValueError, match="one for each of the 3 environments"):
        vector_env(num_envs=3, keys=[[1, 0], [2, 1]])
    with pytest.raises(ValueError, match="allowed are 1 to 256"):
        vector_env(num_envs=3, width=0)
