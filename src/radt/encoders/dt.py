"""The pre-trained Decision Transformer as encoder: a vector is the mean of its outputs at the states of a sub-trajectory."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from radt.data.episodes import EpisodeBuffer
from radt.data.steps import Steps
from radt.data.windows import Episodes
from radt.evaluation.agents import QueryEncoder, advance, can_cache, emptied, groups, remember
from radt.evaluation.memory import EmbedEpisodes
from radt.models import store
from radt.models.blocks import KVCache
from radt.models.decision_transformer import DecisionTransformer
from radt.retrieval.chunks import (
    anchors,
    embed_episodes,
    encode_queries,
    episode_vectors,
    segment_stops,
    window_means,
    window_start,
)
from radt.retrieval.context import EncodeQueries
from radt.retrieval.source import EncoderSource
from radt.settings.models import Model
from radt.settings.retrieval import Embed


def vectors(source: EncoderSource, episodes: Episodes) -> tuple[dict[str, Tensor], str]:
    """See `embed_all`."""
    encoder, _, identity = store.read_dt(source.weights(), source.suite, source.embed.aggregate)
    return embed_all(encoder.to(source.device), episodes, source.embed, source.suite.spec.horizon), identity


def training_queries(source: EncoderSource, episodes: Episodes) -> tuple[EncodeQueries, str]:
    """See `radt.retrieval.chunks.encode_queries`; `episodes` is not used."""
    encoder, _, identity = store.read_dt(source.weights(), source.suite, source.embed.aggregate)
    return partial(encode_queries, encoder.to(source.device), source.embed.chunk_length), identity


def acting(source: EncoderSource, history: EpisodeBuffer) -> tuple[EmbedEpisodes, QueryEncoder, str]:
    """See `radt.retrieval.chunks.embed_episodes` and `DtQueryEncoder`."""
    encoder, training, identity = store.read_dt(source.weights(), source.suite, source.embed.aggregate)
    encoder.to(source.device)
    chunk_length = source.embed.chunk_length
    keys = partial(embed_episodes, encoder, chunk_length)
    return keys, DtQueryEncoder(encoder, training.model, history, chunk_length), identity


def embed_all(encoder: DecisionTransformer, episodes: Episodes, settings: Embed, horizon: int) -> dict[str, Tensor]:
    """Vectors of all sub-trajectories, sorted by episode, and of all queries of episodes of `horizon` steps.

    Returns:
        `keys` [K, W] float32, `episode` [K] and `anchor` [K] of all chunks; with `query_stride` also `queries` [E, S, W].
    """
    stops = segment_stops(horizon, settings.query_stride) if settings.query_stride else torch.zeros(0, dtype=torch.long)
    found: dict[str, list[Tensor]] = {name: [] for name in ("keys", "episode", "anchor", "queries")}
    order = episodes.length.argsort(stable=True)  # batches of similar lengths: mazes would be padded fourfold otherwise
    for batch in order.split(settings.batch_size):
        first, length = episodes.first[batch], episodes.length[batch]
        anchor = anchors(length, settings.chunk_length)
        ends = torch.cat([anchor, stops.expand(len(batch), -1)], 1)
        vectors = episode_vectors(encoder, episodes.columns, first, length, ends, settings.chunk_length)
        row, column = torch.nonzero(anchor, as_tuple=True)
        count = anchor.shape[1]
        for name, value in (
            ("keys", vectors[row, column]),
            ("episode", batch[row]),
            ("anchor", anchor[row, column]),
            ("queries", vectors[:, count:].clone()),
        ):
            found[name].append(value)
    joined = {name: torch.cat(found.pop(name)) for name in list(found)}
    queries, by_episode = joined.pop("queries")[order.argsort()], joined["episode"].argsort(stable=True)
    return {name: part[by_episode] for name, part in joined.items()} | ({"queries": queries} if len(stops) else {})


class DtQueryEncoder:
    """Queries of the DT: means of the encoder's outputs over the last `chunk_length` steps of the current episode.

    Steps are encoded when a query is asked for; with a KV cache, all steps since the last query at once.
    """

    def __init__(self, encoder: DecisionTransformer, settings: Model, history: EpisodeBuffer, chunk_length: int):
        self.encoder, self.window, self.history, self.chunk_length = encoder, settings.window, history, chunk_length
        self.cached = can_cache(settings)
        self.caches: list[KVCache] | None = None
        self.begun, self.outputs = 0, torch.zeros(0)

    def begin(self) -> None:
        """Called before the first step of every episode."""
        self.caches = emptied(self.caches, self.encoder, self.history.tasks) if self.cached else None
        self.begun, self.outputs = 0, torch.zeros(self.history.tasks, 0, self.encoder.norm.weight.shape[0])

    def query(self, time: int) -> Tensor:
        """Query [B, W] of step `time`; calls must have rising times."""
        if self.caches:
            while (read := self.begun + self.caches[0].length) <= time:
                if self.caches[0].length == self.encoder.positions:
                    self.caches = emptied(self.caches, self.encoder, self.history.tasks)
                    self.begun = window_start(read, self.encoder.positions)
                    remember(self.encoder, self.history.steps(self.history.episode, self.begun, read), self.caches)
                stop = min(time + 1, self.begun + self.encoder.positions)
                outputs = self._read(self.history.steps(self.history.episode, read, stop))
                self.outputs = torch.cat([self.outputs, outputs], 1)[:, -self.chunk_length :]
        else:
            self.outputs = self._read(self.history.window(time, self.window))
        stop_at = torch.full((len(self.outputs), 1), self.outputs.shape[1])
        averaged = self.encoder.averaged(self.chunk_length)
        return window_means(self.outputs, torch.ones(self.outputs.shape[:2]), stop_at, averaged)[:, 0]

    def _read(self, steps: Steps) -> Tensor:
        """State outputs [B, T, W] of [B, T] steps, computed for one group of tasks at a time."""
        steps, parts = steps.to(self.encoder.device), []
        for rows in groups(self.history.tasks):
            caches = [cache.rows(rows) for cache in self.caches] if self.caches else None
            parts.append(self.encoder(steps[rows], caches)[1].float().cpu())
        if self.caches:
            advance(self.caches, steps)
        return torch.cat(parts)
