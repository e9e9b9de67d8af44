"""Sub-trajectories: where they begin, how they become vectors, what they hold.

A chunk is anchored at step t of an episode (t = c, 2c, ..., and its end; paper, Section 3.1). Its key is the mean of the
encoder's state outputs over the c steps before t, its value the 2c steps around t, or the last 2c of an episode that ends sooner.
A query at step t is the mean over the last c steps up to t itself. Keys and queries, in training and in evaluation, come from
`window_means`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from radt.data.steps import Steps
from radt.data.windows import Source
from radt.models.decision_transformer import DecisionTransformer


def window_start(time: int, positions: int) -> int:
    """First step that a network with `positions` steps sees at step `time` of an episode.

    The first window begins with the episode; each later one half a window after the one before, and is read from its middle on.
    So a step sees between half a window and a whole one, and keys and values are computed twice per step, not once per window.
    """
    half = positions // 2
    return 0 if time < positions else (time // half - 1) * half


def state_outputs(encoder: DecisionTransformer, steps: Steps) -> Tensor:
    """State outputs [B, T, W] of the encoder, computed on its device, on the CPU in float32."""
    outputs: Tensor = encoder(steps.to(encoder.device))[1]
    return outputs.float().cpu()


def window_means(outputs: Tensor, weight: Tensor, stop: Tensor, chunk_length: int) -> Tensor:
    """Normalised means of the encoder's state outputs over at most `chunk_length` steps before `stop`.

    Args:
        outputs: [B, T, W] state outputs of one window of steps per row.
        weight: [B, T] 1 for steps that count, 0 for padding and for steps that query dropout leaves out.
        stop: [B, S] positions in the window, exclusive ends of the means.
        chunk_length: steps of a mean.

    Returns:
        [B, S, W] vectors of length 1 (length 0 where no step counts).
    """
    sums = F.pad((outputs * weight[..., None]).cumsum(1), (0, 0, 1, 0))
    counts = F.pad(weight.cumsum(1), (1, 0))
    begin = (stop - chunk_length).clamp_min(0)
    rows = torch.arange(len(outputs))[:, None]
    count = (counts[rows, stop] - counts[rows, begin]).clamp_min(1.0)
    return F.normalize((sums[rows, stop] - sums[rows, begin]) / count[..., None], dim=-1)


@torch.no_grad()
def encode_queries(encoder: DecisionTransformer, chunk_length: int, steps: Steps, episode: Tensor, weight: Tensor) -> Tensor:
    """Queries [B, W] at the end of [B, T] windows, without the steps whose `weight` [B, T] is 0; `episode` does not matter."""
    stop = steps.mask.sum(1, keepdim=True)
    return window_means(state_outputs(encoder, steps), weight, stop, encoder.averaged(chunk_length))[:, 0]


def contexts(columns: Source, first: Tensor, length: Tensor, anchor: Tensor, chunk_length: int) -> Steps:
    """Values of chunks: the [..., 2 chunk_length] steps that end `chunk_length` steps after `anchor`, or with the episode.

    Near the end of an episode the published code has fewer steps instead: those of a last chunk do not show how the goal was
    reached, nor, where it was not, half of where it is not.

    Args:
        columns: where the steps are.
        first: [...] row of the episode's first step.
        length: [...] steps of the episode.
        anchor: [...] step of the episode.
        chunk_length: half the steps.
    """
    stop = torch.minimum(anchor + chunk_length, length)
    return columns.windows(first, first + (stop - 2 * chunk_length).clamp_min(0), first + stop, 2 * chunk_length)


@torch.no_grad()
def episode_vectors(
    encoder: DecisionTransformer, columns: Source, first: Tensor, length: Tensor, ends: Tensor, chunk_length: int
) -> Tensor:
    """Vectors [B, S, W] of at most `chunk_length` steps that end before step `ends` of B episodes.

    Every step's output is that of the window which the agent has at that step (`window_start`).

    Args:
        encoder: the frozen DT.
        columns: where the steps are.
        first: [B] row of each episode's first step.
        length: [B] steps of each episode; an end behind it counts as the end of the episode.
        ends: [S] or [B, S] exclusive ends, steps of the episode.
        chunk_length: steps of a mean.
    """
    longest, parts, done = int(length.max()), [], 0
    while done < longest:
        begin = window_start(done, encoder.positions)
        stop = min(begin + encoder.positions, longest)
        start = length.clamp_max(begin)
        steps = columns.windows(first, first + start, first + length.clamp_max(stop), stop - begin)
        parts.append(state_outputs(encoder, steps)[:, done - begin :])
        done = stop
    weight = (torch.arange(longest) < length[:, None]).float()
    stops = torch.minimum(ends.expand(len(length), -1), length[:, None])
    return window_means(torch.cat(parts, 1), weight, stops, encoder.averaged(chunk_length))


def segment_stops(horizon: int, query_stride: int) -> Tensor:
    """Exclusive ends [S] of the queries of an episode: after the first step of each segment of `query_stride` steps."""
    return torch.arange(0, horizon, query_stride) + 1


def anchors(length: Tensor, chunk_length: int) -> Tensor:
    """Anchors [B, S] of the chunks of episodes of `length` [B]: every `chunk_length` steps, and the end; 0 where there are no
    more. (The published code has none at the end, so a maze that is solved in a few steps would leave nothing.)"""
    regular = torch.arange(chunk_length, int(length.max()) + chunk_length, chunk_length)
    return torch.where(regular < length[:, None] + chunk_length, torch.minimum(regular, length[:, None]), 0)


def embed_episodes(
    encoder: DecisionTransformer, chunk_length: int, columns: Source, first: Tensor, length: Tensor
) -> tuple[Tensor, Tensor]:
    """Keys [B, S, W] and anchors [B, S] of all sub-trajectories of B episodes; arguments as in `episode_vectors`."""
    anchor = anchors(length, chunk_length)
    return episode_vectors(encoder, columns, first, length, anchor, chunk_length), anchor
