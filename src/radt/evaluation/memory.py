"""RA-DT's memory: starts empty for each task and receives every finished episode (paper, Section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from radt.data.steps import Steps
from radt.evaluation.history import History
from radt.models.decision_transformer import DecisionTransformer
from radt.retrieval.chunks import contexts, embed_episodes
from radt.retrieval.ranking import best, keep_nearest, utility
from radt.settings import Memory

GROUP = 10
"""Tasks whose steps are read at once, where many steps are: what lies between two layers then stays in the cache of a core (an
episode of 100 tasks: 75 ms instead of 110; one core of a Xeon, width 64)."""


class OnlineMemory:
    """Sub-trajectories of the agent's own episodes of B tasks, one separate memory per task.

    Args:
        encoder: the frozen DT that also embedded the training data.
        history: the episodes.
        settings: ranking.
        chunk: steps of a chunk.
        count: chunks in a context.
    """

    def __init__(self, encoder: DecisionTransformer, history: History, settings: Memory, chunk: int, count: int):
        self.encoder, self.history, self.settings, self.chunk, self.count = encoder, history, settings, chunk, count
        self.keys = torch.zeros(history.tasks, 0, encoder.norm.weight.shape[0])
        self.episode = torch.zeros(0, dtype=torch.long)
        self.anchor = torch.zeros(0, dtype=torch.long)
        self.reward = torch.zeros(history.tasks, 0)

    def add(self, episode: int) -> None:
        """Insert the chunks of a finished episode of every task."""
        history = self.history
        parts = []
        for first in history.first(episode).split(GROUP):
            length = torch.full_like(first, history.horizon)
            keys, _, anchor = embed_episodes(self.encoder, history.columns, first, length, self.chunk)
            parts.append(keys.unflatten(0, (len(first), -1)))
        anchor = anchor[: parts[0].shape[1]]
        self.keys = torch.cat([self.keys, torch.cat(parts)], 1)
        self.episode = torch.cat([self.episode, torch.full_like(anchor, episode)])
        self.anchor = torch.cat([self.anchor, anchor])
        values = self.values(torch.arange(len(self.anchor) - len(anchor), len(self.anchor)).expand(history.tasks, -1))
        self.reward = torch.cat([self.reward, (values.reward * values.mask).sum(-1)], 1)

    def rank(self, queries: Tensor) -> Tensor:
        """Ids [B, count] of the best chunks for the queries [B, W]; needs at least `count` chunks."""
        similarity = torch.einsum("bmw,bw->bm", self.keys, queries)
        valid = keep_nearest(similarity, torch.ones_like(similarity, dtype=torch.bool), self.settings.keep)
        score = utility(similarity, self.history.totals[:, self.episode], self.reward, valid, self.settings)
        return best(score, valid, self.count)[0]

    def values(self, chunk: Tensor) -> Steps:
        """Steps [B, K, 2 chunk] of chunk ids [B, K]."""
        first = self.history.first(self.episode[chunk])
        length = torch.full_like(first, self.history.horizon)
        return contexts(self.history.columns, first, length, self.anchor[chunk], self.chunk)

    @property
    def ready(self) -> bool:
        """Whether there are enough chunks for a context."""
        return len(self.anchor) >= self.count

    def context(self, queries: Tensor) -> Steps:
        """Contexts [B, 1, C] for the queries [B, W]; needs a memory that is `ready`."""
        return self.values(self.rank(queries)).map(lambda x: x.flatten(1, 2)[:, None])
