"""Tabular Q-learning: the update, ties, the decay, and a learning run that is worth the name."""

from collections import Counter

import numpy as np
import pytest

from radt.data.qlearning import QLearner, epsilon, learn
from radt.settings import Experiment, Generate
from radt.tasks.darkroom import DarkRoomVectorEnv
from radt.tasks.splits import goals, optimum


def test_update_is_the_textbook_one():
    """Random transitions of three tasks, against dictionaries."""
    rng, learner, table = np.random.default_rng(0), QLearner(3, 4, 0.3, 0.8), Counter()
    for _ in range(200):
        cells, actions, following = rng.integers(0, 4, 3), rng.integers(0, 5, 3), rng.integers(0, 4, 3)
        rewards = rng.integers(0, 2, 3).astype(np.float32)
        learner.update(cells, actions, rewards, following)
        for task, (cell, action, reward, after) in enumerate(zip(cells, actions, rewards, following, strict=True)):
            target = float(reward) + 0.8 * max(table[task, after, choice] for choice in range(5))
            table[task, cell, action] += 0.3 * (target - table[task, cell, action])
    expected = [[table[task, cell, action] for action in range(5)] for task in range(3) for cell in range(4)]
    np.testing.assert_allclose(learner._values, expected, rtol=1e-12)


def test_best_action_and_random_ties():
    learner = QLearner(2000, 1, 1.0, 0.0)
    cells, noise = np.zeros(2000, int), np.random.default_rng(0).random((2000, 5), np.float32)
    chosen = Counter(learner.act(cells, noise).tolist())
    assert sorted(chosen) == [0, 1, 2, 3, 4] and min(chosen.values()) > 300  # 400 expected, standard deviation 18
    for action in (1, 3):
        learner.update(cells, np.full(2000, action), np.ones(2000, np.float32), cells)
    chosen = Counter(learner.act(cells, noise).tolist())
    assert sorted(chosen) == [1, 3] and min(chosen.values()) > 900


def test_epsilon(generate):
    chances = [epsilon(episode, generate) for episode in range(6)]
    np.testing.assert_allclose(chances, [1.0, 0.75, 0.5, 0.25, 0.0, 0.0])


@pytest.fixture(scope="module")
def learned():
    room = Experiment(world="darkroom", width=6, height=6, horizon=40, tasks=36, held_out=6, validation=2)
    settings = Generate(
        seed=0, episodes=300, learning_rate=0.5, discount=0.95, epsilon_first=1.0, epsilon_last=0.02, epsilon_episodes=180
    )
    return room, learn(room, settings)


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
