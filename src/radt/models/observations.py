"""What networks make of observations: codes become rows of a table, numbers go through a linear layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radt.data.trajectories import Statistics
from radt.errors import RadtError
from radt.spaces import Codes, Numbers, Spec


class Coordinates(nn.Module):
    """Rows for the values of all numbers of an observation; the rows of an observation add up to its embedding.

    Each is a linear layer of value / size (published: of the raw value) plus a learned row.
    """

    offset: Tensor
    fraction: Tensor

    def __init__(self, sizes: tuple[int, ...], width: int):
        super().__init__()
        place = torch.cat([torch.arange(size) / max(sizes) for size in sizes])
        number = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        self.register_buffer("offset", torch.tensor((0, *sizes[:-1])).cumsum(0), persistent=False)
        self.register_buffer("fraction", F.one_hot(number) * place[:, None], persistent=False)
        self.linear = nn.Linear(len(sizes), width)
        self.values = nn.Embedding(len(place), width)
        self.count, self.parts = len(place), len(sizes)

    def table(self) -> Tensor:
        """[sum of sizes, W]"""
        rows: Tensor = F.linear(self.fraction, self.linear.weight) + self.linear.bias / len(self.offset)
        return rows + self.values.weight

    def rows(self, observation: Tensor) -> list[Tensor]:
        """Row numbers [...] of each number of observations [..., D]."""
        return list((observation + self.offset).unbind(-1))

    def added(self, observation: Tensor) -> Tensor | None:
        """What is no row of a table: nothing."""
        return None


class Measurements(nn.Module):
    """A linear layer of observations that are numbers, each standardised by the training data; no rows of a table."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int, width: int, statistics: Statistics | None):
        super().__init__()
        known = statistics or Statistics((0.0,) * size, (1.0,) * size)
        self.register_buffer("mean", torch.tensor(known.mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(known.deviation, dtype=torch.float32))
        self.linear = nn.Linear(size, width)
        self.count, self.parts = 0, 1

    def table(self) -> Tensor:
        """[0, W]"""
        return self.linear.weight.new_zeros(0, self.linear.out_features)

    def rows(self, observation: Tensor) -> list[Tensor]:
        """None."""
        return []

    def added(self, observation: Tensor) -> Tensor:
        """Embeddings [..., W] of observations [..., D]."""
        embedded: Tensor = self.linear((observation - self.mean) / self.deviation)
        return embedded


def observation_embedding(spec: Spec, width: int, statistics: Statistics | None) -> Coordinates | Measurements:
    """A fresh embedding of what is seen; `statistics` are those of the training data, for numbers, unless weights are read.

    Raises `RadtError` for images.
    """
    if isinstance(spec.observation, Codes):
        return Coordinates(spec.observation.sizes, width)
    if isinstance(spec.observation, Numbers):
        return Measurements(spec.observation.size, width, statistics)
    raise RadtError("networks read codes and numbers, but the observations are images: turn these into numbers first")
