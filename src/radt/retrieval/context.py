"""Contexts of training windows, retrieved from the index of the training tasks (paper, Section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from radt.data.steps import Steps
from radt.data.windows import Episodes
from radt.models.decision_transformer import DecisionTransformer
from radt.retrieval.chunks import contexts, state_outputs, window_means
from radt.retrieval.index import ChunkIndex
from radt.retrieval.ranking import best, keep_nearest, utility
from radt.settings import Retrieval


def query_stops(mask: Tensor, settings: Retrieval) -> Tensor:
    """Positions [B, S] where queries end (exclusive) in [B, T] windows: after the first step of each segment, or at the end."""
    window = mask.shape[1]
    if settings.scope == "window":
        return mask.sum(1, keepdim=True)
    return (torch.arange(0, window, settings.every) + 1).expand(len(mask), -1)


class TrainingContexts:
    """Finds the context of every segment of a training window.

    Args:
        encoder: the frozen DT.
        index: keys and chunk table of the training tasks.
        episodes: the data that the chunk table points into.
        settings: search and ranking.
        chunk: steps of a chunk.
    """

    def __init__(self, encoder: DecisionTransformer, index: ChunkIndex, episodes: Episodes, settings: Retrieval, chunk: int):
        self.encoder, self.index, self.episodes, self.settings, self.chunk = encoder, index, episodes, settings, chunk
        self.search = index.search(settings.engine, encoder.device)
        first, length = episodes.first[index.episode], episodes.length[index.episode]
        values = contexts(episodes.columns, first, length, index.anchor, chunk)
        self.task, self.returns = episodes.task[index.episode], episodes.columns.returns[first]
        self.reward = (values.reward * values.mask).sum(-1)

    @torch.no_grad()
    def __call__(self, steps: Steps, episode: Tensor, random: Callable[[str], np.random.Generator]) -> Steps:
        """Contexts [B, S, C] of [B, T] windows; the mask is all false where nothing was found.

        Args:
            steps: the windows.
            episode: [B] their episodes.
            random: purpose to generator, so that one kind of chance does not shift another.
        """
        stops = query_stops(steps.mask, self.settings)
        weight = steps.mask.float()
        if self.settings.query_dropout:
            weight = weight * torch.from_numpy(random("query dropout").random(weight.shape) >= self.settings.query_dropout)
        outputs = state_outputs(self.encoder, steps)
        queries = window_means(outputs, weight.float(), stops, self.chunk).flatten(0, 1)
        owner = episode.repeat_interleave(stops.shape[1])
        memory = self.memory(episode, random("memory age")).repeat_interleave(stops.shape[1])
        chunk, found = self.rank(queries, owner, memory)
        early = steps.time.gather(1, stops - 1).flatten() < self.settings.random_before
        chunk[early], found[early] = self.random_chunks(owner[early], memory[early], random("random chunks"))
        return self.values(chunk, found).map(lambda x: x.unflatten(0, stops.shape))

    def memory(self, episode: Tensor, random: np.random.Generator) -> Tensor:
        """First episode [B] that the memory of each window does not hold any more; pool `all` holds all.

        Uniform between the first episode of the learning history and the window's own: good windows also meet the memory of a
        poor learner, as an agent does right after it has found the goal by chance.
        """
        if self.settings.pool != "earlier":
            return torch.full_like(episode, len(self.episodes.task))
        begin = self.episodes.first_of_task[self.episodes.task[episode]]
        return begin + (torch.from_numpy(random.random(len(episode))) * (episode - begin + 1)).long()

    def pool(self, episode: Tensor, memory: Tensor) -> Tensor:
        """First chunk and the one after the last [Q, 2] that may be a context of `episode` [Q]; see `Retrieval.pool`.

        Chunks are in the order of the episodes, and the episodes of a task follow each other.
        """
        if self.settings.pool == "all":
            return torch.tensor([0, len(self.task)]).expand(len(episode), -1)
        begin = self.episodes.first_of_task[self.episodes.task[episode]]
        return torch.searchsorted(self.index.episode, torch.stack([begin, memory], -1))

    def rank(self, queries: Tensor, episode: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Chunk ids [Q, chunks] for [Q, W] queries of `episode` [Q], from before `memory` [Q], and which were found."""
        chunk = torch.zeros(len(queries), self.settings.chunks, dtype=torch.long)
        found = torch.zeros_like(chunk, dtype=torch.bool)
        pools, member = self.pool(episode, memory).unique(dim=0, return_inverse=True)
        for number, (first, stop) in enumerate(pools.tolist()):
            rows = torch.nonzero(member == number)[:, 0]
            near = self.search.nearest(queries[rows].numpy(), self.settings.candidates, first, stop)
            similarity, ids = (torch.from_numpy(array) for array in near)
            if ids.shape[1] >= self.settings.chunks:
                chunk[rows], found[rows] = self.choose(similarity, ids, episode[rows])
        return chunk, found

    def choose(self, similarity: Tensor, ids: Tensor, episode: Tensor) -> tuple[Tensor, Tensor]:
        """Of [Q, K] candidates, those that pass the cut-off and are of another trajectory, re-ranked; see `rank`."""
        valid = (similarity <= self.settings.cutoff) & (self.index.episode[ids] != episode[:, None])
        valid = keep_nearest(similarity, valid, self.settings.keep)
        score = utility(similarity, self.returns[ids], self.reward[ids], valid, self.settings)
        score = score + self.settings.weight_task * (self.task[ids] == self.episodes.task[episode][:, None])
        column, found = best(score, valid, self.settings.chunks)
        return ids.gather(1, column), found

    def random_chunks(self, episode: Tensor, memory: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Random chunks [Q, chunks] of the task of `episode` [Q], of other episodes before `memory` [Q], and which there are."""
        task = self.episodes.task[episode]
        stop = torch.minimum(self.episodes.last_of_task[task] + 1, memory)
        ends = torch.stack([self.episodes.first_of_task[task], stop, episode, episode + 1], -1)
        first, stop, own, after = torch.searchsorted(self.index.episode, ends).unbind(-1)
        skipped = torch.where(own < stop, after - own, 0)
        count = stop - first - skipped
        draw = torch.from_numpy(random.random((len(episode), self.settings.chunks)))
        chunk = first[:, None] + (draw * count[:, None]).long()
        chunk = torch.where(chunk >= own[:, None], chunk + skipped[:, None], chunk)
        return chunk.clamp_max(len(self.task) - 1), (count > 0)[:, None].expand_as(chunk)

    def values(self, chunk: Tensor, found: Tensor) -> Steps:
        """Steps [Q, chunks * 2 chunk] of chunk ids [Q, chunks], joined in time."""
        episode = self.index.episode[chunk]
        first, length = self.episodes.first[episode], self.episodes.length[episode]
        steps = contexts(self.episodes.columns, first, length, self.index.anchor[chunk], self.chunk)
        steps = replace(steps, mask=steps.mask & found[..., None])
        return steps.map(lambda x: x.flatten(1, 2))
