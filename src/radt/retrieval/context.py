"""Contexts of training windows, retrieved from the index of the training tasks (paper, Section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radt.data.steps import Steps
from radt.data.windows import Episodes
from radt.errors import RadtError
from radt.retrieval.chunks import contexts, segment_stops
from radt.retrieval.engines import in_float32
from radt.retrieval.index import ChunkIndex
from radt.retrieval.ranking import best, keep_nearest, utility
from radt.settings.retrieval import Embed, Retrieval

EncodeQueries = Callable[[Steps, Tensor, Tensor], Tensor]


def _check_fit(index: ChunkIndex, episodes: Episodes, queries: NDArray[np.float32] | None) -> None:
    """Raise `RadtError` unless index and queries belong to these episodes."""
    count = len(episodes.length)
    if int(index.episode[-1]) >= count or bool((index.anchor > episodes.length[index.episode]).any()):
        raise RadtError("the index holds sub-trajectories that the data do not have: run the embed and index stages again")
    if queries is not None and (len(queries) != count or queries.shape[-1] != index.keys.shape[-1] or not queries.shape[1]):
        raise RadtError(
            "the embeddings hold queries of other episodes than the data or of another size: run the embed stage again"
        )


class TrainingContexts:
    """Finds the context of every segment of a training window.

    Args:
        encode_queries: for scope `window`: queries [B, W] of [B, T] windows of `episode` [B], without the steps whose `weight`
            [B, T] is 0.
        index: keys and chunk table of the training tasks.
        episodes: the data to which the chunk table refers.
        settings: search and ranking.
        embed: steps of a chunk and between two queries.
        queries: for scope `segment`: [E, S, W] a query for each segment of each episode, from the embed stage.
        device: device of the torch engine.

    Raises `RadtError` when scope is `segment` and `queries` is None, or when index or queries do not fit the data.
    """

    BLOCK, SAMPLE = 8192, 64  # chunks read at once; queries from which the recall is estimated

    def __init__(
        self,
        encode_queries: EncodeQueries,
        index: ChunkIndex,
        episodes: Episodes,
        settings: Retrieval,
        embed: Embed,
        queries: NDArray[np.float32] | None = None,
        device: str = "cpu",
    ):
        if settings.scope == "segment" and queries is None:
            raise RadtError(
                "the embeddings hold no queries, which scope 'segment' needs: set embed.query_stride and run the embed stage"
            )
        _check_fit(index, episodes, queries)
        self.encode_queries, self.index, self.episodes, self.settings = encode_queries, index, episodes, settings
        self.chunk_length, self.query_stride = embed.chunk_length, embed.query_stride or 1
        self.embedded = queries if settings.scope == "segment" else None
        self.search = index.search(settings, device)
        self.task, self.returns = episodes.task[index.episode], episodes.returns[index.episode]
        self.reward = torch.cat([self.rewards(ids) for ids in torch.arange(len(index.anchor)).split(self.BLOCK)])

    @torch.no_grad()
    @in_float32()
    def __call__(self, steps: Steps, episode: Tensor, random: Callable[[str], np.random.Generator]) -> Steps:
        """Contexts [B, S, C] of [B, T] windows; the mask is all false where nothing was found.

        Args:
            steps: the windows.
            episode: [B] their episodes.
            random: from a purpose to its own generator, so that draws for one purpose do not shift those for another.
        """
        memory = self.memory(episode, random("memory age"))
        if self.settings.pool in ("task", "uniform"):
            segments = steps.mask.shape[1] // self.query_stride if self.embedded is not None else 1
            return self.values(*self.random_chunks(episode, memory, random("random chunks"), segments))
        queries, last = self.queries(steps, episode, random)
        chunk, found = self.rank(queries, episode, memory)
        if self.settings.random_before:
            early = steps.time.gather(1, last) < self.settings.random_before
            at_random, there = self.random_chunks(episode, memory, random("random chunks"), last.shape[1])
            chunk, found = (torch.where(early[..., None], *pair) for pair in ((at_random, chunk), (there, found)))
        return self.values(chunk, found)

    def rewards(self, chunk: Tensor) -> Tensor:
        """Sum of rewards [K] inside the chunks with ids [K]."""
        episode = self.index.episode[chunk]
        first, length = self.episodes.first[episode], self.episodes.length[episode]
        steps = contexts(self.episodes.columns, first, length, self.index.anchor[chunk], self.chunk_length, self.settings.values)
        return (steps.reward * steps.mask).sum(-1)

    def recall(self) -> float:
        """Recall of the search against exact search, on a sample of queries from all data; 1 where the search is exact.

        Without stored queries, keys are the queries; a key does not find itself.
        """
        vectors = self.index.keys if self.embedded is None else self.embedded.reshape(-1, self.embedded.shape[-1])
        sample = np.linspace(0, len(vectors) - 1, self.SAMPLE).astype(np.int64)
        own = sample if self.embedded is None else None
        return self.search.recall(np.ascontiguousarray(vectors[sample]), self.settings.k_search, own)

    def queries(self, steps: Steps, episode: Tensor, random: Callable[[str], np.random.Generator]) -> tuple[Tensor, Tensor]:
        """Queries [B, S, W] of the windows, and for each query the last step [B, S] of the window that it has seen."""
        if self.embedded is not None:
            last = segment_stops(steps.mask.shape[1], self.query_stride) - 1
            segment = (steps.time[:, :1] + last) // self.query_stride
            segment = segment.clamp_max(self.embedded.shape[1] - 1)  # padding of a last window may lie beyond the horizon
            return torch.from_numpy(self.embedded[episode.numpy()[:, None], segment.numpy()]), last.expand(len(episode), -1)
        stops = steps.mask.sum(1, keepdim=True)
        weight = steps.mask.float()
        if self.settings.query_dropout:
            weight = weight * torch.from_numpy(random("query dropout").random(weight.shape) >= self.settings.query_dropout)
        return self.encode_queries(steps, episode, weight)[:, None], stops - 1

    def memory(self, episode: Tensor, random: np.random.Generator) -> Tensor:
        """Exclusive upper episode index [B] of each window's memory; pool `all` holds every episode.

        The memory starts at the first episode of the learning history. Its end is uniform between the second episode and the
        window's own, so that windows of good episodes are also trained with the memory of a poor learner. Only first episodes
        have an empty memory.
        """
        if self.settings.pool != "earlier":
            return torch.full_like(episode, len(self.episodes.task))
        begin = self.episodes.first_of_history[episode]
        earlier = episode - begin
        return begin + torch.minimum((torch.from_numpy(random.random(len(episode))) * earlier).long() + 1, earlier)

    def pool(self, episode: Tensor, memory: Tensor) -> Tensor:
        """Range of chunks [2, B], first and exclusive end, of the history of `episode` [B] before episode `memory` [B].

        Chunks are sorted by episode, and the episodes of a history are consecutive.
        """
        begin = self.episodes.first_of_history[episode]
        return torch.searchsorted(self.index.episode, torch.stack([begin, memory]))

    def rank(self, queries: Tensor, episode: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Chunk ids [B, S, k_context] from before episode `memory` [B] for [B, S, W] queries of `episode` [B], and whether each
        was found."""
        if self.settings.pool == "all":
            near = self.search.nearest(queries.flatten(0, 1).numpy(), self.settings.k_search)
        else:
            first, stop = self.pool(episode, memory).repeat_interleave(queries.shape[1], 1).numpy()
            near = self.search.nearest_within(queries.flatten(0, 1).numpy(), self.settings.k_search, first, stop)
        similarity, ids = (torch.from_numpy(array) for array in near)
        chunk, found = self.choose(similarity, ids, episode.repeat_interleave(queries.shape[1]))
        return chunk.unflatten(0, queries.shape[:2]), found.unflatten(0, queries.shape[:2])

    def choose(self, similarity: Tensor, ids: Tensor, episode: Tensor) -> tuple[Tensor, Tensor]:
        """Re-rank [Q, K] candidates that pass `max_similarity` and belong to another episode; returns [Q, k_context] each."""
        near = (similarity > -torch.inf) & (similarity <= self.settings.max_similarity)
        valid = near & (self.index.episode[ids] != episode[:, None])
        valid = keep_nearest(similarity, valid, self.settings.k_rerank)
        score = utility(similarity, self.returns[ids], self.reward[ids], valid, self.settings)
        score = score + self.settings.weight_task * (self.task[ids] == self.episodes.task[episode][:, None])
        column, found = best(score, valid, self.settings.k_context)
        return ids.gather(1, column), found

    def random_chunks(self, episode: Tensor, memory: Tensor, random: np.random.Generator, segments: int) -> tuple[Tensor, Tensor]:
        """Random chunks [B, segments, k_context] of the task of `episode` [B] (pool `uniform`: of all tasks), from other episodes
        before `memory` [B], and whether any exist."""
        task = self.episodes.task[episode]
        begin, last = self.episodes.first_of_task[task], self.episodes.last_of_task[task]
        if self.settings.pool == "uniform":
            begin, last = torch.zeros_like(task), torch.full_like(task, len(self.episodes.task) - 1)
        stop = torch.minimum(last + 1, memory)
        ends = torch.stack([begin, stop, episode, episode + 1])
        first, stop, own, after = torch.searchsorted(self.index.episode, ends)[..., None, None]
        skipped = torch.where(own < stop, after - own, 0)
        count = stop - first - skipped
        draw = torch.from_numpy(random.random((len(episode), segments, self.settings.k_context)))
        chunk = first + (draw * count).long()
        chunk = torch.where(chunk >= own, chunk + skipped, chunk)
        return chunk.clamp_max(len(self.task) - 1), (count > 0).expand_as(chunk)

    def values(self, chunk: Tensor, found: Tensor) -> Steps:
        """Steps [B, S, k_context * 2 chunk_length] of chunk ids [B, S, k_context], concatenated in time."""
        episode = self.index.episode[chunk]
        first, length = self.episodes.first[episode], self.episodes.length[episode]
        steps = contexts(self.episodes.columns, first, length, self.index.anchor[chunk], self.chunk_length, self.settings.values)
        steps = replace(steps, mask=steps.mask & found[..., None])
        return steps.map(lambda x: x.flatten(2, 3))
