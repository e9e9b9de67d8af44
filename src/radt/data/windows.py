"""Training windows: vectorised gathers from flat columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radt.data.steps import ACTIONS, Steps
from radt.data.trajectories import Trajectories


@dataclass(frozen=True)
class Columns:
    """Steps of many episodes, one after the other: N steps, compact types."""

    observation: Tensor
    """[N, 2] uint8"""
    action: Tensor
    """[N] uint8"""
    reward: Tensor
    """[N] float32"""
    returns: Tensor
    """[N] float32, return-to-go"""

    def windows(self, first: Tensor, start: Tensor, stop: Tensor, length: int) -> Steps:
        """The steps from `start` to before `stop`, padded on the right: a causal network needs no mask for that.

        Args:
            first: [...] row of the first step of the episode.
            start: [...] row of the first step of the window.
            stop: [...] row after the last step of the window.
            length: steps of the result, [..., length].
        """
        row = start[..., None] + torch.arange(length)
        mask = row < stop[..., None]
        row = torch.where(mask, row, start[..., None])
        time = row - first[..., None]
        before = (row - 1).clamp_min(0)
        begins = time == 0
        return Steps(
            observation=self.observation[row].long(),
            returns=self.returns[row],
            previous_action=self.action[before].long().masked_fill(begins, ACTIONS),
            previous_reward=self.reward[before].masked_fill(begins, 0.0),
            action=self.action[row].long(),
            reward=self.reward[row],
            time=time,
            mask=mask,
        )


def returns_to_go(rewards: NDArray[np.float32], start: NDArray[np.int64]) -> NDArray[np.float32]:
    """Sum of the rewards from each step to the end of its episode; [N], `start` [E + 1]."""
    total = np.concatenate([[0.0], np.cumsum(rewards, dtype=np.float64)])
    ends = np.repeat(total[start[1:]], np.diff(start))
    remaining: NDArray[np.float64] = ends - total[:-1]
    return remaining.astype(np.float32)


class Episodes:
    """Learning histories in memory: columns, and the table of episodes (E of them, in learning order within a task)."""

    def __init__(self, trajectories: Trajectories):
        start = np.asarray(trajectories.episode_start)
        rewards = np.asarray(trajectories.rewards)
        self.columns = Columns(
            observation=torch.from_numpy(np.array(trajectories.observations)),
            action=torch.from_numpy(np.array(trajectories.actions)),
            reward=torch.from_numpy(rewards.copy()),
            returns=torch.from_numpy(returns_to_go(rewards, start)),
        )
        self.first = torch.from_numpy(start[:-1].copy())
        self.length = torch.from_numpy(np.diff(start))
        self.task = torch.from_numpy(np.array(trajectories.episode_task)).long()
        tasks, rows = int(self.task.max()) + 1, torch.arange(len(self.task))
        self.first_of_task = torch.full((tasks,), len(rows)).scatter_reduce(0, self.task, rows, "amin")
        self.last_of_task = torch.full((tasks,), -1).scatter_reduce(0, self.task, rows, "amax")

    def sample(self, random: np.random.Generator, count: int, window: int) -> tuple[Tensor, Steps]:
        """Draw windows: their episodes [count] and their steps [count, window].

        Episodes are drawn in proportion to their length, the end of the window uniformly from 1..T, so that the last step is
        trained, too (the published code never does); an episode that fits into the window is always taken whole.
        """
        drawn = torch.from_numpy(random.integers(0, int(self.length.sum()), count))
        episode = torch.searchsorted(self.first + self.length, drawn, right=True)
        first, length = self.first[episode], self.length[episode]
        anywhere = 1 + torch.minimum((torch.from_numpy(random.random(count)) * length).long(), length - 1)
        stop = torch.where(length <= window, length, anywhere)
        return episode, self.columns.windows(first, first + (stop - window).clamp_min(0), first + stop, window)
