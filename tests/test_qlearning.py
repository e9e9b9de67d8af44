"""Tabular Q-learning: the update, replay, preferences, the decay, and learning runs that are worth the name."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from radt.settings.sources import Generate
from radt.suites.grid import worlds
from radt.suites.grid.darkroom import DarkRoomVectorEnv
from radt.suites.grid.qlearning import QLearner, afterstates, epsilon, learn
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.splits import goals, tasks_of
from radt.suites.grid.worlds import optimum


def settings(**changes):
    values = {
        "seed": 0, "episodes": 300, "learning_rate": 0.5, "discount": 0.95, "epsilon_first": 1.0, "epsilon_last": 0.02,
        "epsilon_episodes": 180, "initial_value": 0.0, "histories": 1, "sweeps": 0,
    }  # fmt: skip
    return Generate(**{**values, **changes})


def pairs(tasks, states):
    """An afterstate for every action of every one of `states`: plain Q-learning."""
    leads = np.zeros((tasks, 5 * states, 5), np.int64)
    leads[:, :states] = np.arange(5 * states).reshape(states, 5)
    return leads


@pytest.mark.parametrize("initial", [0.0, 2.0])
def test_update_is_the_textbook_one(initial):
    """Random transitions of three tasks, some of which end and some of which teach nothing, against dictionaries."""
    rng = np.random.default_rng(0)
    learner = QLearner(pairs(3, 4), settings(learning_rate=0.3, discount=0.8, initial_value=initial), rng)
    table = defaultdict(lambda: initial)
    for _ in range(200):
        cells, actions, following = rng.integers(0, 4, 3), rng.integers(0, 5, 3), rng.integers(0, 4, 3)
        rewards = rng.integers(0, 2, 3).astype(np.float32)
        ended, learning = rng.random(3) < 0.2, rng.random(3) < 0.8
        learner.update(cells, actions, rewards, following, ended, learning)
        for task, (cell, action, reward, after) in enumerate(zip(cells, actions, rewards, following, strict=True)):
            if not learning[task]:
                continue
            ahead = 0.0 if ended[task] else max(table[task, after, choice] for choice in range(5))
            target = float(reward) + 0.8 * ahead
            table[task, cell, action] += 0.3 * (target - table[task, cell, action])
    expected = [[table[task, cell, action] for action in range(5)] for task in range(3) for cell in range(4)]
    np.testing.assert_allclose(learner._values.reshape(3, 20, 1)[:, :20].reshape(12, 5), expected, rtol=1e-12)


def test_best_action_and_preferences_among_equal_ones():
    learner = QLearner(pairs(2000, 1), settings(learning_rate=1.0, discount=0.0), np.random.default_rng(0))
    always = np.ones(2000, bool)
    cells = np.zeros(2000, int)
    first = learner.act(cells)
    chosen = Counter(first.tolist())
    assert sorted(chosen) == [0, 1, 2, 3, 4] and min(chosen.values()) > 300  # 400 expected, standard deviation 18
    assert (learner.act(cells) == first).all()  # a learner stays with what it prefers
    for action in (1, 3):
        learner.update(cells, np.full(2000, action), np.ones(2000, np.float32), cells, ~always, always)
    chosen = Counter(learner.act(cells).tolist())
    assert sorted(chosen) == [1, 3] and min(chosen.values()) > 900


def test_epsilon(generate):
    chances = [epsilon(episode, generate) for episode in range(6)]
    np.testing.assert_allclose(chances, [1.0, 0.75, 0.5, 0.25, 0.0, 0.0])


@pytest.fixture(scope="module")
def learned():
    room = GridExperiment(world="darkroom", width=6, height=6, horizon=40, num_tasks=36, num_held_out=6, num_validation=2)
    return room, learn(room, settings())


def test_learns_from_chance_to_near_optimal(learned):
    room, histories = learned
    returns = histories.returns().reshape(28, 300)
    best = optimum(room)[:28].mean()
    stages = [returns[:, first : first + 30].mean() for first in (0, 60, 120, 180)]
    assert stages[0] < 0.15 * best and stages == sorted(stages)
    assert returns[:, -50:].mean() > 0.95 * best
    assert (returns <= optimum(room)[:28, None]).all()


def test_histories_are_what_the_room_answers(learned):
    """Replaying the stored actions gives the stored observations and rewards, episode after episode."""
    room, histories = learned
    shape = (28, 300, 40)
    env = DarkRoomVectorEnv(6, 6, 40, goals(room)[:28])
    observations, actions = histories.observations.reshape(*shape, 2), histories.actions.reshape(shape)
    rewards = histories.rewards.reshape(shape)
    assert histories.episode_task.reshape(28, 300).tolist() == [[task] * 300 for task in range(28)]
    assert histories.episode_start.tolist() == list(range(0, 28 * 300 * 40 + 1, 40))
    seen, _ = env.reset()
    for episode in range(300):
        for step in range(40):
            assert (seen == observations[:, episode, step]).all()
            seen, reward, *_ = env.step(actions[:, episode, step])
            assert (reward == rewards[:, episode, step]).all()


def test_seed_decides(room, generate):
    first, again = learn(room, generate), learn(room, generate)
    other = learn(room, generate.model_copy(update={"seed": 8}))
    assert first.actions.tobytes() == again.actions.tobytes() != other.actions.tobytes()


@pytest.mark.parametrize("world", ["darkroom", "keydoor", "mazerunner"])
def test_replay_is_value_iteration_on_what_was_seen(world):
    """After one try of every action the learner knows what each is worth: against value iteration on states and actions."""
    room = ROOMS[world]
    tasks = tasks_of(room, "train")
    env, leads = worlds.make(room, tasks), afterstates(worlds.make(room, tasks), room)
    learner, count = QLearner(leads, settings(learning_rate=1.0, discount=0.9), np.random.default_rng(0)), len(tasks)
    reached = np.zeros((count, env.states), bool)
    reached[np.arange(count), env.tables.start[env.rows]] = True
    for _ in range(env.states):  # what no way leads to (beside a key without holding it) is never learned, and does not matter
        after = env.tables.following[env.rows][reached.nonzero()]
        reached[reached.nonzero()[0][:, None], after] = True
    for state in range(env.states):
        for action in range(5):
            place = env.rows, np.full(count, state), np.full(count, action)
            after, reward, ended = env.tables.following[place], env.tables.reward[place], env.tables.ends[place]
            learner.update(place[1], place[2], reward, after, ended, reached[:, state])
    learner.replay(300)
    value = np.zeros(env.tables.reward.shape)
    for _ in range(300):
        ahead = np.take_along_axis(value.max(axis=2), env.tables.following.reshape(len(value), -1), 1).reshape(value.shape)
        value = env.tables.reward + 0.9 * ahead * ~env.tables.ends
    found = np.take_along_axis(learner._values.reshape(count, -1), leads.reshape(count, -1), 1).reshape(leads.shape)
    np.testing.assert_allclose(found[reached], value[env.rows][reached], rtol=1e-9, atol=1e-12)


def test_several_histories_of_a_task_are_of_different_learners():
    room = ROOMS["darkroom"]
    chosen = settings(
        histories=3,
        episodes=6,
        learning_rate=1.0,
        discount=0.99,
        epsilon_first=0.0,
        epsilon_last=0.0,
        initial_value=60.0,
        sweeps=20,
    )
    histories, tasks = learn(room, chosen), len(tasks_of(room, "train"))
    assert histories.episode_history.reshape(tasks, 3, 6).tolist() == [[[number] * 6 for number in range(3)]] * tasks
    returns, best = histories.returns().reshape(tasks, 3, 6), optimum(room)[:tasks]
    assert returns[:, :, 0].mean() < 0.8 * best.mean()  # all begin with nothing
    assert returns[:, :, -1].mean() > 0.9 * best.mean()
    actions = histories.actions.reshape(tasks, 3, 6, -1)
    assert (actions[:, :, -1] == actions[:, :, -2]).all()  # each goes its own way again
    assert (actions[:, 0, -1] != actions[:, 1, -1]).any(axis=-1).mean() > 0.3  # but others go others


def test_optimistic_values_try_every_action_before_any_a_second_time():
    random = np.random.default_rng(0)
    learner, tried = QLearner(pairs(1, 1), settings(learning_rate=1.0, discount=0.5, initial_value=1.0), random), []
    one, never = np.ones(1, bool), np.zeros(1, bool)
    state = np.zeros(1, np.int64)
    for _ in range(5):
        action = learner.act(state)
        tried.append(int(action[0]))
        learner.update(state, action, np.zeros(1, np.float32), state, one, one)
        learner.update(state, action, np.zeros(1, np.float32), state, never, never)
    assert sorted(tried) == list(range(5))


ROOMS = {
    "darkroom": GridExperiment(world="darkroom", width=4, height=4, horizon=20, num_tasks=14, num_held_out=2, num_validation=0),
    "keydoor": GridExperiment(world="keydoor", width=4, height=4, horizon=30, num_tasks=14, num_held_out=2, num_validation=0),
    "mazerunner": GridExperiment(
        world="mazerunner", width=15, height=15, horizon=400, num_tasks=5, num_held_out=1, num_validation=0
    ),
}


@pytest.mark.parametrize("world", ROOMS)
def test_learns_every_world_and_writes_what_it_answers(world):
    """Histories approach the optimum, and replaying their actions gives what they say, episodes ending where the world ends."""
    room = ROOMS[world]
    maze = world == "mazerunner"
    chosen = settings(episodes=150, epsilon_episodes=90, discount=0.99 if maze else 0.95, initial_value=1.0 if maze else 0.0)
    histories, tasks = learn(room, chosen), tasks_of(room, "train")
    returns, lengths = histories.returns().reshape(len(tasks), 150), np.diff(histories.episode_start).reshape(len(tasks), 150)
    best = optimum(room)[tasks]
    assert returns[:, -10:].mean() > 0.9 * best.mean() > returns[:, :10].mean()
    assert (returns <= best[:, None]).all() and (lengths <= room.horizon).all()
    assert (lengths[:, -10:].max() < 400) if maze else (lengths == room.horizon).all()
    for row, task in enumerate(tasks):
        env = worlds.make(room, np.array([task]))
        for episode in (0, 60, 149):
            start, end = histories.episode_start[row * 150 + episode :][:2]
            env.reset()
            for step in range(start, end):
                np.testing.assert_array_equal(env.codes[0], histories.observations[step])
                _, reward, terminated, truncated, _ = env.step(histories.actions[step])
                assert reward[0] == histories.rewards[step]
                assert (terminated[0] or truncated[0]) == (step == end - 1)
