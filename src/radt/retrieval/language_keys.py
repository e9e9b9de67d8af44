"""Keys and queries of the language encoder, which reads each window by itself.

The window of a chunk with its anchor at step t, and that of a query at step t, are the same: the c steps before t, all finished.
At step 0, the window of a query is the first observation alone. So a key and the query at its anchor are one vector (ours: in the
published code a query also sees the state at t), and a vector is computed once for all windows that say the same.
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
    """First step, and step after the last, of the windows before step `end` of episodes of so many steps; all of one shape.

    Of the first step, which nothing is before, it is that step itself; behind the end of an episode, nothing.
    """
    start = (end - chunk_length).clamp_min(0)
    return start, torch.where(end > length, start, end.clamp_min(1))


def windows_before(columns: Source, first: Tensor, length: Tensor, end: Tensor, chunk_length: int) -> Steps:
    """Windows [..., chunk_length] for `LanguageEncoder.vectors`: what an agent knows of its last steps before step `end`.

    Args:
        columns: where the steps are.
        first: [...] row of the first step of each episode.
        length: [...] steps of the episode.
        end: [...] steps of the episode.
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
    """Keys and queries of learning histories by the distinct windows whose vectors they are."""

    codes: Text
    """[N + 1, chunk_length] distinct windows, as `LanguageEncoder.codes` writes them; the last has no steps."""
    keys: Tensor
    """[K] window of each sub-trajectory, by episode, then by anchor."""
    episode: Tensor
    """[K]"""
    anchor: Tensor
    """[K]"""
    queries: Tensor
    """[E, S] window of each query; of those behind the end of their episode, the one without steps."""


def collect(encoder: LanguageEncoder, episodes: Episodes, settings: Embed, horizon: int) -> Windows:
    """The windows of all sub-trajectories, and of queries at every `embed.query_stride` steps of `horizon` steps."""
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
    """Vectors of all sub-trajectories, in the order of the episodes, and of all queries of training windows of `horizon` steps.

    Returns:
        `keys` [K, W] float32, `episode` [K] and `anchor` [K] of all chunks; with `query_stride` also `queries` [E, S, W], zero
        behind the end of an episode.
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
    """Codes [B, S, chunk_length] of the windows of B episodes before `ends` [B, S]; see `windows_before`."""
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
    """Queries [B, W] at the end of [B, T] windows of `episode` [B]; steps cannot be left out, so `weight` does not matter."""
    last = steps.mask.sum(1, keepdim=True) - 1
    end = steps.time.gather(1, last)[:, 0] + 1
    first, length = episodes.first[episode], episodes.length[episode]
    return encoder.vectors(windows_before(episodes.columns, first, length, end, chunk_length))
