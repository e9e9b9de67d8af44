"""Learning histories from scratch: tabular Q-learning on all training tasks at once (ours; the published data are PPO's).

The histories are what in-context methods learn from: episodes of one task in the order in which a learner, which begins with
nothing, played them. The learner sees the true state of its task (whether the key is held, how many goals were reached); what is
written down is what the agent sees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.seeding import generator
from radt.settings import Experiment, Generate
from radt.tasks import worlds
from radt.tasks.grid import ACTIONS, GridVectorEnv
from radt.tasks.splits import tasks_of


class QLearner:
    """One Q table for each task, all updated in lockstep."""

    def __init__(self, tasks: int, states: int, settings: Generate):
        self._values = np.full((tasks * states, ACTIONS), settings.initial_value, np.float64)
        self._row = np.arange(tasks) * states
        self._learning_rate = settings.learning_rate
        self._discount = settings.discount

    def act(self, states: NDArray[np.int64], noise: NDArray[np.float32]) -> NDArray[np.int64]:
        """Best action [tasks] in `states` [tasks]; among equally good ones, that with the highest `noise` [tasks, 5]."""
        values = self._values.take(self._row + states, axis=0)
        best: NDArray[np.int64] = np.where(values == values.max(axis=1, keepdims=True), noise, -1.0).argmax(axis=1)
        return best

    def update(
        self,
        states: NDArray[np.int64],
        actions: NDArray[np.int64],
        rewards: NDArray[np.float32],
        following: NDArray[np.int64],
        terminated: NDArray[np.bool_],
        learning: NDArray[np.bool_],
    ) -> None:
        """Move the values of (state, action) of tasks that are `learning` towards reward + discount x best value of `following`.

        A time limit is no terminal state, so such a step is bootstrapped like any other; one that `terminated` is not.
        """
        ahead = np.where(terminated, 0.0, self._values.take(self._row + following, axis=0).max(axis=1))
        row = self._row + states
        error = rewards + self._discount * ahead - self._values[row, actions]
        self._values[row, actions] += self._learning_rate * error * learning


def epsilon(episode: int, settings: Generate) -> float:
    """Chance of a random action in `episode`, counted from 0: a straight line, then constant."""
    progress = min(episode / settings.epsilon_episodes, 1.0)
    return settings.epsilon_first + (settings.epsilon_last - settings.epsilon_first) * progress


def learn(experiment: Experiment, settings: Generate) -> Shard:
    """Learning histories of all training tasks, `settings.episodes` each; the same bytes for the same settings."""
    tasks = tasks_of(experiment, "train")
    env = worlds.make(experiment, tasks)
    learner = QLearner(len(tasks), env.states, settings)
    shape = (len(tasks), settings.episodes, experiment.horizon)
    codes = np.zeros((*shape, len(experiment.observation_sizes)), np.uint8)
    actions, rewards = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    lengths = np.zeros(shape[:2], np.int64)
    for episode in range(settings.episodes):
        random = generator(settings.seed, "q-learning", episode)
        played = play(env, learner, epsilon(episode, settings), random)
        codes[:, episode], actions[:, episode], rewards[:, episode], lengths[:, episode] = played
    lived = np.arange(experiment.horizon) < lengths[..., None]
    whole = bool(lived.all())
    return Shard(
        codes.reshape(-1, codes.shape[-1]) if whole else codes[lived],
        actions.reshape(-1) if whole else actions[lived],
        rewards.reshape(-1) if whole else rewards[lived],
        np.concatenate([[0], lengths.reshape(-1).cumsum()]),
        np.repeat(tasks, settings.episodes).astype(np.int32),
    )


def play(
    env: GridVectorEnv, learner: QLearner, chance: float, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """One episode of every task, learning at every step.

    Returns:
        What was seen [tasks, horizon, D], actions and rewards [tasks, horizon], and the length of every episode [tasks], behind
        which the others mean nothing.
    """
    shape = (env.horizon, env.num_envs)
    explore = random.random(shape, np.float32) < chance
    random_actions = random.integers(0, ACTIONS, shape)
    noise = random.random((*shape, ACTIONS), np.float32)
    env.reset()
    seen = np.empty((*shape, env.codes.shape[1]), np.uint8)
    actions, rewards = np.empty(shape, np.int64), np.empty(shape, np.float32)
    running, lengths = np.ones(env.num_envs, np.bool_), np.full(env.num_envs, env.horizon)
    for step in range(env.horizon):
        states, seen[step] = env.state, env.codes
        actions[step] = np.where(explore[step], random_actions[step], learner.act(states, noise[step]))
        _, rewards[step], terminated, truncated, _ = env.step(actions[step])
        following = env.tables.following[env.rows, states, actions[step]]
        learner.update(states, actions[step], rewards[step], following, terminated, running)
        lengths[running & (terminated | truncated)] = step + 1
        running &= ~terminated
        if not running.any():
            break
    return seen.swapaxes(0, 1), actions.T, rewards.T, lengths
