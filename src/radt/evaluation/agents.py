"""How each kind of model acts in context. An agent gives the action logits [B, A] of the current step of B tasks.

Where the window holds a whole episode and a step is one token, keys and values of earlier steps are kept (the same logits as
reading the window anew, up to rounding); else the window is read anew at every step, as published.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from radt.data.steps import Steps, concatenate
from radt.evaluation.history import History
from radt.evaluation.memory import GROUP, OnlineMemory
from radt.models.blocks import KeyValues, Reading
from radt.models.decision_transformer import DecisionTransformer
from radt.models.retrieval_transformer import RetrievalTransformer
from radt.retrieval.chunks import window_means
from radt.settings import Model


class Agent(Protocol):
    """One model acting on all tasks of a `History`."""

    def begin(self) -> None:
        """Called before the first step of every episode."""

    def logits(self, time: int) -> Tensor:
        """Action logits [B, A] of step `time`, called for every step in order."""

    def finish(self) -> None:
        """Called after the history ended an episode."""


def keeps(model: Model, horizon: int) -> bool:
    """Whether keys and values of earlier steps can be kept."""
    return model.tokens == "step" and model.window >= horizon


def groups(tasks: int) -> list[slice]:
    """Rows of the tasks that are read at once."""
    return [slice(first, first + GROUP) for first in range(0, tasks, GROUP)]


def advance(caches: list[KeyValues], steps: Steps) -> None:
    """Tell caches, whose rows were filled in groups, of [B, T] steps."""
    for cache in caches:
        cache.length += steps.time.shape[1]


def emptied(caches: list[KeyValues] | None, model: DecisionTransformer | RetrievalTransformer, tasks: int) -> list[KeyValues]:
    """Empty caches for a new episode: the memory of the last ones, where there are any."""
    for cache in caches or ():
        cache.length = 0
    return caches or model.new_caches(tasks)


class DtAgent:
    """DT: starts afresh in every episode."""

    def __init__(self, model: DecisionTransformer, settings: Model, history: History):
        self.model, self.window, self.history = model, settings.window, history
        self.keep = keeps(settings, history.horizon)
        self.caches: list[KeyValues] | None = None

    def begin(self) -> None:
        """See `Agent`."""
        self.caches = emptied(self.caches, self.model, self.history.tasks) if self.keep else None

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        steps = self.history.window(time, 1 if self.keep else self.window)
        logits: Tensor = self.model(steps.to(self.model.device), self.caches)[0]
        return logits[:, -1].cpu()

    def finish(self) -> None:
        """See `Agent`."""


class AdAgent:
    """AD: the previous episode stays in the context. A first episode that is kept takes the place of the context, where training
    saw whole episodes, too; one that is read anew follows an empty context, as the first episodes of the learning histories do.
    """

    def __init__(self, model: DecisionTransformer, settings: Model, history: History):
        self.model, self.window, self.history = model, settings.window, history
        self.keep = keeps(settings, history.horizon)
        self.caches: list[KeyValues] | None = None

    def begin(self) -> None:
        """See `Agent`."""
        if self.keep:
            self.caches = emptied(self.caches, self.model, self.history.tasks)
            if self.history.episode:
                steps = self.history.previous(self.window).to(self.model.device)
                for rows in groups(self.history.tasks):
                    self.model.remember(steps[rows], [cache.rows(rows) for cache in self.caches])
                advance(self.caches, steps)

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        steps = self.history.window(time, 1 if self.keep else self.window)
        if not self.keep:
            steps = concatenate([self.history.previous(self.window), steps], 1)
        logits: Tensor = self.model(steps.to(self.model.device), self.caches)[0]
        return logits[:, -1].cpu()

    def finish(self) -> None:
        """See `Agent`."""


class Queries:
    """What the memory is asked: the encoder's outputs over the last `chunk` steps of the current episode.

    Nothing is read until a query is asked for; then, where keys and values are kept, all steps since the last one at once.
    """

    def __init__(self, encoder: DecisionTransformer, settings: Model, history: History, chunk: int):
        self.encoder, self.window, self.history, self.chunk = encoder, settings.window, history, chunk
        self.keep = keeps(settings, history.horizon)
        self.caches: list[KeyValues] | None = None
        self.outputs = torch.zeros(0)

    def begin(self) -> None:
        """Called before the first step of every episode."""
        self.caches = emptied(self.caches, self.encoder, self.history.tasks) if self.keep else None
        self.outputs = torch.zeros(self.history.tasks, 0, self.encoder.norm.weight.shape[0])

    def ask(self, time: int) -> Tensor:
        """Query [B, W] of step `time`, after that of an earlier step."""
        seen = self.caches[0].length if self.caches else 0
        steps = self.history.window(time, time + 1 - seen if self.keep else self.window).to(self.encoder.device)
        parts = []
        for rows in groups(self.history.tasks):
            caches = [cache.rows(rows) for cache in self.caches] if self.caches else None
            parts.append(self.encoder(steps[rows], caches)[1].float().cpu())
        outputs = torch.cat(parts)
        if self.caches:
            advance(self.caches, steps)
            outputs = torch.cat([self.outputs, outputs], 1)[:, -self.chunk :]
        self.outputs = outputs
        stop = torch.full((len(self.outputs), 1), self.outputs.shape[1])
        return window_means(self.outputs, torch.ones(self.outputs.shape[:2]), stop, self.chunk)[:, 0]


class RetrievalAgent:
    """RA-DT: reads what its memory holds that is most like the present and returned most.

    Keys and values are kept where each step has read the context of its own time (`scope: segment`).
    """

    def __init__(self, model: RetrievalTransformer, keep: bool, queries: Queries, memory: OnlineMemory, every: int):
        self.model, self.keep, self.queries, self.memory, self.every = model, keep, queries, memory, every
        self.history = memory.history
        self.caches: list[KeyValues] | None = None
        self.readings: list[Reading | None] | None = None

    def begin(self) -> None:
        """See `Agent`."""
        self.queries.begin()
        self.caches = emptied(self.caches, self.model, self.history.tasks) if self.keep else None

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        if time % self.every == 0 and self.memory.ready:
            context = self.memory.context(self.queries.ask(time))
            readings = self.model.read(context.to(self.model.device))
            self.readings = [reading and reading.packed() for reading in readings] if self.keep else readings
        steps = self.history.window(time, 1 if self.keep else self.model.positions)
        logits: Tensor = self.model(steps.to(self.model.device), self.readings, self.caches)
        return logits[:, -1].cpu()

    def finish(self) -> None:
        """See `Agent`."""
        self.memory.add(self.history.episode - 1)
