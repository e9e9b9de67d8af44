"""What the agent has lived through: all tasks' episodes in the columns that training windows are cut from, too."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from radt.data.steps import ACTIONS, Steps
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

    def steps(self, episode: int, begin: int, end: int) -> Steps:
        """[B, end - begin] steps of one episode of all tasks: slices, the same as `Columns.windows` gathers."""
        size = (self.tasks, self.episodes, self.horizon)

        def cut(column: Tensor, begin: int, end: int) -> Tensor:
            shaped: Tensor = column.unflatten(0, size)
            return shaped[:, episode, begin:end]

        columns = self.columns
        action, reward = cut(columns.action, max(begin - 1, 0), end).long(), cut(columns.reward, max(begin - 1, 0), end)
        if not begin:  # nothing comes before the first step
            action, reward = F.pad(action, (1, 0), value=ACTIONS), F.pad(reward, (1, 0))
        return Steps(
            observation=cut(columns.observation, begin, end).long(),
            returns=cut(columns.returns, begin, end),
            previous_action=action[:, :-1],
            previous_reward=reward[:, :-1],
            action=action[:, 1:],
            reward=reward[:, 1:],
            time=torch.arange(begin, end).expand(self.tasks, -1),
            mask=torch.ones(self.tasks, end - begin, dtype=torch.bool),
        )

    def window(self, time: int, length: int) -> Steps:
        """[B, min(length, time + 1)] steps of the current episode up to and with step `time`, whose action is not known yet."""
        return self.steps(self.episode, max(time + 1 - length, 0), time + 1)

    def previous(self, length: int) -> Steps:
        """[B, min(length, T)] last steps of the previous episode, all masked when there is none."""
        steps = self.steps(max(self.episode - 1, 0), max(self.horizon - length, 0), self.horizon)
        return steps if self.episode else replace(steps, mask=torch.zeros_like(steps.mask))
