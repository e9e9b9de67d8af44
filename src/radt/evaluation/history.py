"""What the agent has lived through: all tasks' episodes in the columns that training windows are cut from, too."""

from __future__ import annotations

import torch
from torch import Tensor

from radt.data.steps import Steps
from radt.data.windows import Columns


class History:
    """Episodes of B tasks, filled step by step.

    Args:
        tasks: number of tasks, B.
        episodes: number of episodes of each.
        horizon: steps of an episode, T.
    """

    def __init__(self, tasks: int, episodes: int, horizon: int):
        rows = tasks * episodes * horizon
        self.columns = Columns(
            observation=torch.zeros(rows, 2, dtype=torch.uint8),
            action=torch.zeros(rows, dtype=torch.uint8),
            reward=torch.zeros(rows),
            returns=torch.zeros(rows),
        )
        self.tasks, self.episodes, self.horizon = tasks, episodes, horizon
        self.episode = 0
        self.totals = torch.zeros(tasks, episodes)

    def first(self, episode: int | Tensor) -> Tensor:
        """Row of the first step of `episode` (one for all tasks, or [B, ...]) for every task."""
        task = torch.arange(self.tasks)
        if isinstance(episode, Tensor):
            task = task.reshape(-1, *[1] * (episode.dim() - 1))
        return (task * self.episodes + episode) * self.horizon

    def observe(self, time: int, observation: Tensor, returns: Tensor) -> None:
        """Store the observation [B, 2] and the wanted return-to-go [B] of step `time` of the current episode."""
        row = self.first(self.episode) + time
        self.columns.observation[row] = observation
        self.columns.returns[row] = returns

    def act(self, time: int, action: Tensor, reward: Tensor) -> None:
        """Store the action [B] and the reward [B] of step `time`."""
        row = self.first(self.episode) + time
        self.columns.action[row] = action.to(torch.uint8)
        self.columns.reward[row] = reward
        self.totals[:, self.episode] += reward

    def finish(self) -> None:
        """End the current episode: its returns-to-go become the true ones, as in the training data."""
        rows = self.first(self.episode)[:, None] + torch.arange(self.horizon)
        self.columns.returns[rows] = self.columns.reward[rows].flip(1).cumsum(1).flip(1)
        self.episode += 1

    def window(self, time: int, length: int) -> Steps:
        """[B, min(length, time + 1)] steps of the current episode up to and with step `time`, whose action is not known yet."""
        first = self.first(self.episode)
        length = min(length, time + 1)
        return self.columns.windows(first, first + time + 1 - length, first + time + 1, length)

    def previous(self, length: int) -> Steps:
        """[B, min(length, T)] last steps of the previous episode, all masked when there is none."""
        first, length = self.first(max(self.episode - 1, 0)), min(length, self.horizon)
        start = first + self.horizon - length
        return self.columns.windows(first, start, start + (length if self.episode else 0), length)
