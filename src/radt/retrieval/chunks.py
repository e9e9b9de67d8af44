"""Sub-trajectories: where they begin, how they become vectors, what they hold.

A chunk is anchored at step t of an episode (t = c, 2c, ...; paper, Section 3.1). Its key is the mean of the encoder's state
outputs over the c steps before t, its value the c steps before and the c steps after t. A query at step t is the mean over the
last c steps up to t itself. Keys and queries, in training and in evaluation, come from `window_means`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from radt.data.steps import Steps
from radt.data.windows import Source
from radt.models.decision_transformer import DecisionTransformer


def state_outputs(encoder: DecisionTransformer, steps: Steps) -> Tensor:
    """State outputs [B, T, W] of the encoder, computed on its device, on the CPU in float32."""
    outputs: Tensor = encoder(steps.to(encoder.device))[1]
    return outputs.float().cpu()


def window_means(outputs: Tensor, weight: Tensor, stop: Tensor, chunk: int) -> Tensor:
    """Normalised means of the encoder's state outputs over at most `chunk` steps before `stop`.

    Args:
        outputs: [B, T, W] state outputs of one window of steps per row.
        weight: [B, T] 1 for steps that count, 0 for padding and for steps that query dropout leaves out.
        stop: [B, S] positions in the window, exclusive ends of the means.
        chunk: steps of a mean.

    Returns:
        [B, S, W] vectors of length 1 (length 0 where no step counts).
    """
    sums = F.pad((outputs * weight[..., None]).cumsum(1), (0, 0, 1, 0))
    counts = F.pad(weight.cumsum(1), (1, 0))
    begin = (stop - chunk).clamp_min(0)
    rows = torch.arange(len(outputs))[:, None]
    count = (counts[rows, stop] - counts[rows, begin]).clamp_min(1.0)
    return F.normalize((sums[rows, stop] - sums[rows, begin]) / count[..., None], dim=-1)


def contexts(columns: Source, first: Tensor, length: Tensor, anchor: Tensor, chunk: int) -> Steps:
    """Values of chunks: [..., 2 chunk] steps around `anchor`.

    Args:
        columns: where the steps are.
        first: [...] row of the episode's first step.
        length: [...] steps of the episode.
        anchor: [...] step of the episode.
        chunk: steps before and after the anchor.
    """
    stop = torch.minimum(anchor + chunk, length)
    return columns.windows(first, first + (anchor - chunk).clamp_min(0), first + stop, 2 * chunk)


@torch.no_grad()
def episode_vectors(
    encoder: DecisionTransformer, columns: Source, first: Tensor, length: Tensor, ends: Tensor, chunk: int
) -> Tensor:
    """Vectors [B, S, W] of the windows of at most `chunk` steps that end before step `ends` [S] of B episodes.

    Where the encoder's window holds the whole episode, one pass gives all of them; else the window that ends there is read.

    Args:
        encoder: the frozen DT.
        columns: where the steps are.
        first: [B] row of each episode's first step.
        length: [B] steps of each episode; an end behind it counts as the end of the episode.
        ends: [S] exclusive ends, steps of the episode.
        chunk: steps of a mean.
    """
    longest = int(length.max())
    groups = [ends] if longest <= encoder.positions else ends.split(1)
    vectors = []
    for group in groups:
        stop = length.clamp_max(int(group.max()))
        start = (stop - encoder.positions).clamp_min(0)
        steps = columns.windows(first, first + start, first + stop, int((stop - start).max()))
        outputs = state_outputs(encoder, steps)
        inside = torch.minimum(group[None], length[:, None]) - start[:, None]
        vectors.append(window_means(outputs, steps.mask.float(), inside, chunk))
    return torch.cat(vectors, 1)


def segment_stops(window: int, every: int) -> Tensor:
    """Exclusive ends [S] of the queries of a window: after the first step of each segment of `every` steps."""
    return torch.arange(0, window, every) + 1


def anchors(length: Tensor, chunk: int) -> Tensor:
    """Anchors [S] of the sub-trajectories of the longest of the episodes, whose lengths are `length` [B]."""
    return torch.arange(chunk, int(length.max()) + 1, chunk)


def embed_episodes(
    encoder: DecisionTransformer, columns: Source, first: Tensor, length: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Keys of all sub-trajectories of B episodes; arguments as in `episode_vectors`.

    Returns:
        Keys [K, W], the row 0..B-1 of the episode of each [K], its anchor [K]; by episode, then by anchor.
    """
    anchor = anchors(length, chunk)
    return keep_whole(episode_vectors(encoder, columns, first, length, anchor, chunk), length, anchor)


def keep_whole(vectors: Tensor, length: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of vectors [B, S, W], those whose anchor [S] is inside their episode; see `embed_episodes`."""
    real = anchor <= length[:, None]
    row, column = torch.nonzero(real, as_tuple=True)
    return vectors[real], row, anchor[column]
