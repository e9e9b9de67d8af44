"""The learning curve of the source: return over the course of a learning history, over all training tasks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard

POINTS = 50
LOW, HIGH = 10, 90
HEADER = "step,return_mean,return_low,return_high"


def learning_curve(shards: list[Shard]) -> str:
    """CSV of 50 points, one for each fiftieth of a history; its return is the mean over episodes that overlap it.

    `return_mean`, `return_low` and `return_high` are the mean, 10th and 90th percentile over the histories of all tasks (empty
    for a single history). `step` is the step at which the fiftieth ends, averaged over histories.
    """
    curves, steps = [], []
    for shard in shards:
        returns = shard.returns()
        for first, end in pairwise(shard.history_start()):
            starts = shard.episode_start[first : end + 1]
            curves.append(_points(returns[first:end], starts - starts[0]))
            steps.append(starts[-1] - starts[0])
    values = np.array(curves)
    low, high = np.percentile(values, [LOW, HIGH], axis=0) if len(values) > 1 else np.full((2, POINTS), np.nan)
    ends = np.rint(np.mean(steps) * np.arange(1, POINTS + 1) / POINTS).astype(np.int64)
    columns = zip(ends, values.mean(axis=0), low, high, strict=True)
    text = "\n".join([HEADER, *(f"{step},{mean:.4f},{least:.4f},{most:.4f}" for step, mean, least, most in columns)])
    return text.replace("nan", "") + "\n"


def _points(returns: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean return [50] of the episodes that overlap each fiftieth of the steps; episodes begin at steps `starts` [E + 1]."""
    edges = np.arange(POINTS + 1) * starts[-1]
    first = np.searchsorted(starts[1:] * POINTS, edges[:-1], "right")
    behind = np.searchsorted(starts[:-1] * POINTS, edges[1:], "left")
    total = np.concatenate([[0.0], returns.cumsum()])
    points: NDArray[np.float64] = (total[behind] - total[first]) / (behind - first)
    return points
