"""Agents: how each kind of model acts in context. An agent gives action logits [B, sum of sizes] for the current step of B tasks.

Where a step is one token, an agent uses a KV cache, with a new window every half window (`radt.retrieval.chunks.window_start`);
logits equal those without a cache up to rounding. Else the whole window is read again at every step, as published.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from radt.data.episodes import EpisodeBuffer
from radt.data.steps import Steps, concatenate
from radt.evaluation.memory import GROUP, OnlineMemory
from radt.models.blocks import ContextKV, KVCache
from radt.models.decision_transformer import DecisionTransformer
from radt.models.retrieval_transformer import RetrievalTransformer
from radt.retrieval.chunks import window_start
from radt.settings.models import Model


class Agent(Protocol):
    """A model that acts in all tasks of an `EpisodeBuffer`."""

    def begin(self) -> None:
        """Called before the first step of every episode."""

    def logits(self, time: int) -> Tensor:
        """Action logits [B, sum of sizes] of step `time`, called for every step in order."""

    def finish(self) -> None:
        """Called after `EpisodeBuffer.finish`."""


def can_cache(model: Model) -> bool:
    """Whether the model can use a KV cache over the steps of an episode."""
    return model.tokens == "step"


def groups(tasks: int) -> list[slice]:
    """Slices of at most `GROUP` tasks, in order."""
    return [slice(first, first + GROUP) for first in range(0, tasks, GROUP)]


def advance(caches: list[KVCache], steps: Steps) -> None:
    """Advance every cache's length by T, the number of steps in `steps` [B, T]."""
    for cache in caches:
        cache.length += steps.time.shape[1]


def emptied(caches: list[KVCache] | None, model: DecisionTransformer | RetrievalTransformer, tasks: int) -> list[KVCache]:
    """Empty KV caches for a new episode; they reuse the memory of `caches`, if given."""
    for cache in caches or ():
        cache.length, cache.real = 0, None
    return caches or model.new_caches(tasks)


def remember(model: DecisionTransformer, steps: Steps, caches: list[KVCache]) -> None:
    """Append [B, T] steps to KV caches, one group of tasks at a time."""
    steps = steps.to(model.device)
    for rows in groups(steps.time.shape[0]):
        model.remember(steps[rows], [cache.rows(rows) for cache in caches])
    advance(caches, steps)


class DtAgent:
    """DT: its context is the current episode only."""

    def __init__(self, model: DecisionTransformer, settings: Model, history: EpisodeBuffer):
        self.model, self.history, self.cached, self.window = model, history, can_cache(settings), settings.window
        self.caches: list[KVCache] | None = None

    def begin(self) -> None:
        """See `Agent`."""
        self.caches = emptied(self.caches, self.model, self.history.tasks) if self.cached else None

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        if self.caches and self.caches[0].length == self.model.positions:
            self.caches = emptied(self.caches, self.model, self.history.tasks)
            begin = window_start(time, self.model.positions)
            remember(self.model, self.history.steps(self.history.episode, begin, time), self.caches)
        steps = self.history.window(time, 1 if self.cached else self.window)
        outputs: Tensor = self.model(steps.to(self.model.device), self.caches)[0]
        return self.model.head.logits(outputs[:, -1]).cpu()

    def finish(self) -> None:
        """See `Agent`."""


class AdAgent:
    """AD: its context is the end of the previous episode, then the current one.

    In the first episode there is no context. With a KV cache, the current episode then takes the positions of the context, where
    episodes also were in training. Without a cache, it follows a masked context, like first episodes of learning histories.
    """

    def __init__(self, model: DecisionTransformer, settings: Model, history: EpisodeBuffer):
        self.model, self.history, self.cached = model, history, can_cache(settings)
        self.window = min(settings.window, history.horizon)
        self.hidden = history.spec.actions if settings.past_actions == "hidden" else None
        self.caches: list[KVCache] | None = None

    def begin(self) -> None:
        """See `Agent`."""
        if self.cached:
            self.caches = self._context()

    def _seen(self, steps: Steps) -> Steps:
        """What the network sees of steps of the current episode."""
        return steps.without_actions(self.hidden) if self.hidden else steps

    def _context(self) -> list[KVCache]:
        """KV caches with the end of the previous episode; empty in the first episode."""
        caches = emptied(self.caches, self.model, self.history.tasks)
        if self.history.episode:
            steps = self.history.previous(self.window)
            if not bool(steps.mask.all()):
                capacity = caches[0].keys.shape[2]
                real = torch.ones(self.history.tasks, capacity, dtype=torch.bool, device=self.model.device)
                real[:, : self.window] = steps.mask
                for cache in caches:
                    cache.real = real
            remember(self.model, steps, caches)
        return caches

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        if self.caches and time >= self.window and time % (self.window // 2) == 0:
            self.caches = self._context()
            begin = window_start(time, self.window)
            remember(self.model, self._seen(self.history.steps(self.history.episode, begin, time)), self.caches)
        steps = self._seen(self.history.window(time, 1 if self.cached else self.window))
        if not self.cached:
            steps = concatenate([self.history.previous(self.window), steps], 1)
        outputs: Tensor = self.model(steps.to(self.model.device), self.caches)[0]
        return self.model.head.logits(outputs[:, -1]).cpu()

    def finish(self) -> None:
        """See `Agent`."""


class QueryEncoder(Protocol):
    """Makes the queries for a memory."""

    def begin(self) -> None:
        """Called before the first step of every episode."""

    def query(self, time: int) -> Tensor:
        """Query [B, W] of step `time`."""


class RetrievalAgent:
    """RA-DT: reads the best-ranked sub-trajectories of its memory by cross-attention.

    It uses a KV cache if a new context leaves earlier steps unchanged (`scope: segment`).
    """

    def __init__(
        self, model: RetrievalTransformer, cached: bool, query_encoder: QueryEncoder, memory: OnlineMemory, query_stride: int
    ):
        self.model, self.cached, self.query_encoder = model, cached, query_encoder
        self.memory, self.query_stride = memory, query_stride
        self.history = memory.history
        self.caches: list[KVCache] | None = None
        self.contexts: list[Steps] = []
        self.context_kvs: list[ContextKV | None] | None = None

    def begin(self) -> None:
        """See `Agent`."""
        self.query_encoder.begin()
        self.contexts = []
        self.memory.last = None
        self.caches = emptied(self.caches, self.model, self.history.tasks) if self.cached else None

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        if self.caches and self.caches[0].length == self.model.positions:
            self._go_on(time)
        if time % self.query_stride == 0 and self.memory.ready:
            context = self.memory.context(self.query_encoder.query(time))
            self.contexts = [*self.contexts, context][-max(1, self.model.positions // 2 // self.query_stride) :]
            context_kvs = self.model.read(context.to(self.model.device))
            self.context_kvs = [one and one.packed() for one in context_kvs] if self.cached else context_kvs
        steps = self.history.window(time, 1 if self.cached else self.model.positions)
        outputs: Tensor = self.model(steps.to(self.model.device), self.context_kvs, self.caches)
        return self.model.head.logits(outputs[:, -1]).cpu()

    def _go_on(self, time: int) -> None:
        """Begin a new window before step `time`: the steps of the last half window, each with the context that it has read."""
        self.caches = emptied(self.caches, self.model, self.history.tasks)
        steps = self.history.steps(self.history.episode, window_start(time, self.model.positions), time).to(self.model.device)
        for rows in groups(self.history.tasks):
            part = [context[rows].to(self.model.device) for context in self.contexts]
            context_kvs = self.model.read(concatenate(part, 1)) if part else None
            self.model(steps[rows], context_kvs, [cache.rows(rows) for cache in self.caches])
        advance(self.caches, steps)

    def finish(self) -> None:
        """See `Agent`."""
        self.memory.add(self.history.episode - 1)
