"""Embeddings of observations: rows of a table for codes, a linear layer for numbers, convolutions for images."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radt.data.trajectories import Statistics
from radt.errors import RadtError
from radt.settings.models import Model
from radt.spaces import LEAST_SIDE, Codes, Numbers, Spec

LEAST_NUMBER = 0.01
"""Below it, the logarithms that `Measurements` reads are about linear."""


class Coordinates(nn.Module):
    """Embedding of codes [D]: one row for each value of each code; an observation is the sum of its D rows.

    A row is a linear layer of value / size plus a learned row. Paper: a linear layer of the raw value.
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
        """Rows [sum of sizes, W]."""
        rows: Tensor = F.linear(self.fraction, self.linear.weight) + self.linear.bias / len(self.offset)
        return rows + self.values.weight

    def rows(self, observation: Tensor) -> list[Tensor]:
        """Row numbers: D tensors [...] for observations [..., D]."""
        return list((observation + self.offset).unbind(-1))

    def added(self, observation: Tensor) -> Tensor | None:
        """Nothing: codes need rows only."""
        return None


class Measurements(nn.Module):
    """Embedding of observations that are numbers; it has no rows of a table.

    Paper: a linear layer. Here: of numbers standardised by the training data. With `scales`, a hidden layer reads them too, with
    their logarithms and with the numbers that are zero: in a space shared by many tasks, a number that is small in one task and
    large in another keeps its meaning, and zeros tell which task it is.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int, width: int, scales: bool, statistics: Statistics | None):
        super().__init__()
        known = statistics or Statistics((0.0,) * size, (1.0,) * size)
        self.register_buffer("mean", torch.tensor(known.mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(known.deviation, dtype=torch.float32))
        self.hidden = nn.Linear(3 * size, 4 * width) if scales else None
        self.linear = nn.Linear(4 * width if scales else size, width)
        self.count, self.parts = 0, 1

    def table(self) -> Tensor:
        """[0, W]"""
        return self.linear.weight.new_zeros(0, self.linear.out_features)

    def rows(self, observation: Tensor) -> list[Tensor]:
        """None."""
        return []

    def added(self, observation: Tensor) -> Tensor:
        """Embeddings [..., W] of observations [..., D]."""
        seen = (observation - self.mean) / self.deviation
        if self.hidden is not None:
            logarithms = observation.sign() * torch.log1p(observation.abs() / LEAST_NUMBER) / math.log1p(1 / LEAST_NUMBER)
            seen = F.gelu(self.hidden(torch.cat([seen, logarithms, (observation == 0).float()], -1)))  # [..., 4 W]
        embedded: Tensor = self.linear(seen)
        return embedded


class Frames(nn.Module):
    """Three convolutions and a linear layer of images; it has no rows of a table.

    The convolutions of Mnih et al. (2015) with half the channels. One core of a Xeon does 7000 frames of 64x64 a second, forward
    and backward.
    """

    def __init__(self, height: int, width: int, channels: int, features: int):
        """Raises `RadtError` for images that are too small for the convolutions."""
        super().__init__()
        if min(height, width) < LEAST_SIDE:
            allowed = f"{LEAST_SIDE}x{LEAST_SIDE}"
            raise RadtError(f"images are {height}x{width}, allowed are {allowed} and larger: make them larger")
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, 16, 8, 4), nn.ReLU(), nn.Conv2d(16, 32, 4, 2), nn.ReLU(), nn.Conv2d(32, 32, 3, 1), nn.ReLU()
        )
        left = [((side - 8) // 4 + 1 - 4) // 2 + 1 - 2 for side in (height, width)]
        self.linear = nn.Linear(32 * left[0] * left[1], features)
        self.count, self.parts = 0, 1

    def table(self) -> Tensor:
        """[0, W]"""
        return self.linear.weight.new_zeros(0, self.linear.out_features)

    def rows(self, observation: Tensor) -> list[Tensor]:
        """None."""
        return []

    def added(self, observation: Tensor) -> Tensor:
        """Embeddings [..., W] of images [..., H, W, C] from 0 to 255."""
        images = observation.flatten(0, -4).permute(0, 3, 1, 2).to(self.linear.weight.dtype) / 255.0  # [N, C, H, W]
        embedded: Tensor = self.linear(self.convolutions(images).flatten(1))
        shaped: Tensor = embedded.unflatten(0, observation.shape[:-3])
        return shaped


def observation_embedding(spec: Spec, model: Model, statistics: Statistics | None) -> Coordinates | Measurements | Frames:
    """An untrained embedding of observations. `statistics` of the training data standardise numbers; None before weights are
    loaded, which hold them. Raises `RadtError` for images that are too small, and for `numbers: scales` without numbers.
    """
    width, scales = model.width, model.numbers == "scales"
    if isinstance(spec.observation, Numbers):
        return Measurements(spec.observation.size, width, scales, statistics)
    if scales:
        raise RadtError("model.numbers is 'scales', but observations of the experiment are not numbers: set it to linear")
    if isinstance(spec.observation, Codes):
        return Coordinates(spec.observation.sizes, width)
    image = spec.observation
    return Frames(image.height, image.width, image.channels, width)
