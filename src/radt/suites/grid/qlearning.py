"""Learning histories of tabular Q-learning on all training tasks at once.

Paper: PPO; here: Q-learning, because the settings of the published PPO are not known.

A history is the episodes of one learner on one task, in the order in which it learned. The learner sees the true state of its
task (whether the key is held, how many goals were reached); the stored observations are those of the agent.

A task may have several histories. Each learner has its own order of equally good actions, drawn once. So the way that a learner
takes to a goal can be predicted from its own earlier episodes, but not from the task.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.seeding import generator
from radt.settings.sources import Generate
from radt.suites.grid import worlds
from radt.suites.grid.engine import ACTIONS, GridVectorEnv
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.splits import tasks_of


class QLearner:
    """One table of values for each task, all updated in lockstep.

    Values belong to afterstates (Sutton and Barto, section 6.8): the cell to which an action leads, with the hidden part of the
    state (held key, reached goals) from before. So the learner knows moves and walls, and has to find out what cells do.

    Args:
        leads: [tasks, states, A] afterstate of every action.
        settings: settings of the updates.
        random: draws each learner's preference among equally good actions in each state.
    """

    TIE = 1e-9
    """Values with a smaller relative difference are equal: rounding differs between ways of equal length."""

    def __init__(self, leads: NDArray[np.int64], settings: Generate, random: np.random.Generator):
        tasks, states, _ = leads.shape
        self._row = np.arange(tasks) * states
        self._leads = (leads + self._row[:, None, None]).reshape(-1, ACTIONS)
        self._values = np.full(tasks * states, settings.initial_value, np.float64)
        self._following, self._kept, self._reward = (np.full(tasks * states, value) for value in (-1, 0.0, 0.0))
        self._preference = random.random((tasks * states, ACTIONS), np.float32)
        self._learning_rate, self._discount = settings.learning_rate, settings.discount

    def act(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        """Best action [tasks] in `states` [tasks]; ties go to the learner's preferred action."""
        row = self._row + states
        values = self._values.take(self._leads.take(row, axis=0))
        equal = values >= values.max(axis=1, keepdims=True) * (1.0 - self.TIE)
        best: NDArray[np.int64] = np.where(equal, self._preference.take(row, axis=0), -1.0).argmax(axis=1)
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
        """Q update for tasks that are `learning`: the target is reward + discount x best value of `following`.

        After a step that `terminated`, the best value is 0.
        """
        taken = self._leads[(self._row + states)[learning], actions[learning]]
        self._following[taken], self._reward[taken] = (self._row + following)[learning], rewards[learning]
        self._kept[taken] = self._discount * ~terminated[learning]
        self._learn(taken)

    def replay(self, sweeps: int) -> None:
        """Replay the last transition of every visited afterstate, in `sweeps` sweeps (Dyna-Q)."""
        for _ in range(sweeps):
            self._learn(np.flatnonzero(self._following >= 0))

    def _learn(self, rows: NDArray[np.int64]) -> None:
        """Q update of the values of `rows` with their stored transitions."""
        ahead = self._values.take(self._leads.take(self._following[rows], axis=0)).max(axis=1)
        self._values[rows] += self._learning_rate * (self._reward[rows] + self._kept[rows] * ahead - self._values[rows])


def afterstates(env: GridVectorEnv, experiment: GridExperiment) -> NDArray[np.int64]:
    """Afterstate [tasks, S, A] of every action: the cell to which it leads, with the hidden part of the state from before.

    States are numbered cell by cell, once for each hidden part (`radt.suites.grid.keydoor`, `radt.suites.grid.mazerunner`).
    """
    cells = experiment.width * experiment.height
    following = env.tables.following[env.rows].astype(np.int64)
    return np.arange(env.states)[:, None] // cells * cells + following % cells


def epsilon(episode: int, settings: Generate) -> float:
    """Probability of a random action in `episode`, from 0: linear decay, then constant."""
    progress = min(episode / settings.epsilon_episodes, 1.0)
    return settings.epsilon_first + (settings.epsilon_last - settings.epsilon_first) * progress


def learn(experiment: GridExperiment, settings: Generate) -> Shard:
    """All learning histories of all training tasks; the same bytes for the same settings."""
    tasks = tasks_of(experiment, "train")
    env = worlds.make(experiment, tasks)
    count = settings.histories * settings.episodes
    shape = (len(tasks), count, experiment.horizon)
    codes = np.zeros((*shape, env.tables.codes.shape[-1]), np.uint8)
    actions, rewards = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    lengths = np.zeros(shape[:2], np.int64)
    for number in range(count):
        history, episode = divmod(number, settings.episodes)
        if episode == 0:
            learner = QLearner(afterstates(env, experiment), settings, generator(settings.seed, "preferences", history))
        played = play(env, learner, epsilon(episode, settings), generator(settings.seed, "q-learning", number))
        codes[:, number], actions[:, number], rewards[:, number], lengths[:, number] = played
        learner.replay(settings.sweeps)
    lived = np.arange(experiment.horizon) < lengths[..., None]
    whole = bool(lived.all())
    return Shard(
        codes.reshape(-1, codes.shape[-1]) if whole else codes[lived],
        (actions.reshape(-1) if whole else actions[lived])[:, None],
        rewards.reshape(-1) if whole else rewards[lived],
        np.concatenate([[0], lengths.reshape(-1).cumsum()]),
        np.repeat(tasks, count).astype(np.int32),
        np.tile(np.repeat(np.arange(settings.histories), settings.episodes), len(tasks)).astype(np.int32),
    )


def play(
    env: GridVectorEnv, learner: QLearner, chance: float, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """One episode of every task. The learners learn at every step except the one that the time limit cuts off, which a room does
    not pay for.

    Returns:
        Observations [tasks, horizon, D], actions and rewards [tasks, horizon], and the length of every episode [tasks]; values
        beyond the length are undefined.
    """
    shape = (env.horizon, env.num_envs)
    explore = random.random(shape, np.float32) < chance
    random_actions = random.integers(0, ACTIONS, shape)
    env.reset()
    seen = np.empty((*shape, env.codes.shape[1]), np.uint8)
    actions, rewards = np.empty(shape, np.int64), np.empty(shape, np.float32)
    running, lengths = np.ones(env.num_envs, np.bool_), np.full(env.num_envs, env.horizon)
    for step in range(env.horizon):
        states, seen[step] = env.state, env.codes
        actions[step] = np.where(explore[step], random_actions[step], learner.act(states))
        _, rewards[step], terminated, truncated, _ = env.step(actions[step])
        following = env.tables.following[env.rows, states, actions[step]]
        learner.update(states, actions[step], rewards[step], following, terminated, running & ~truncated)
        lengths[running & (terminated | truncated)] = step + 1
        running &= ~terminated
        if not running.any():
            break
    return seen.swapaxes(0, 1), actions.T, rewards.T, lengths
