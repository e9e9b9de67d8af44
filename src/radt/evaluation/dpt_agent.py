"""The agent of DPT: its context is transitions of its own finished episodes, its query the present state."""

from __future__ import annotations

import torch
from torch import Tensor

from radt import seeding
from radt.data.episodes import EpisodeBuffer
from radt.data.transitions import Recollection, Transitions, reward_phase
from radt.evaluation.agents import groups
from radt.models.blocks import KVCache
from radt.models.decision_pretrained import DecisionPretrainedTransformer


class DptAgent:
    """DPT: an `Agent` whose context is encoded once per episode; each step is one query that reads it.

    The first episode has no context. Lee et al.: whole episodes are appended until the context is full; here: up to `context`
    transitions are drawn from all finished episodes, because training draws them so.
    """

    def __init__(
        self, model: DecisionPretrainedTransformer, context: int, recollection: Recollection, history: EpisodeBuffer, seed: int
    ):
        self.model, self.context, self.recollection, self.history, self.seed = model, context, recollection, history, seed
        self.memory: list[KVCache] = []
        self.read = torch.zeros(history.tasks, 1, dtype=torch.long)

    def begin(self) -> None:
        """See `Agent`."""
        transitions, number = self.choose()
        transitions = transitions.to(self.model.device)
        parts = [self.model.encode(transitions[rows], 1) for rows in groups(self.history.tasks)]
        self.memory = [
            KVCache(torch.cat([part.keys for part in block]), torch.cat([part.values for part in block]), block[0].length)
            for block in zip(*parts, strict=True)
        ]
        self.read = number[:, None].to(self.model.device)

    def choose(self) -> tuple[Transitions, Tensor]:
        """The context [B, C] of the current episode, and the number of real transitions in it [B]; C is at least 1."""
        return self.recollection.choose(self.context, seeding.generator(self.seed, "dpt context", self.history.episode))

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        step = self.history.window(time, 1)
        query = step.observation.to(self.model.device), reward_phase(self.history.spec, step.received).to(self.model.device)
        outputs: Tensor = self.model(*query, self.memory, self.read)
        return self.model.head.logits(outputs[:, -1]).cpu()

    def finish(self) -> None:
        """See `Agent`."""
        self.recollection.add(self.history.episode - 1)
