"""Windows of steps, cut from episodes in memory or from memory-mapped shards of any size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radt.artifacts import read_at_random
from radt.data.steps import Steps
from radt.data.trajectories import Shard, Trajectories
from radt.spaces import Spec


class Source(Protocol):
    """Source of windows."""

    @property
    def spec(self) -> Spec:
        """Spec of the steps."""

    def windows(self, first: Tensor, start: Tensor, stop: Tensor, length: int) -> Steps:
        """Steps [..., length] from row `start` to before row `stop`, padded on the right with the first step.

        Args:
            first: [...] row of the first step of the episode.
            start: [...] row of the first step of the window.
            stop: [...] exclusive end of the window, a row.
            length: steps of the result.
        """

    def rewarded(self, first: Tensor, length: Tensor) -> Tensor:
        """Exclusive ends [..., 2] of the first and the second step of an episode whose reward is above 0, counted from its first
        step; 0 where there is none.

        Args:
            first: [...] row of the first step of the episode.
            length: [...] steps of the episode.
        """


@dataclass(frozen=True)
class Columns:
    """N steps of many episodes in memory, in the dtypes in which they are stored. A `Source`."""

    observation: Tensor
    """[N, *shape of an observation]"""
    action: Tensor
    """[N, A] uint8 codes"""
    reward: Tensor
    """[N] float32"""
    returns: Tensor
    """[N] float32, return-to-go"""
    received: Tensor
    """[N] float32, sum of the rewards of the episode before the step"""
    spec: Spec
    """Spec of the steps."""

    def windows(self, first: Tensor, start: Tensor, stop: Tensor, length: int) -> Steps:
        """See `Source`."""
        row = start[..., None] + torch.arange(length)  # [..., length]
        mask = row < stop[..., None]
        row = torch.where(mask, row, start[..., None])
        time = row - first[..., None]
        before = (row - 1).clamp_min(0)
        begins = time == 0
        return Steps(
            observation=as_read(self.observation[row], self.spec),
            returns=self.returns[row],
            previous_action=torch.where(begins[..., None], no_action(self.spec), self.action[before].long()),
            previous_reward=self.reward[before].masked_fill(begins, 0.0),
            received=self.received[row],
            action=self.action[row].long(),
            reward=self.reward[row],
            time=time,
            mask=mask,
        )

    def rewarded(self, first: Tensor, length: Tensor) -> Tensor:
        """See `Source`."""
        step = torch.arange(int(length.max()))
        row = (first[..., None] + step).clamp_max(len(self.reward) - 1)  # [..., T]
        paid = (self.reward[row] > 0) & (step < length[..., None])
        count = paid.cumsum(-1)
        return torch.stack([torch.where(paid & (count == number), step + 1, 0).amax(-1) for number in (1, 2)], -1)


def no_action(spec: Spec) -> Tensor:
    """The codes [A] of "no action": in each dimension the code after its last one."""
    return torch.tensor(spec.actions)


def as_read(observation: Tensor, spec: Spec) -> Tensor:
    """Observations in the dtype in which networks read them."""
    return observation.to(getattr(torch, spec.read_as))


class ShardColumns:
    """Steps of all memory-mapped shards. A `Source`.

    A window reads its own rows and all rewards of its episode, from which returns-to-go and rewards so far are summed. The time
    to read a window does not depend on the number of shards.
    """

    def __init__(self, shards: list[Shard], start: NDArray[np.int64], spec: Spec):
        self.spec = spec
        self._columns = [tuple(map(np.asarray, (shard.observations, shard.actions, shard.rewards))) for shard in shards]
        self._offset = np.cumsum([0] + [len(shard.actions) for shard in shards])
        self._start = start

    def windows(self, first: Tensor, start: Tensor, stop: Tensor, length: int) -> Steps:
        """See `Source`."""
        shape = start.shape
        owner, begin, end = (x.expand(shape).reshape(-1).numpy() for x in (first, start, stop))
        lengths = self._start[self._start.searchsorted(owner, side="right")] - owner
        offset, position = begin - owner, np.arange(length)
        observation, action, reward = self._read(owner, begin, length, int(lengths.max(initial=0)))
        if (lengths < reward.shape[1]).any():
            reward[np.arange(reward.shape[1]) >= lengths[:, None]] = 0.0  # rewards of the next episode
        sums = np.zeros((len(reward), reward.shape[1] + 1))  # [B, longest episode + 1]
        np.cumsum(reward, axis=1, out=sums[:, 1:])
        mask, time = position < (end - begin)[:, None], offset[:, None] + position
        at = np.minimum(time, reward.shape[1] - 1)
        received, rewards = np.take_along_axis(sums, at, 1), np.take_along_axis(reward, at, 1)
        action[offset == 0, 0] = self.spec.actions
        before = np.where(time > 0, np.take_along_axis(reward, np.maximum(at - 1, 0), 1), 0.0)
        padded = not mask.all()

        def finish(values: NDArray[Any], dtype: type | str) -> Tensor:
            if padded:
                values = np.where(mask.reshape(*mask.shape, *[1] * (values.ndim - 2)), values, values[:, :1])
            return torch.from_numpy(values.astype(dtype)).reshape(*shape, *values.shape[1:])

        return Steps(
            observation=finish(observation, self.spec.read_as),
            returns=finish(sums[:, -1:] - received, np.float32),
            previous_action=finish(action[:, :length], np.int64),
            previous_reward=finish(before, np.float32),
            received=finish(received, np.float32),
            action=finish(action[:, 1:], np.int64),
            reward=finish(rewards, np.float32),
            time=finish(time, np.int64),
            mask=torch.from_numpy(mask).reshape(*shape, length),
        )

    def rewarded(self, first: Tensor, length: Tensor) -> Tensor:
        """See `Source`; `length` is not used."""
        return torch.from_numpy(self._rewarded[self._start.searchsorted(first.numpy())])

    @cached_property
    def _rewarded(self) -> NDArray[np.int64]:
        """Ends [E, 2] of the first two rewarded steps of all episodes."""
        paid = np.concatenate(
            [np.flatnonzero(rewards > 0) + offset for (*_, rewards), offset in zip(self._columns, self._offset, strict=False)]
        )
        found = np.zeros((len(self._start) - 1, 2), np.int64)
        number = paid.searchsorted(self._start)  # rewarded steps before each episode
        for place in (0, 1):
            there = np.flatnonzero(number[:-1] + place < number[1:])
            found[there, place] = paid[number[there] + place] - self._start[there] + 1
        return found

    def _read(
        self, first: NDArray[np.int64], start: NDArray[np.int64], length: int, longest: int
    ) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.float32]]:
        """Observations [B, length, ...] from row `start`; action codes [B, 1 + length, A] from the row before; rewards
        [B, longest] from row `first`."""
        owner = self._offset.searchsorted(first, side="right") - 1
        parts = []
        for number in np.unique(owner).tolist() or [0]:
            observations, actions, rewards = self._columns[number]
            member = owner == number
            row = (start[member] - self._offset[number])[:, None] + np.arange(-1, length)
            episode = (first[member] - self._offset[number])[:, None] + np.arange(longest)
            observation = observations.take(row[:, 1:], axis=0, mode="clip")
            action = self.spec.codes(actions.take(row, axis=0, mode="clip"))
            parts.append((observation, action, rewards.take(episode, mode="clip")))
        if len(parts) == 1:
            return parts[0]
        place = owner.argsort(kind="stable").argsort()
        observation, action, reward = (np.concatenate(column)[place] for column in zip(*parts, strict=True))
        return observation, action, reward


def _returns(shard: Shard) -> NDArray[np.float32]:
    """Return [E] of every episode, without keeping the shard's rewards in memory.

    It switches read-ahead off for the shard. So the embed stage, which reads in order, reads about three times slower from a
    disk: little beside the encoder's time, and nothing if the data are cached.
    """
    returns = shard.returns().astype(np.float32)
    read_at_random(shard.rewards)
    return returns


class Among(NamedTuple):
    """Episodes from which windows are drawn."""

    episodes: NDArray[np.int64]
    """their numbers"""
    ends: NDArray[np.int64]
    """sum of the lengths up to and with each"""


class Episodes:
    """The steps of learning histories, and the table of their E episodes (in learning order within a history)."""

    def __init__(self, trajectories: Trajectories):
        shards = trajectories.shards
        lengths = np.concatenate([np.diff(shard.episode_start) for shard in shards])
        start = np.concatenate([[0], np.cumsum(lengths)])
        self._start = start
        self.all = Among(np.arange(len(lengths)), start[1:])
        self.columns: Source = ShardColumns(shards, start, trajectories.spec)
        self.first = torch.from_numpy(start[:-1])
        self.length = torch.from_numpy(lengths)
        self.task = torch.from_numpy(np.concatenate([shard.episode_task for shard in shards])).long()
        within = torch.from_numpy(np.concatenate([shard.episode_history for shard in shards])).long()
        self.history = torch.cat([torch.zeros(1), (self.task.diff() != 0) | (within.diff() != 0)]).cumsum(0).long()
        """[E] number of the learning history, counted over all tasks"""
        self.returns = torch.from_numpy(np.concatenate([_returns(shard) for shard in shards]))
        tasks, rows = int(self.task.max()) + 1, torch.arange(len(self.task))
        self.first_of_history = torch.searchsorted(self.history, self.history)
        """[E] first episode of the same history"""
        self.first_of_task = torch.full((tasks,), len(rows)).scatter_reduce(0, self.task, rows, "amin")
        self.last_of_task = torch.full((tasks,), -1).scatter_reduce(0, self.task, rows, "amax")

    def best(self, share: float) -> Among:
        """A `share` of the episodes of each history, at least one: those with the highest returns, of equal ones the later."""
        order = np.lexsort((-np.arange(len(self.task)), -self.returns.numpy(), self.history.numpy()))  # histories stay together
        history = self.history.numpy()[order]
        sizes = np.bincount(history)
        rank = np.arange(len(order)) - history.searchsorted(history)
        chosen = np.sort(order[rank < np.ceil(share * sizes).clip(1)[history]])
        return Among(chosen, self.length.numpy()[chosen].cumsum())

    def sample(
        self,
        random: np.random.Generator,
        count: int,
        window: int,
        stride: int = 0,
        start_probability: float = 0.0,
        among: Among | None = None,
    ) -> tuple[Tensor, Steps]:
        """Draw windows: their episodes [count] and their steps [count, window].

        Episodes are drawn from all or from those of `among`, in proportion to their length. An episode that fits into the window
        is taken whole. In a longer one, the window begins at a multiple of `stride` steps, as in evaluation; a share
        `start_probability` begins at step 0. Without a stride, the end of the window is uniform in 1..T. Published code: the last
        step is never trained; here: it is.
        """
        start, among = self._start, among or self.all
        episode = among.episodes[among.ends.searchsorted(random.integers(0, among.ends[-1], count), side="right")]
        first, length = start[episode], start[episode + 1] - start[episode]
        chance = random.random(count)
        if stride:
            rest = 1.0 - start_probability  # the share of windows that may begin anywhere
            later = ((chance - start_probability) / rest).clip(0.0) if rest > 0 else np.zeros(count)
            offset = stride * (later * (1 + -(-(length - window).clip(0) // stride))).astype(np.int64)
            stop = np.minimum(offset + window, length)
        else:
            stop = np.where(length <= window, length, 1 + np.minimum((chance * length).astype(np.int64), length - 1))
            offset = (stop - window).clip(0)
        rows = torch.from_numpy(first), torch.from_numpy(first + offset), torch.from_numpy(first + stop)
        return torch.from_numpy(episode), self.columns.windows(*rows, window)
