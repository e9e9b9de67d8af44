"""References without a network: random actions, replay of the best episode so far, experts (not in the paper)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from radt import seeding
from radt.data.episodes import EpisodeBuffer
from radt.errors import RadtError
from radt.spaces import Counts
from radt.suites.base import Suite, VectorEnv, WithExpert


class RandomAgent:
    """An `Agent` with equal logits for all actions; to be used with sampled actions."""

    def __init__(self, history: EpisodeBuffer):
        self.equal = torch.zeros(history.tasks, sum(history.spec.actions))

    def begin(self) -> None:
        """See `Agent`."""

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        return self.equal

    def finish(self) -> None:
        """See `Agent`."""


class RetrieveAgent:
    """An `Agent` that repeats the action of the nearest step of the best of its finished episodes, task by task.

    The best episode has the highest return; ties go to the latest. Without an episode to repeat (the first one, or for rewards
    that are counts: no return above 0 so far), actions are uniformly random. For other rewards, every step counts as rewarded.

    The nearest step has the smallest city-block distance between observations; ties go to the latest. Candidates are the steps
    after the last repeated one, up to the next rewarded step. Where no reward is left, they are all steps up to the last reward.
    So an optimal episode is repeated exactly, loops of other episodes are left out, and no reward is skipped.
    """

    def __init__(self, history: EpisodeBuffer, seed: int):
        self.history, self.seed = history, seed
        self.counts = isinstance(history.spec.rewards, Counts)
        self.place = torch.arange(history.horizon)
        size = (history.tasks, history.horizon)
        self.found = torch.zeros(history.tasks, dtype=torch.bool)
        """[B] whether the task has an episode to repeat."""
        self.observation = torch.zeros(0)
        """[B, T, D] observations of the best episode."""
        self.action = torch.zeros(*size, len(history.spec.actions), dtype=torch.long)
        """[B, T, A] its actions."""
        self.rewarded = torch.zeros(size, dtype=torch.long)
        """[B, T] the next rewarded step at or after each step; `horizon`: none."""
        self.last = torch.full((history.tasks, 1), -1)
        """[B, 1] last repeated step."""

    def begin(self) -> None:
        """See `Agent`."""
        history, columns = self.history, self.history.columns
        self.last = torch.full_like(self.last, -1)
        if not history.episode:
            return
        totals = history.totals[:, : history.episode]
        best = history.episode - 1 - totals.flip(1).argmax(1)
        task = torch.arange(history.tasks)
        self.found = (totals[task, best] > 0) | (not self.counts)
        row = history.first(best)[:, None] + self.place
        seen = columns.observation[row].flatten(2)
        self.observation = seen if seen.is_floating_point() else seen.int()
        self.action = columns.action[row].long()
        pays = ((columns.reward[row] > 0) | (not self.counts)) & (self.place < history.lengths[task, best][:, None])
        self.rewarded = torch.where(pays, self.place, history.horizon).flip(1).cummin(1).values.flip(1)

    def logits(self, time: int) -> Tensor:
        """See `Agent`: 1 for the chosen action, 0 for the others."""
        history = self.history
        step = history.episode * history.horizon + time
        random = seeding.torch_generator(self.seed, "retrieve", step)
        sizes = history.spec.actions
        action = torch.stack([torch.randint(0, size, (history.tasks,), generator=random) for size in sizes], -1)
        if self.found.any():
            action = torch.where(self.found[:, None], self.replayed(time), action)
        parts = zip(action.unbind(-1), sizes, strict=True)
        return torch.cat([torch.nn.functional.one_hot(codes, size) for codes, size in parts], -1).float()

    def replayed(self, time: int) -> Tensor:
        """Actions [B, A] of the nearest steps; arbitrary for tasks without an episode to repeat."""
        distance = (self.observation - self.history.window(time, 1).observation.flatten(2)).abs().sum(-1)
        paying = self.rewarded < self.history.horizon  # [B, T], a reward at this step or later
        following = (self.last + 1).clamp_max(self.history.horizon - 1)
        ahead = paying & (self.place > self.last) & (self.place <= self.rewarded.gather(1, following))
        searched = torch.where(ahead.any(1, keepdim=True), ahead, paying)
        distance = distance.double().masked_fill(~searched, torch.inf)
        self.last = self.history.horizon - 1 - distance.flip(1).argmin(1, keepdim=True)
        return self.action[torch.arange(len(self.last)), self.last[:, 0]]

    def finish(self) -> None:
        """See `Agent`."""


class ExpertAgent:
    """An `Agent` that takes the codes nearest to an expert's action; the expert knows the hidden task."""

    def __init__(self, suite: Suite, env: VectorEnv | None, seed: int):
        """Raises `RadtError` when the suite has no expert."""
        if not isinstance(suite, WithExpert) or env is None:
            raise RadtError(f"the suite {suite.experiment.suite!r} has no expert: remove the method from evaluate.methods")
        self.spec, self.actions = suite.spec, suite.expert(env, seed)

    def begin(self) -> None:
        """See `Agent`."""

    def logits(self, time: int) -> Tensor:
        """See `Agent`: 1 for the chosen action, 0 for the others."""
        codes = torch.from_numpy(self.spec.codes(self.actions()).astype(np.int64))  # [B, A]
        parts = zip(codes.unbind(-1), self.spec.actions, strict=True)
        return torch.cat([torch.nn.functional.one_hot(own, size) for own, size in parts], -1).float()

    def finish(self) -> None:
        """See `Agent`."""
