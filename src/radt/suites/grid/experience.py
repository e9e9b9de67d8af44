"""The data of DPT in the grid worlds: tables of when a learner, or an agent, first made each transition.

Lee et al.: a context is a few hundred random steps; here: distinct transitions, in training and in evaluation, because the worlds
are deterministic and most steps of the histories are of a learner that stands on its goal.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radt.data.episodes import EpisodeBuffer
from radt.data.trajectories import Shard, Trajectories
from radt.data.transitions import Transitions, reward_phase
from radt.suites.grid.engine import ACTIONS
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.spec import PHASES
from radt.suites.grid.worlds import make, optimal_actions

REWARDS = 3
"""A step pays 0, 1, or 2 (key and door in one cell)."""
NEVER = np.iinfo(np.int32).max


def cells(experiment: GridExperiment) -> int:
    """Number of cells of the room or maze."""
    return experiment.width * experiment.height


def phase(experiment: GridExperiment, received: NDArray[np.floating]) -> NDArray[np.int64]:
    """The phase [...] of the state, from 0 to phases - 1, from the rewards so far `received` [...]."""
    return np.minimum(received.astype(np.int64), PHASES.get(experiment.world, 1) - 1)


def kinds(
    experiment: GridExperiment,
    observation: NDArray[np.uint8],
    received: NDArray[np.floating],
    action: NDArray[np.uint8],
    reward: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Kind of each transition [...]: (state x ACTIONS + action) x REWARDS + reward.

    The state is the cell, row by row, plus phase x number of cells; state and action determine both observations. `received` are
    the rewards of the episode before.
    """
    cell = observation[..., 0].astype(np.int64) * experiment.width + observation[..., 1]
    state = cell + cells(experiment) * phase(experiment, received)
    return (state * ACTIONS + action) * REWARDS + np.minimum(reward.astype(np.int64), REWARDS - 1)


def draw(known: NDArray[np.bool_], count: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Up to `count` of the `known` [B, kinds] transitions: their kinds [B, count] in random order, and their number [B].

    If there are more than `count`, rewarded transitions are taken first, the others uniformly, so that rewards are not missed.
    Kinds beyond the number are arbitrary.
    """
    rewarded = np.arange(known.shape[1]) % REWARDS > 0
    rank = random.random(known.shape, np.float32)
    rank = np.where(known, rank + rewarded, -1.0)
    chosen = np.argpartition(-rank, count - 1, axis=1)[:, :count] if count < known.shape[1] else np.argsort(-rank, axis=1)
    number = np.minimum(known.sum(axis=1), count)
    order = random.random(chosen.shape, np.float32)
    order[~np.take_along_axis(known, chosen, axis=1)] = 2.0
    return np.take_along_axis(chosen, order.argsort(axis=1), axis=1), number


class TableExperience:
    """The transitions of the learning histories of K training tasks as tables, whose size does not depend on their length."""

    def __init__(self, trajectories: Trajectories, experiment: GridExperiment):
        shards = trajectories.shards
        tasks = np.concatenate([np.unique(shard.episode_task) for shard in shards]).astype(np.int64)
        env = make(experiment, tasks)
        tables, rows = env.tables, env.rows
        self.experiment, self.tasks = experiment, tasks
        self.codes = tables.codes[rows]
        """[K, S, D] observation of each true state."""
        self.following = tables.following[rows]
        """[K, S, A] state after an action."""
        self.ends: NDArray[np.bool_] = np.asarray(tables.ends[rows])
        """[K, S, A] whether an action ends the episode."""
        self.actions = optimal_actions(env)
        """[K, S] optimal action in each true state."""
        self.first_seen = np.full((len(tasks), env.states * ACTIONS * REWARDS), NEVER, np.int32)
        """[K, kinds] first episode of the learning history with this transition."""
        visited = np.zeros((len(tasks), env.states), np.bool_)
        self.episodes = np.zeros(len(tasks), np.int64)
        """[K] number of episodes of the learning history."""
        number = {task: row for row, task in enumerate(tasks.tolist())}
        for shard in shards:
            for task in np.unique(shard.episode_task).tolist():
                row = number[task]
                self.episodes[row] = _record(shard, task, experiment, self.first_seen[row], visited[row])
        order = np.argsort(~visited, axis=1, kind="stable")
        self.states, self.visited = order, visited.sum(axis=1)
        """[K, S] true states, visited ones first, and the number of visited ones [K]."""

    def contexts(self, task: NDArray[np.int64], count: int, random: np.random.Generator) -> tuple[Transitions, Tensor]:
        """Contexts of up to `count` transitions for rows `task` [B], and the size [B] of each.

        A context is drawn from the first m episodes of the task's history. log m is uniform, because the learner makes most
        transitions in its first episodes, and contexts of poor learners would be rare otherwise.
        """
        episodes = self.episodes[task]
        first = np.exp(random.random(len(task)) * np.log(episodes + 1.0)).astype(np.int64).clip(1, episodes)
        kind, number = draw(self.first_seen[task] < first[:, None], count, random)
        rest, reward = np.divmod(kind, REWARDS)
        state, action = np.divmod(rest, ACTIONS)
        row = task[:, None]
        context = Transitions(
            observation=torch.from_numpy(self.codes[row, state].astype(np.int64)),
            received=torch.from_numpy(state // cells(self.experiment)),
            action=torch.from_numpy(action)[..., None],
            reward=torch.from_numpy(reward.astype(np.float32)),
            following=torch.from_numpy(self.codes[row, self.following[row, state, action]].astype(np.int64)),
            ended=torch.from_numpy(self.ends[row, state, action]),
        )
        return context, torch.from_numpy(number)

    def queries(self, task: NDArray[np.int64], count: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Visited true states, drawn uniformly: observation, phase and best action (`Experience.queries`).

        Each state counts once, because most steps are of a learner on its goal, from which a network would learn to stay
        everywhere.
        """
        place = (random.random((len(task), count)) * self.visited[task][:, None]).astype(np.int64)
        row = task[:, None]
        state = self.states[row, place]
        seen, action = self.codes[row, state].astype(np.int64), self.actions[row, state].astype(np.int64)
        return torch.from_numpy(seen), torch.from_numpy(state // cells(self.experiment)), torch.from_numpy(action)[..., None]


def _record(
    shard: Shard, task: int, experiment: GridExperiment, first_seen: NDArray[np.int32], visited: NDArray[np.bool_]
) -> int:
    """Enter a task's history into `first_seen` [kinds] and `visited` [S]; returns its number of episodes.

    The hidden part of the true state (held key, reached goals) is the number of earlier rewards in the episode. The next
    observation of an episode's last step is not stored, so that step counts only if it paid, because then the episode was over.
    """
    own = np.flatnonzero(shard.episode_task == task)
    bounds = shard.episode_start[own[0] : own[-1] + 2]
    steps = slice(int(bounds[0]), int(bounds[-1]))
    lengths = np.diff(bounds)
    episode = np.repeat(np.arange(len(own), dtype=np.int32), lengths)
    observation, reward = np.asarray(shard.observations[steps]), np.asarray(shard.rewards[steps])
    received = np.cumsum(reward, dtype=np.float64) - reward
    received -= received[bounds[:-1] - bounds[0]][episode]
    kind = kinds(experiment, observation, received, np.asarray(shard.actions[steps, 0]), reward)
    visited[kind // (ACTIONS * REWARDS)] = True
    counts = np.append(episode[1:] == episode[:-1], False) | (reward > 0)
    first_seen[kind[counts][::-1]] = episode[counts][::-1]  # the last assignment to equal indices stays: the earliest episode
    return len(own)


class DistinctTransitions:
    """The distinct transitions of the finished episodes of an agent. A `Recollection`."""

    def __init__(self, buffer: EpisodeBuffer, experiment: GridExperiment):
        self._buffer, self._experiment = buffer, experiment
        phases = PHASES.get(experiment.world, 1)
        self._row = np.full((buffer.tasks, phases * cells(experiment) * ACTIONS * REWARDS), -1, np.int64)
        """[B, kinds] row of the buffer with the first such transition; -1: none."""

    def add(self, episode: int) -> None:
        """See `Recollection`. As in training, the last step of an episode counts only if it paid."""
        buffer, columns = self._buffer, self._buffer.columns
        length = buffer.lengths[:, episode].numpy()[:, None]
        row = buffer.first(episode).numpy()[:, None] + np.arange(buffer.horizon)
        parts = columns.observation, columns.received, columns.action[:, 0], columns.reward
        observation, received, action, reward = (part.numpy()[row] for part in parts)
        kind = kinds(self._experiment, observation, received, action, reward)
        time = np.arange(buffer.horizon)
        counts = (time < length - 1) | ((time == length - 1) & (reward > 0))
        task = np.broadcast_to(np.arange(buffer.tasks)[:, None], kind.shape)
        task, kind, row = task[counts], kind[counts], row[counts]
        new = self._row[task, kind] < 0
        self._row[task[new], kind[new]] = row[new]

    def choose(self, count: int, random: np.random.Generator) -> tuple[Transitions, Tensor]:
        """See `Recollection`: by `draw`, as in training."""
        buffer, columns = self._buffer, self._buffer.columns
        kind, number = draw(self._row >= 0, count, random)
        kind = kind[:, : max(1, int(number.max()))]
        row = torch.from_numpy(np.take_along_axis(self._row, kind, axis=1).clip(0))
        after = (row + 1).clamp_max(len(columns.action) - 1)
        episode = torch.div(row, buffer.horizon, rounding_mode="floor")
        last = row - episode * buffer.horizon == buffer.lengths.flatten()[episode] - 1
        transitions = Transitions(
            observation=columns.observation[row].long(),
            received=reward_phase(buffer.spec, columns.received[row]),
            action=columns.action[row].long(),
            reward=columns.reward[row],
            following=columns.observation[after].long(),
            ended=last,
        )
        return transitions, torch.from_numpy(number)


def experience(experiment: GridExperiment, data: Trajectories) -> TableExperience:
    """See `radt.suites.transitions`."""
    return TableExperience(data, experiment)


def recollection(experiment: GridExperiment, buffer: EpisodeBuffer) -> DistinctTransitions:
    """See `radt.suites.transitions`."""
    return DistinctTransitions(buffer, experiment)
