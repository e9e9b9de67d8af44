"""Steps to tokens, in the two forms of `Model.tokens`."""

from __future__ import annotations

from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radt.data.steps import Steps
from radt.settings import Experiment, Model
from radt.suites.grid.engine import ACTIONS


def sum_rows(table: Tensor, rows: list[Tensor]) -> Tensor:
    """Sums [..., W] of rows of a `table` [R, W], one row of it for each of the index tensors [...], which are never the same row.

    As a product with zeros and ones, in the precision of products: the gradient of torch's look-ups takes several times longer
    on a CPU. Rows are not checked here: trajectories that do not fit their room are refused when they are read.
    """
    index, device = torch.stack(rows, -1), table.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else table.dtype
    begin = torch.arange(0, rows[0].numel() * len(table), len(table), device=table.device)
    chosen = torch.zeros(rows[0].numel() * len(table), dtype=dtype, device=table.device)
    chosen.index_fill_(0, (index.flatten(0, -2) + begin[:, None]).flatten(), 1.0)
    return chosen.view(*rows[0].shape, len(table)) @ table


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

    def table(self) -> Tensor:
        """[sum of sizes, W]"""
        rows: Tensor = F.linear(self.fraction, self.linear.weight) + self.linear.bias / len(self.offset)
        return rows + self.values.weight

    def rows(self, observation: Tensor) -> Tensor:
        """Row numbers [..., D] of observations [..., D]."""
        return observation + self.offset


class Embedding(nn.Module):
    """Token embeddings of steps.

    `interleaved` is the paper's form: tokens state, return-to-go, action, reward of a step follow each other (Algorithm
    Distillation has no return-to-go). `step` adds the embeddings of state, return-to-go, previous action, previous reward and of
    what was received in the episode so far (nothing, 1, more) to one token: four times shorter sequences with the same
    information, and a window that begins within an episode tells whether, say, the key is held.
    """

    LEVELS = 3  # nothing, 1, more

    def __init__(self, model: Model, experiment: Experiment, returns: bool, positions: int):
        super().__init__()
        self.form, self.bin = model.tokens, model.return_bin
        self.place = Coordinates(experiment.observation_sizes, model.width)
        self.returns = nn.Embedding(-(-experiment.horizon // model.return_bin), model.width) if returns else None
        self.action = nn.Embedding(ACTIONS + 1, model.width)
        self.reward = nn.Linear(1, model.width)
        self.time = nn.Embedding(experiment.horizon, model.width)
        self.received = nn.Embedding(self.LEVELS, model.width) if self.form == "step" else None
        self.tokens_per_step = 1 if self.form == "step" else 3 + returns
        self.position = nn.Embedding(positions * self.tokens_per_step, model.width)
        self.norm = nn.LayerNorm(model.width)
        self.dropout = nn.Dropout(model.dropout) if model.dropout else nn.Identity()
        self.action_token = 1 if self.form == "interleaved" and returns else 0

    def table(self) -> Tensor:
        """Rows of all coordinates, actions, times, returns and levels [R, W]."""
        others = [part.weight for part in (self.returns, self.received) if part is not None]
        return torch.cat([self.place.table(), self.action.weight, self.time.weight, *others])

    def forward(self, steps: Steps, start: int = 0) -> Tensor:
        """[..., T] steps to [..., T * tokens_per_step, W]; `start` is the window position of the first step."""
        table, action_row = self.table(), len(self.place.fraction)
        time_row = action_row + ACTIONS + 1
        returns_row = time_row + self.time.num_embeddings
        time, parts = steps.time + time_row, [list(self.place.rows(steps.observation).unbind(-1))]
        if self.returns is not None:
            level = (steps.returns.round().long() // self.bin).clamp(0, self.returns.num_embeddings - 1)
            parts.append([level + returns_row])
        if self.received is not None:
            level_row = returns_row + (self.returns.num_embeddings if self.returns is not None else 0)
            received = steps.received.round().long().clamp(0, self.LEVELS - 1) + level_row
            rows = [*chain(*parts), steps.previous_action + action_row, time, received]
            tokens = sum_rows(table, rows) + self.reward(steps.previous_reward[..., None])
        else:
            parts.append([steps.action + action_row])
            reward = self.reward(steps.reward[..., None]) + sum_rows(table, [time])
            tokens = torch.stack([*(sum_rows(table, [*part, time]) for part in parts), reward], -2).flatten(-3, -2)
        first = start * self.tokens_per_step
        embedded: Tensor = self.dropout(self.norm(tokens + self.position.weight[first : first + tokens.shape[-2]]))
        return embedded
