"""Unordered transitions, which DPT reads (Lee et al., 2023), and their sources in training and in evaluation."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radt.data.episodes import EpisodeBuffer
from radt.data.steps import Steps, moved
from radt.data.trajectories import Trajectories
from radt.data.windows import Episodes, as_read
from radt.errors import RadtError
from radt.spaces import Counts, Spec


@dataclass(frozen=True)
class Transitions:
    """C unordered transitions of each of B tasks, padded on the right."""

    observation: Tensor
    """[B, C, D] int64 codes, or float32 numbers; [B, C, H, W, channels] uint8 images"""
    received: Tensor
    """[B, C] rewards of the episode before the transition (`reward_phase`)"""
    action: Tensor
    """[B, C, A] int64"""
    reward: Tensor
    """[B, C] float32"""
    following: Tensor
    """next observation, like `observation`"""
    ended: Tensor
    """[B, C] bool, true where the episode ended with the transition, so that `following` means nothing"""

    def to(self, device: str) -> Transitions:
        """The same transitions on a device."""
        return Transitions(**{field.name: moved(getattr(self, field.name), device) for field in fields(self)})

    def __getitem__(self, index: object) -> Transitions:
        """Index every tensor alike."""
        return Transitions(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


class Experience(Protocol):
    """Contexts and queries from the learning histories of all training tasks."""

    @property
    def tasks(self) -> NDArray[np.int64]:
        """Ids of the tasks [K]."""

    def contexts(self, task: NDArray[np.int64], count: int, random: np.random.Generator) -> tuple[Transitions, Tensor]:
        """Contexts of up to `count` transitions for rows `task` [B] of `tasks`, and the size [B] of each."""

    def queries(self, task: NDArray[np.int64], count: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Observations [B, count, D] of states of rows `task` [B], rewards so far [B, count] (`reward_phase`), and actions of an
        expert [B, count, A]."""


class Recollection(Protocol):
    """The transitions of the finished episodes that an agent has played."""

    def add(self, episode: int) -> None:
        """Add the finished episode `episode` of every task."""

    def choose(self, count: int, random: np.random.Generator) -> tuple[Transitions, Tensor]:
        """Up to `count` transitions of every task [B, C], and the number of real ones [B]; C is at least 1."""


def reward_phase(spec: Spec, received: Tensor) -> Tensor:
    """The form in which transitions hold the rewards so far, `received` [...]: the phase for counts, else the sum itself."""
    return received.long().clamp_max(spec.rewards.phases - 1) if isinstance(spec.rewards, Counts) else received


class StepExperience:
    """Random steps of the learning histories of K tasks, with an expert's labels. An `Experience`.

    Raises `RadtError` when a shard has no labels.
    """

    def __init__(self, data: Trajectories):
        if any(shard.labels is None for shard in data.shards):
            raise RadtError(
                "the learning histories have no labels, which dpt learns from: leave dpt out, or add an expert's actions"
            )
        self._spec, self._episodes = data.spec, Episodes(data)
        self._labels = [np.asarray(shard.labels) for shard in data.shards]
        self._begin = np.cumsum([0, *(len(labels) for labels in self._labels)])
        self.tasks = self._episodes.task.unique().numpy()
        self._first = self._episodes.first_of_task[self.tasks].numpy()
        self._last = self._episodes.last_of_task[self.tasks].numpy()
        self._start = np.append(self._episodes.first.numpy(), self._begin[-1])

    def contexts(self, task: NDArray[np.int64], count: int, random: np.random.Generator) -> tuple[Transitions, Tensor]:
        """See `Experience`. A context comes from the first m episodes of its task; log m is uniform, as in the grid worlds."""
        total = self._last[task] - self._first[task] + 1
        episodes = np.exp(random.random(len(task)) * np.log(total + 1.0)).astype(np.int64).clip(1, total)
        steps, row = self._drawn(self._first[task], self._first[task] + episodes, count, random)
        last = torch.from_numpy(row + 1 == self._start[self._start.searchsorted(row, side="right")])
        after = self._read(np.where(last, row, row + 1))
        transitions = Transitions(
            observation=steps.observation,
            received=reward_phase(self._spec, steps.received),
            action=steps.action,
            reward=steps.reward,
            following=after.observation,
            ended=last,
        )
        return transitions, torch.full((len(task),), count)

    def queries(self, task: NDArray[np.int64], count: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """See `Experience`."""
        steps, row = self._drawn(self._first[task], self._last[task] + 1, count, random)
        labels = np.empty((*row.shape, len(self._spec.actions)), np.int64)
        owner = self._begin.searchsorted(row, side="right") - 1
        for number in np.unique(owner).tolist():
            member = owner == number
            labels[member] = self._spec.codes(self._labels[number][row[member] - self._begin[number]])
        return steps.observation, reward_phase(self._spec, steps.received), torch.from_numpy(labels)

    def _drawn(
        self, first: NDArray[np.int64], stop: NDArray[np.int64], count: int, random: np.random.Generator
    ) -> tuple[Steps, NDArray[np.int64]]:
        """Steps [B, count] drawn uniformly from episodes `first` [B] to before `stop` [B], and their rows [B, count]."""
        begin, end = self._start[first][:, None], self._start[stop][:, None]
        row = begin + (random.random((len(first), count)) * (end - begin)).astype(np.int64)
        return self._read(row), row

    def _read(self, row: NDArray[np.int64]) -> Steps:
        """Steps [...] at rows `row` [...]."""
        first = self._start[self._start.searchsorted(row, side="right") - 1]
        begin, start = torch.from_numpy(first), torch.from_numpy(row)
        return self._episodes.columns.windows(begin, start, start + 1, 1).map(lambda column: column.squeeze(row.ndim))


class StepRecollection:
    """Random steps of the finished episodes of an agent. A `Recollection`."""

    def __init__(self, buffer: EpisodeBuffer):
        self._buffer, self._finished = buffer, 0

    def add(self, episode: int) -> None:
        """See `Recollection`."""
        self._finished = episode + 1

    def choose(self, count: int, random: np.random.Generator) -> tuple[Transitions, Tensor]:
        """See `Recollection`; steps are drawn uniformly, with replacement."""
        buffer, columns = self._buffer, self._buffer.columns
        ends = buffer.lengths[:, : self._finished].cumsum(1)  # (B, E)
        if not self._finished:
            ends = torch.ones(buffer.tasks, 1, dtype=torch.long)  # one step, which is masked
        place = torch.from_numpy(random.random((buffer.tasks, count))) * ends[:, -1:]
        episode = torch.searchsorted(ends, place.long(), right=True)  # (B, C)
        time = place.long() - torch.nn.functional.pad(ends, (1, 0)).gather(1, episode)
        row = buffer.first(episode) + time
        last = time + 1 == buffer.lengths.gather(1, episode)
        transitions = Transitions(
            observation=as_read(columns.observation[row], buffer.spec),
            received=reward_phase(buffer.spec, columns.received[row]),
            action=columns.action[row].long(),
            reward=columns.reward[row],
            following=as_read(columns.observation[torch.where(last, row, row + 1)], buffer.spec),
            ended=last,
        )
        return transitions, torch.full((buffer.tasks,), count if self._finished else 0)
