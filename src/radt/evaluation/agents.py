"""How each kind of model acts in context. An agent gives the action logits [B, A] of the current step of B tasks.

Where the window holds a whole episode and a step is one token, keys and values of earlier steps are kept (the same logits as
reading the window anew, up to rounding); else the window is read anew at every step, as published.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from radt.data.steps import concatenate
from radt.evaluation.history import History
from radt.evaluation.memory import OnlineMemory
from radt.models.blocks import KeyValues, Reading
from radt.models.decision_transformer import DecisionTransformer
from radt.models.retrieval_transformer import RetrievalTransformer
from radt.retrieval.chunks import window_means
from radt.settings import Model, TrainRetrieval


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


class DtAgent:
    """DT: starts afresh in every episode."""

    def __init__(self, model: DecisionTransformer, settings: Model, history: History):
        self.model, self.window, self.history = model, settings.window, history
        self.keep = keeps(settings, history.horizon)
        self.caches: list[KeyValues] | None = None

    def begin(self) -> None:
        """See `Agent`."""
        self.caches = self.model.new_caches(self.history.tasks) if self.keep else None

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        return self.read(time)[0][:, -1]

    def read(self, time: int) -> tuple[Tensor, Tensor]:
        """Logits and state outputs [B, T, ...] of the new step (kept) or of the window up to it (read anew)."""
        steps = self.history.window(time, 1 if self.keep else self.window)
        logits, outputs = self.model(steps.to(self.model.device), self.caches)
        return logits.cpu(), outputs.float().cpu()

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
            self.caches = self.model.new_caches(self.history.tasks)
            if self.history.episode:
                self.model(self.history.previous(self.window).to(self.model.device), self.caches)

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        steps = self.history.window(time, 1 if self.keep else self.window)
        if not self.keep:
            steps = concatenate([self.history.previous(self.window), steps], 1)
        logits: Tensor = self.model(steps.to(self.model.device), self.caches)[0]
        return logits[:, -1].cpu()

    def finish(self) -> None:
        """See `Agent`."""


class RetrievalAgent:
    """RA-DT: reads what its memory holds that is most like the present and returned most."""

    def __init__(
        self,
        model: RetrievalTransformer,
        settings: TrainRetrieval,
        encoder: DtAgent,
        memory: OnlineMemory,
        every: int,
    ):
        self.model, self.window, self.history = model, settings.model.window, encoder.history
        self.encoder, self.memory, self.every = encoder, memory, every
        self.keep = settings.retrieval.scope == "segment"  # each step has read the context of its own time
        self.caches: list[KeyValues] | None = None
        self.outputs: list[Tensor] = []
        self.readings: list[Reading | None] | None = None

    def begin(self) -> None:
        """See `Agent`."""
        self.encoder.begin()
        self.caches = self.model.new_caches(self.history.tasks) if self.keep else None
        self.outputs = []

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        asks = time % self.every == 0
        if self.encoder.keep or asks:
            outputs = self.encoder.read(time)[1]
            self.outputs = [*self.outputs[-(self.memory.chunk - 1) :], outputs] if self.encoder.keep else [outputs]
        if asks:
            context = self.memory.context(self.query())
            self.readings = self.model.read(context.to(self.model.device)) if context else None
        steps = self.history.window(time, 1 if self.keep else self.window)
        logits: Tensor = self.model(steps.to(self.model.device), self.readings, self.caches)
        return logits[:, -1].cpu()

    def query(self) -> Tensor:
        """Query [B, W] of the current step."""
        outputs = torch.cat(self.outputs, 1)
        stop = torch.full((len(outputs), 1), outputs.shape[1])
        return window_means(outputs, torch.ones(outputs.shape[:2]), stop, self.memory.chunk)[:, 0]

    def finish(self) -> None:
        """See `Agent`."""
        self.memory.add(self.history.episode - 1)
