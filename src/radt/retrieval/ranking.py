"""Re-ranking of search results (paper, Section 3.2: s = s_rel + alpha s_u, each min-max normalised)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


def min_max(values: Tensor, valid: Tensor) -> Tensor:
    """Scale the valid values of each row of [Q, K] to 0..1; a row whose valid values are all equal becomes 1."""
    low = values.masked_fill(~valid, torch.inf).amin(-1, keepdim=True)
    high = values.masked_fill(~valid, -torch.inf).amax(-1, keepdim=True)
    spread = high - low
    return torch.where(spread > 0, (values - low) / spread.clamp_min(1e-12), torch.ones_like(values))


class Weights(Protocol):
    """Weights of the parts of the score."""

    weight_similarity: float
    weight_return: float
    weight_reward: float


def utility(similarity: Tensor, returns: Tensor, reward: Tensor, valid: Tensor, weights: Weights) -> Tensor:
    """Score [Q, K] of chunks, in training and in evaluation: the weighted sum of three min-max normalised parts.

    Args:
        similarity: [Q, K] cosine of key and query.
        returns: [Q, K] return of the chunk's episode.
        reward: [Q, K] sum of rewards inside the chunk. Paper: none; here: optional, because the return covers a whole episode.
        valid: [Q, K] whether a chunk is a candidate.
        weights: weights of the parts.
    """
    score = weights.weight_similarity * min_max(similarity, valid)
    if weights.weight_return:
        score = score + weights.weight_return * min_max(returns, valid)
    if weights.weight_reward:
        score = score + weights.weight_reward * min_max(reward, valid)
    return score


def keep_nearest(scores: Tensor, valid: Tensor, keep: int) -> Tensor:
    """Mask [Q, K] of the `keep` highest valid scores of each row; ties go to the earlier column."""
    if keep >= scores.shape[1]:
        return valid
    masked = scores.masked_fill(~valid, -torch.inf)
    last = masked.topk(keep).values[:, -1:]
    above, equal = masked > last, masked == last
    room = keep - above.sum(-1, keepdim=True)
    return valid & (above | (equal & (equal.cumsum(-1) <= room)))


def best(score: Tensor, valid: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Columns [Q, count] of the highest valid scores [Q, K], best first, ties to the earlier column; whether each is valid."""
    left = score.masked_fill(~valid, -torch.inf)
    columns, found = [], []
    for _ in range(count):
        column = left.argmax(-1, keepdim=True)  # the first of equals, as torch documents
        columns.append(column)
        found.append(left.gather(-1, column) > -torch.inf)
        left = left.scatter(-1, column, -torch.inf)
    return torch.cat(columns, -1), torch.cat(found, -1)
