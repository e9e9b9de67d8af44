"""The episode buffer of agents. Its columns are those of training data, so windows are cut by the same code."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from radt.data.steps import Steps
from radt.data.windows import Columns, as_read, no_action
from radt.spaces import Spec


class EpisodeBuffer:
    """Episodes of B tasks, filled step by step. All tasks begin an episode together; each ends at its own step.

    Args:
        tasks: number of tasks, B.
        episodes: number of episodes of each task.
        spec: observations and actions, and the most steps of an episode, T.
    """

    def __init__(self, tasks: int, episodes: int, spec: Spec):
        horizon, rows = spec.horizon, tasks * episodes * spec.horizon
        self.spec, self._none = spec, no_action(spec).expand(tasks, 1, -1)
        self.columns = Columns(
            observation=torch.zeros(rows, *spec.observation.shape, dtype=getattr(torch, spec.dtypes["observations"])),
            action=torch.zeros(rows, len(spec.actions), dtype=torch.uint8),
            reward=torch.zeros(rows),
            returns=torch.zeros(rows),
            received=torch.zeros(rows),
            spec=spec,
        )
        self.tasks, self.episodes, self.horizon = tasks, episodes, horizon
        self.episode = 0
        self.totals = torch.zeros(tasks, episodes)
        self.lengths = torch.full((tasks, episodes), horizon)
        self.running = torch.ones(tasks, dtype=torch.bool)
        self.success: Tensor | None = None
        """[B, episodes] whether an episode reached its goal; None where environments do not report it."""

    def first(self, episode: int | Tensor) -> Tensor:
        """Row [B, ...] of the first step of `episode`, one number for all tasks or [B, ...]."""
        task = torch.arange(self.tasks)
        if isinstance(episode, Tensor):
            task = task.reshape(-1, *[1] * (episode.dim() - 1))
        return (task * self.episodes + episode) * self.horizon

    def observe(self, time: int, observation: Tensor, returns: Tensor) -> None:
        """Store the observation [B, D] and the target return-to-go [B] of step `time` of the current episode."""
        row = self.first(self.episode) + time
        self.columns.observation[row] = observation
        self.columns.returns[row] = returns
        self.columns.received[row] = self.totals[:, self.episode]

    def act(self, time: int, action: Tensor, reward: Tensor, ended: Tensor) -> None:
        """Store the action [B, A] and the reward [B] of step `time`, and whether [B] the episode `ended` with it.

        Tasks whose episode had ended before are ignored.
        """
        row, reward = self.first(self.episode) + time, reward * self.running
        self.columns.action[row] = action.to(torch.uint8)
        self.columns.reward[row] = reward
        self.totals[:, self.episode] += reward
        self.lengths[self.running & ended, self.episode] = time + 1
        self.running = self.running & ~ended

    def succeed(self, reached: Tensor | None) -> None:
        """Store whether the present step reached the goal [B], before `act`; None where environments do not report it."""
        if reached is None:
            return
        if self.success is None:
            self.success = torch.zeros(self.tasks, self.episodes, dtype=torch.bool)
        self.success[:, self.episode] |= reached & self.running

    def finish(self) -> None:
        """End the current episode: its target returns-to-go are replaced by the true ones, as in the training data."""
        rows = self.first(self.episode)[:, None] + torch.arange(self.horizon)  # [B, T]
        self.columns.returns[rows] = self.columns.reward[rows].flip(1).cumsum(1).flip(1)
        self.running = torch.ones_like(self.running)
        self.episode += 1

    def steps(self, episode: int, begin: int, end: int) -> Steps:
        """[B, end - begin] steps of one episode of all tasks: the steps of `Columns.windows`, but cut by slices."""
        size = (self.tasks, self.episodes, self.horizon)

        def cut(column: Tensor, begin: int, end: int) -> Tensor:
            shaped: Tensor = column.unflatten(0, size)
            return shaped[:, episode, begin:end]

        columns = self.columns
        action, reward = cut(columns.action, max(begin - 1, 0), end).long(), cut(columns.reward, max(begin - 1, 0), end)
        if not begin:  # nothing comes before the first step
            action, reward = torch.cat([self._none, action], 1), F.pad(reward, (1, 0))
        return Steps(
            observation=as_read(cut(columns.observation, begin, end), self.spec),
            returns=cut(columns.returns, begin, end),
            previous_action=action[:, :-1],
            previous_reward=reward[:, :-1],
            received=cut(columns.received, begin, end),
            action=action[:, 1:],
            reward=reward[:, 1:],
            time=torch.arange(begin, end).expand(self.tasks, -1),
            mask=torch.ones(self.tasks, end - begin, dtype=torch.bool),
        )

    def window(self, time: int, length: int) -> Steps:
        """[B, min(length, time + 1)] steps of the current episode up to and including step `time`, whose action is not known."""
        return self.steps(self.episode, max(time + 1 - length, 0), time + 1)

    def previous(self, length: int) -> Steps:
        """[B, min(length, T)] last steps of the previous episode, padded on the right; the mask is false in the first episode."""
        episode = max(self.episode - 1, 0)
        first, lived = self.first(episode), self.lengths[:, episode]
        length = min(length, self.horizon)
        steps = self.columns.windows(first, first + (lived - length).clamp_min(0), first + lived, length)
        return steps if self.episode else replace(steps, mask=torch.zeros_like(steps.mask))
