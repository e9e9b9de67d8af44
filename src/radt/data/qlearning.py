"""Learning histories from scratch: tabular Q-learning on all training tasks at once (ours; the published data are PPO's).

The histories are what in-context methods learn from: episodes of one task in the order in which a learner, which begins with
nothing, played them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.seeding import generator
from radt.settings import Experiment, Generate
from radt.tasks.darkroom import DarkRoomVectorEnv
from radt.tasks.splits import goals, tasks_of

ACTIONS = 5


class QLearner:
    """One Q table for each task, all updated in lockstep; values begin at 0."""

    def __init__(self, tasks: int, cells: int, learning_rate: float, discount: float):
        self._values = np.zeros((tasks * cells, ACTIONS), np.float64)
        self._row = np.arange(tasks) * cells
        self._learning_rate = learning_rate
        self._discount = discount

    def act(self, cells: NDArray[np.int64], noise: NDArray[np.float32]) -> NDArray[np.int64]:
        """Best action [tasks] in `cells` [tasks]; among equally good ones, that with the highest `noise` [tasks, 5]."""
        values = self._values.take(self._row + cells, axis=0)
        best: NDArray[np.int64] = np.where(values == values.max(axis=1, keepdims=True), noise, -1.0).argmax(axis=1)
        return best

    def update(
        self, cells: NDArray[np.int64], actions: NDArray[np.int64], rewards: NDArray[np.float32], following: NDArray[np.int64]
    ) -> None:
        """Move the values of (cell, action) towards reward + discount x best value of the following cell.

        The end of an episode is a time limit, not a terminal state, so it is bootstrapped like any other step.
        """
        target = rewards + self._discount * self._values.take(self._row + following, axis=0).max(axis=1)
        row = self._row + cells
        self._values[row, actions] += self._learning_rate * (target - self._values[row, actions])


def epsilon(episode: int, settings: Generate) -> float:
    """Chance of a random action in `episode`, counted from 0: a straight line, then constant."""
    progress = min(episode / settings.epsilon_episodes, 1.0)
    return settings.epsilon_first + (settings.epsilon_last - settings.epsilon_first) * progress


def learn(experiment: Experiment, settings: Generate) -> Shard:
    """Learning histories of all training tasks, `settings.episodes` each; the same bytes for the same settings."""
    tasks = tasks_of(experiment, "train")
    env = DarkRoomVectorEnv(experiment.width, experiment.height, experiment.horizon, goals(experiment)[tasks])
    learner = QLearner(len(tasks), experiment.width * experiment.height, settings.learning_rate, settings.discount)
    shape = (len(tasks), settings.episodes, experiment.horizon)
    observations = np.zeros((*shape, 2), np.uint8)
    actions, rewards = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    for episode in range(settings.episodes):
        steps = play(env, learner, experiment, epsilon(episode, settings), generator(settings.seed, "q-learning", episode))
        observations[:, episode], actions[:, episode], rewards[:, episode] = steps
    return Shard(
        observations.reshape(-1, 2),
        actions.reshape(-1),
        rewards.reshape(-1),
        np.arange(len(tasks) * settings.episodes + 1, dtype=np.int64) * experiment.horizon,
        np.repeat(tasks, settings.episodes).astype(np.int32),
    )


def play(
    env: DarkRoomVectorEnv, learner: QLearner, experiment: Experiment, chance: float, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]:
    """One episode of every task, learning at every step; returns observations [tasks, horizon, 2], actions and rewards."""
    shape = (experiment.horizon, env.num_envs)
    explore = random.random(shape, np.float32) < chance
    random_actions = random.integers(0, ACTIONS, shape)
    noise = random.random((*shape, ACTIONS), np.float32)
    observations = np.empty((*shape, 2), np.uint8)
    actions, rewards = np.empty(shape, np.int64), np.empty(shape, np.float32)
    observation, _ = env.reset()
    cells = _cells(observation, experiment.width)
    for step in range(experiment.horizon):
        chosen = np.where(explore[step], random_actions[step], learner.act(cells, noise[step]))
        after, rewards[step], _, _, infos = env.step(chosen)
        following = _cells(infos.get("final_obs", after), experiment.width)
        learner.update(cells, chosen, rewards[step], following)
        observations[step], actions[step] = observation, chosen
        observation, cells = after, following
    return observations.swapaxes(0, 1), actions.T, rewards.T


def _cells(observations: NDArray[np.uint8], width: int) -> NDArray[np.int64]:
    """Row-by-row number [n] of the cells at `observations` [n, 2]."""
    return observations[:, 0].astype(np.int64) * width + observations[:, 1]
