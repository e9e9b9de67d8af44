"""How the source learned: return over the share of a learning history, over all training tasks (ours)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard

POINTS = 50
LOW, HIGH = 10, 90
HEADER = "step,return_mean,return_low,return_high"


def learning_curve(shards: list[Shard]) -> str:
    """CSV of 50 points, equally far apart in every history.

    A point stands for a fiftieth of a history; its return there is the mean over episodes that lie in it, even in part.
    `return_mean`, `return_low` and `return_high` are the mean, 10th and 90th percentile over the histories of all tasks (one
    history has no percentiles), `step` the step at which the fiftieth ends, on average over histories.
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
    """Mean return [50] of the episodes, which begin at `starts` [E + 1], that lie in each fiftieth of the steps."""
    edges = np.arange(POINTS + 1) * starts[-1]
    first = np.searchsorted(starts[1:] * POINTS, edges[:-1], "right")
    behind = np.searchsorted(starts[:-1] * POINTS, edges[1:], "left")
    total = np.concatenate([[0.0], returns.cumsum()])
    points: NDArray[np.float64] = (total[behind] - total[first]) / (behind - first)
    return points
