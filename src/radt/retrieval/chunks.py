"""Sub-trajectories (chunks): their anchors, keys, queries and values.

A chunk of length c is anchored at step t of an episode: t = c, 2c, ..., and the end of the episode (paper, Section 3.1). Its key
is the mean of the encoder's state outputs over the c steps before t. Its value, which the network reads, has 2c steps
(`halves`). A query at step t is the mean over the last c steps including t. `window_means` computes all keys and queries, in
training and in evaluation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from radt.data.steps import Steps
from radt.data.windows import Source
from radt.models.decision_transformer import DecisionTransformer
from radt.settings.retrieval import Values


def window_start(time: int, positions: int) -> int:
    """First step that a network with a window of `positions` steps sees at step `time` of an episode.

    The first window begins with the episode. Each later window begins half a window after the one before, and its outputs are
    used from its middle on. So a step sees at least half a window, and its keys and values are computed only twice.
    """
    half = positions // 2
    return 0 if time < positions else (time // half - 1) * half


def state_outputs(encoder: DecisionTransformer, steps: Steps) -> Tensor:
    """State outputs [B, T, W] of the encoder, computed on its device, returned on the CPU in float32."""
    outputs: Tensor = encoder(steps.to(encoder.device))[1]
    return outputs.float().cpu()


def window_means(outputs: Tensor, weight: Tensor, stop: Tensor, chunk_length: int) -> Tensor:
    """Normalised means of the encoder's state outputs over at most `chunk_length` steps before `stop`.

    Args:
        outputs: [B, T, W] state outputs, one window per row.
        weight: [B, T] 1 for steps that count, 0 for padding and for steps removed by query dropout.
        stop: [B, S] exclusive ends of the means, positions in the window.
        chunk_length: steps of a mean.

    Returns:
        [B, S, W] vectors of length 1 (length 0 where no step counts).
    """
    sums = F.pad((outputs * weight[..., None]).cumsum(1), (0, 0, 1, 0))  # [B, T + 1, W]
    counts = F.pad(weight.cumsum(1), (1, 0))  # [B, T + 1]
    begin = (stop - chunk_length).clamp_min(0)
    rows = torch.arange(len(outputs))[:, None]
    count = (counts[rows, stop] - counts[rows, begin]).clamp_min(1.0)  # [B, S]
    return F.normalize((sums[rows, stop] - sums[rows, begin]) / count[..., None], dim=-1)


@torch.no_grad()
def encode_queries(encoder: DecisionTransformer, chunk_length: int, steps: Steps, episode: Tensor, weight: Tensor) -> Tensor:
    """Queries [B, W] at the end of [B, T] windows, without the steps whose `weight` [B, T] is 0; `episode` is not used."""
    stop = steps.mask.sum(1, keepdim=True)
    return window_means(state_outputs(encoder, steps), weight, stop, encoder.averaged(chunk_length))[:, 0]


def halves(
    columns: Source, first: Tensor, length: Tensor, anchor: Tensor, chunk_length: int, values: Values
) -> tuple[Tensor, Tensor]:
    """First steps and exclusive ends [..., 2] of the two halves of each value, of at most `chunk_length` steps each.

    `around` (published): up to `chunk_length` steps after `anchor`. Published code: a chunk near the end of an episode has fewer
    steps; here: the last 2 chunk_length steps, because a shorter chunk may not show how the goal was reached.

    `rewards`: the steps up to the first rewarded step of the episode, then those up to the second one. Without a second one, the
    second half has the steps after the first one. No step is in both halves. An episode without rewarded steps has `around`.

    Arguments as in `contexts`.
    """
    last = torch.minimum(anchor + chunk_length, length)
    start = (last - 2 * chunk_length).clamp_min(0)
    middle = torch.minimum(start + chunk_length, last)
    starts, ends = torch.stack([start, middle], -1), torch.stack([middle, last], -1)
    if values == "around":
        return starts, ends
    one, two = columns.rewarded(first, length).unbind(-1)
    two = torch.where(two > 0, two, torch.minimum(one + chunk_length, length))
    begins = torch.stack([(one - chunk_length).clamp_min(0), torch.maximum(two - chunk_length, one)], -1)
    paid = (one > 0)[..., None]
    return torch.where(paid, begins, starts), torch.where(paid, torch.stack([one, two], -1), ends)


def contexts(
    columns: Source, first: Tensor, length: Tensor, anchor: Tensor, chunk_length: int, values: Values = "around"
) -> Steps:
    """Values of chunks: the steps [..., 2 chunk_length] of their two halves.

    Args:
        columns: source of the steps.
        first: [...] row of the episode's first step.
        length: [...] steps of the episode.
        anchor: [...] step of the episode.
        chunk_length: most steps of a half.
        values: which steps: `Retrieval.values`.
    """
    starts, ends = halves(columns, first, length, anchor, chunk_length, values)
    row, empty = first[..., None], ends <= starts
    starts = starts.masked_fill(empty, 0)  # a row that exists; its steps are masked
    ends = ends.masked_fill(empty, 0)
    parts = columns.windows(row.expand_as(starts), row + starts, row + ends, chunk_length)
    return parts.map(lambda part: part.flatten(first.dim(), first.dim() + 1))


@torch.no_grad()
def episode_vectors(
    encoder: DecisionTransformer, columns: Source, first: Tensor, length: Tensor, ends: Tensor, chunk_length: int
) -> Tensor:
    """Vectors [B, S, W] of at most `chunk_length` steps that end before step `ends` of B episodes.

    The output of a step is computed from the window that the agent has at that step (`window_start`).

    Args:
        encoder: the frozen DT.
        columns: source of the steps.
        first: [B] row of each episode's first step.
        length: [B] steps of each episode.
        ends: [S] or [B, S] exclusive ends, steps of the episode; an end beyond the episode counts as its end.
        chunk_length: steps of a mean.
    """
    longest, parts, done = int(length.max()), [], 0
    while done < longest:
        begin = window_start(done, encoder.positions)
        stop = min(begin + encoder.positions, longest)
        start = length.clamp_max(begin)
        steps = columns.windows(first, first + start, first + length.clamp_max(stop), stop - begin)
        parts.append(state_outputs(encoder, steps)[:, done - begin :])  # [B, stop - done, W]
        done = stop
    weight = (torch.arange(longest) < length[:, None]).float()
    stops = torch.minimum(ends.expand(len(length), -1), length[:, None])
    return window_means(torch.cat(parts, 1), weight, stops, encoder.averaged(chunk_length))


def segment_stops(horizon: int, query_stride: int) -> Tensor:
    """Exclusive ends [S] of the queries of an episode: after the first step of each segment of `query_stride` steps."""
    return torch.arange(0, horizon, query_stride) + 1


def anchors(length: Tensor, chunk_length: int) -> Tensor:
    """Anchors [B, S] of the chunks of episodes of `length` [B]: every `chunk_length` steps and the end, padded with 0.

    Published code: no anchor at the end; here: one, because a maze that is solved in a few steps would have no chunk.
    """
    regular = torch.arange(chunk_length, int(length.max()) + chunk_length, chunk_length)
    return torch.where(regular < length[:, None] + chunk_length, torch.minimum(regular, length[:, None]), 0)


def embed_episodes(
    encoder: DecisionTransformer, chunk_length: int, columns: Source, first: Tensor, length: Tensor
) -> tuple[Tensor, Tensor]:
    """Keys [B, S, W] and anchors [B, S] of all sub-trajectories of B episodes; arguments as in `episode_vectors`."""
    anchor = anchors(length, chunk_length)
    return episode_vectors(encoder, columns, first, length, anchor, chunk_length), anchor
