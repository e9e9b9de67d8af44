"""RA-DT's memory in evaluation: empty at first, it receives every finished episode (paper, Section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from radt.data.episodes import EpisodeBuffer
from radt.data.steps import Steps
from radt.data.windows import Source
from radt.errors import RadtError
from radt.retrieval.chunks import contexts, halves
from radt.retrieval.ranking import best, keep_nearest, utility
from radt.settings.evaluation import Memory
from radt.settings.retrieval import Values

GROUP = 10
"""Tasks whose steps are encoded at once: activations then stay in the cache of a core (an episode of 100 tasks takes 75 ms
instead of 110 on one core of a Xeon, width 64)."""


@dataclass(frozen=True)
class Ranked:
    """The chunks [B, K] of a context, best first."""

    chunk: Tensor
    """[B, K] ids"""
    found: Tensor
    """[B, K] bool; false where the memory has fewer chunks"""
    similarity: Tensor
    """[B, K] cosine of key and query"""
    score: Tensor
    """[B, K] ranking score"""


EmbedEpisodes = Callable[[Source, Tensor, Tensor], tuple[Tensor, Tensor]]


def finite(vectors: Tensor) -> None:
    """Raise `RadtError` unless the vectors of an encoder are finite."""
    if not bool(vectors.isfinite().all()):
        raise RadtError(
            "the encoder makes keys or queries that are not finite numbers: train it again with a lower learning_rate"
        )


class OnlineMemory:
    """Sub-trajectories of the agent's own episodes, a separate memory for each of B tasks.

    Args:
        embed: from the source of steps, first rows [B] and lengths [B] of episodes to keys [B, S, W] and anchors [B, S]; the
            encoder of the training data.
        history: the episodes.
        settings: ranking.
        chunk_length: steps of a chunk.
        count: chunks in a context.
        shown: steps of a chunk that are read (`Retrieval.values`).
    """

    def __init__(
        self,
        embed: EmbedEpisodes,
        history: EpisodeBuffer,
        settings: Memory,
        chunk_length: int,
        count: int,
        shown: Values = "around",
    ):
        self.embed, self.history, self.settings = embed, history, settings
        self.chunk_length, self.count, self.shown = chunk_length, count, shown
        self.keys = torch.zeros(history.tasks, 0, 0)
        self.episode = torch.zeros(0, dtype=torch.long)
        self.anchor = torch.zeros(history.tasks, 0, dtype=torch.long)
        self.reward = torch.zeros(history.tasks, 0)
        self.last: Ranked | None = None
        """Result of the last call of `rank` for a context."""

    def add(self, episode: int) -> None:
        """Insert the chunks of a finished episode of every task; tasks with fewer chunks are padded with anchor 0.

        Raises `RadtError` when a key is not finite.
        """
        history, parts = self.history, []
        for rows in torch.arange(history.tasks).split(GROUP):
            first, length = history.first(episode)[rows], history.lengths[rows, episode]
            parts.append(self.embed(history.columns, first, length))
        for keys, _ in parts:
            finite(keys)
        count = max(anchor.shape[1] for _, anchor in parts)
        keys, anchor = (
            torch.cat([F.pad(part, (*[0, 0] * (part.dim() - 2), 0, count - part.shape[1])) for part in column])
            for column in zip(*parts, strict=True)
        )
        self.keys = torch.cat([self.keys, keys], 1) if self.anchor.shape[1] else keys
        self.anchor = torch.cat([self.anchor, anchor], 1)
        self.episode = torch.cat([self.episode, torch.full((count,), episode)])
        values = self.values(torch.arange(self.anchor.shape[1] - count, self.anchor.shape[1]).expand(history.tasks, -1))
        self.reward = torch.cat([self.reward, (values.reward * values.mask).sum(-1)], 1)

    def rank(self, queries: Tensor) -> Ranked:
        """The best chunks for queries [B, W]; see `radt.retrieval.ranking`."""
        similarity = torch.einsum("bmw,bw->bm", self.keys, queries)
        valid = keep_nearest(similarity, self.anchor > 0, self.settings.k_rerank)
        score = utility(similarity, self.history.totals[:, self.episode], self.reward, valid, self.settings)
        chunk, found = best(score, valid, self.count)
        return Ranked(chunk, found, similarity.gather(1, chunk), score.gather(1, chunk))

    def values(self, chunk: Tensor) -> Steps:
        """Steps [B, K, 2 chunk_length] of chunk ids [B, K]."""
        episode = self.episode[chunk]
        first, length = self.history.first(episode), self.history.lengths.gather(1, episode)
        return contexts(self.history.columns, first, length, self.anchor.gather(1, chunk), self.chunk_length, self.shown)

    def parts(self, ranked: Ranked) -> tuple[Tensor, ...]:
        """What is read of ranked chunks: episode, first step, end, similarity, score, return of the episode; whether it is there.

        Each is [B, 2 K]: of the two halves of each of K chunks. Halves that follow each other are one part, and the second is not
        there.
        """
        episode = self.episode[ranked.chunk]
        row, length = self.history.first(episode), self.history.lengths.gather(1, episode)
        anchor = self.anchor.gather(1, ranked.chunk)
        first, end = halves(self.history.columns, row, length, anchor, self.chunk_length, self.shown)  # [B, K, 2]
        joined = end[..., 0] == first[..., 1]
        end = torch.stack([torch.where(joined, end[..., 1], end[..., 0]), end[..., 1]], -1)
        there = torch.stack([ranked.found, ranked.found & ~joined], -1) & (end > first)
        of_chunks = (
            one[..., None].expand_as(there) for one in (ranked.similarity, ranked.score, self.history.totals.gather(1, episode))
        )
        columns = (episode[..., None].expand_as(there), first, end, *of_chunks, there)
        return tuple(column.flatten(1) for column in columns)

    @property
    def ready(self) -> bool:
        """Whether the memory has enough chunks for a context."""
        return self.anchor.shape[1] >= self.count

    def context(self, queries: Tensor) -> Steps:
        """Contexts [B, 1, C] for queries [B, W]; the memory must be `ready`.

        Raises `RadtError` when a query is not finite.
        """
        finite(queries)
        self.last = self.rank(queries)
        steps = self.values(self.last.chunk)
        return replace(steps, mask=steps.mask & self.last.found[..., None]).map(lambda x: x.flatten(1, 2)[:, None])
