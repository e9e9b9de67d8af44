"""Keys and queries of the language encoder, which reads each window by itself.

The key of a chunk with anchor t and the query at step t are one vector: both read the c steps before t, all finished. At step 0,
the window of a query is the first observation alone. Published code: a query also sees the state at t; here: not, so that key and
query are equal. The vector of equal windows is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from radt.data.steps import Steps
from radt.data.windows import Episodes, Source
from radt.models.language import PADDING, LanguageEncoder, Text, distinct, unfinished
from radt.retrieval.chunks import anchors
from radt.settings.retrieval import Embed


def bounds(end: Tensor, length: Tensor, chunk_length: int) -> tuple[Tensor, Tensor]:
    """First steps and exclusive ends [...] of the windows before step `end` [...] of episodes of `length` [...] steps.

    For end 0 the window is the first step itself; for an end beyond the episode it is empty.
    """
    start = (end - chunk_length).clamp_min(0)
    return start, torch.where(end > length, start, end.clamp_min(1))


def windows_before(columns: Source, first: Tensor, length: Tensor, end: Tensor, chunk_length: int) -> Steps:
    """Windows [..., chunk_length] of the steps before step `end`, for `LanguageEncoder.vectors`.

    Args:
        columns: source of the steps.
        first: [...] row of the first step of each episode.
        length: [...] steps of the episode.
        end: [...] exclusive end, a step of the episode.
        chunk_length: most steps of a window.
    """
    start, stop = bounds(end, length, chunk_length)
    steps = columns.windows(first, first + start, first + stop, chunk_length)
    hidden, opening = unfinished(steps, columns.spec), (end == 0)[..., None]
    action = torch.where(opening[..., None], hidden.action, steps.action)
    reward = torch.where(opening, hidden.reward, steps.reward)
    return replace(steps, action=action, reward=reward)


@dataclass(frozen=True)
class Windows:
    """Keys and queries of learning histories as numbers of distinct windows."""

    codes: Text
    """[N + 1, chunk_length] codes of distinct windows (`LanguageEncoder.codes`); the last window is empty."""
    keys: Tensor
    """[K] window of each sub-trajectory, sorted by episode, then by anchor."""
    episode: Tensor
    """[K] episode of each sub-trajectory."""
    anchor: Tensor
    """[K] anchor of each sub-trajectory."""
    queries: Tensor
    """[E, S] window of each query; the empty window for queries beyond the end of the episode."""


def collect(encoder: LanguageEncoder, episodes: Episodes, settings: Embed, horizon: int) -> Windows:
    """Windows of all sub-trajectories, and of queries every `embed.query_stride` steps up to `horizon`."""
    start = torch.arange(0, horizon, settings.query_stride) if settings.query_stride else torch.zeros(0, dtype=torch.long)
    parts: list[Text] = []
    tables, total = [], 0
    for batch in torch.arange(len(episodes.length)).split(settings.batch_size):
        first, length = episodes.first[batch], episodes.length[batch]
        anchor = anchors(length, settings.chunk_length)
        ends = torch.cat([anchor, start.expand(len(batch), -1)], 1)
        codes = episode_codes(encoder, episodes.columns, first, length, ends, settings.chunk_length)
        windows, place = distinct(codes.reshape(-1, settings.chunk_length))
        of_end = torch.from_numpy(place + total).view(ends.shape)
        row, column = torch.nonzero(anchor, as_tuple=True)
        tables.append((batch[row], anchor[row, column], of_end[row, column], of_end[:, anchor.shape[1] :]))
        parts.append(windows)
        total += len(windows)
    episode, at, keys, queries = (torch.cat(column) for column in zip(*tables, strict=True))
    windows, place = distinct(np.concatenate(parts))
    rank = torch.from_numpy(place)
    queries = rank[queries].masked_fill(start >= episodes.length[:, None], len(windows))
    nothing = np.full_like(windows[:1], PADDING)
    return Windows(np.concatenate([windows, nothing]), rank[keys], episode, at, queries)


def embed_language(encoder: LanguageEncoder, episodes: Episodes, settings: Embed, horizon: int) -> dict[str, Tensor]:
    """Vectors of all sub-trajectories, sorted by episode, and of all queries of episodes of `horizon` steps.

    Returns:
        `keys` [K, W] float32, `episode` [K] and `anchor` [K] of all chunks; with `query_stride` also `queries` [E, S, W], zero
        beyond the end of an episode.
    """
    windows = collect(encoder, episodes, settings, horizon)
    count, queries = len(windows.codes) - 1, windows.queries.numel()
    print(f"{count} distinct windows in {len(windows.keys)} sub-trajectories and {queries} queries")
    vectors = encoder.embed(windows.codes)
    found = {"keys": vectors[windows.keys], "episode": windows.episode, "anchor": windows.anchor}
    return found | ({"queries": vectors[windows.queries]} if settings.query_stride else {})


def embed_episodes(encoder: LanguageEncoder, columns: Source, first: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Keys [B, S, W] and anchors [B, S] of all sub-trajectories of B episodes, as `radt.retrieval.chunks.embed_episodes`."""
    anchor = anchors(length, encoder.chunk_length)
    codes = episode_codes(encoder, columns, first, length, anchor, encoder.chunk_length)
    windows, place = distinct(codes.reshape(-1, encoder.chunk_length))
    return encoder.embed(windows)[place].view(*anchor.shape, -1), anchor


def episode_codes(
    encoder: LanguageEncoder, columns: Source, first: Tensor, length: Tensor, ends: Tensor, chunk_length: int
) -> Text:
    """Codes [B, S, chunk_length] of the windows of B episodes before steps `ends` [B, S]; see `windows_before`."""
    steps = columns.windows(first, first, first + length, int(length.max()))
    codes = encoder.codes(steps)
    start, stop = (x.numpy() for x in bounds(ends, length[:, None], chunk_length))
    step = start[..., None] + np.arange(chunk_length)
    windows: Text = codes[np.arange(len(codes))[:, None, None], step.clip(max=codes.shape[1] - 1)]
    windows[step >= stop[..., None]] = PADDING
    opening = encoder.codes(unfinished(steps[:, :1], columns.spec))
    windows[..., 0] = np.where(ends.numpy() == 0, opening, windows[..., 0])
    return windows


def encode_queries(
    encoder: LanguageEncoder, episodes: Episodes, chunk_length: int, steps: Steps, episode: Tensor, weight: Tensor
) -> Tensor:
    """Queries [B, W] at the end of [B, T] windows of `episode` [B]. `weight` is not used: this encoder has no query dropout."""
    last = steps.mask.sum(1, keepdim=True) - 1
    end = steps.time.gather(1, last)[:, 0] + 1
    first, length = episodes.first[episode], episodes.length[episode]
    return encoder.vectors(windows_before(episodes.columns, first, length, end, chunk_length))
