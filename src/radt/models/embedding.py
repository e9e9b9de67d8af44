"""Token embeddings of steps, in the two forms of `Model.tokens`."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from radt.data.steps import Steps
from radt.data.trajectories import Statistics
from radt.models.actions import ActionEmbedding
from radt.models.observations import observation_embedding
from radt.settings.models import Model
from radt.spaces import Counts, Spec


def sum_rows(table: Tensor, rows: list[Tensor]) -> Tensor:
    """Sums [..., W] of rows of a `table` [R, W]: one row for each index tensor [...]. The rows of a sum must differ.

    Computed as a product with a multi-hot matrix, in autocast's precision: on a CPU the gradient of torch's look-up takes several
    times longer. Indices are not checked here; trajectories are checked when they are read.
    """
    index, device = torch.stack(rows, -1), table.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else table.dtype
    begin = torch.arange(0, rows[0].numel() * len(table), len(table), device=table.device)
    chosen = torch.zeros(rows[0].numel() * len(table), dtype=dtype, device=table.device)  # multi-hot [..., R], flat
    chosen.index_fill_(0, (index.flatten(0, -2) + begin[:, None]).flatten(), 1.0)
    return chosen.view(*rows[0].shape, len(table)) @ table


class Part(NamedTuple):
    """Summands of a token: rows of a table, and an embedding that is no row."""

    rows: list[Tensor]
    """row numbers [...]"""
    added: Tensor | None = None
    """[..., W]"""


def embedded(table: Tensor, *parts: Part) -> Tensor:
    """Tokens [..., W]: the sum of all parts, of which at least one has rows."""
    tokens = sum_rows(table, [*chain(*(part.rows for part in parts))])
    for part in parts:
        tokens = tokens if part.added is None else tokens + part.added
    return tokens


class ScaledNumber(nn.Linear):
    """A linear layer of one number, which is divided by a scale first."""

    def __init__(self, width: int, scale: float):
        super().__init__(1, width)
        self.scale = scale

    def forward(self, value: Tensor) -> Tensor:
        """[...] to [..., W]."""
        return super().forward(value[..., None] / self.scale)


class Embedding(nn.Module):
    """Token embeddings of steps.

    Paper: form `interleaved`, with tokens state, return-to-go, action and reward for each step (AD has no return-to-go). Here
    also: form `step`, one token that is the sum of the embeddings of state, return-to-go, previous action, previous reward and
    the rewards of the episode so far, because sequences are four times shorter. The last summand tells a window that begins
    within an episode whether, say, the key is held. Returns and rewards so far are rows of tables where rewards are counts, else
    linear layers.
    """

    def __init__(self, model: Model, spec: Spec, returns: bool, positions: int, statistics: Statistics | None = None):
        super().__init__()
        self.form, self.bin = model.tokens, model.return_bin
        counts = spec.rewards if isinstance(spec.rewards, Counts) else None
        scale = 1.0 if isinstance(spec.rewards, Counts) else spec.rewards.scale
        self.place = observation_embedding(spec, model, statistics)
        bins = -(-spec.horizon // model.return_bin)
        self.returns = (nn.Embedding(bins, model.width) if counts else ScaledNumber(model.width, scale)) if returns else None
        self.action = ActionEmbedding(spec, model.width)
        self.reward = ScaledNumber(model.width, scale)
        self.time = nn.Embedding(spec.horizon, model.width)
        levels = nn.Embedding(counts.levels, model.width) if counts else ScaledNumber(model.width, scale)
        self.received = levels if self.form == "step" else None
        self.tokens_per_step = 1 if self.form == "step" else 3 + returns
        self.position = nn.Embedding(positions * self.tokens_per_step, model.width)
        self.norm = nn.LayerNorm(model.width)
        self.dropout = nn.Dropout(model.dropout) if model.dropout else nn.Identity()
        self.action_token = 1 if self.form == "interleaved" and returns else 0

    def table(self) -> Tensor:
        """All rows [R, W]: observations, actions, times, returns-to-go, rewards so far."""
        others = [part.weight for part in (self.returns, self.received) if isinstance(part, nn.Embedding)]
        return torch.cat([self.place.table(), self.action.weight, self.time.weight, *others])

    def forward(self, steps: Steps, start: int = 0) -> Tensor:
        """Tokens [..., T * tokens_per_step, W] of [..., T] steps; `start` is the position of the first step in the window."""
        table, action_row = self.table(), self.place.count
        time_row = action_row + self.action.num_embeddings
        time = Part([steps.time + time_row])
        parts = [Part(self.place.rows(steps.observation), self.place.added(steps.observation))]
        if self.returns is not None:
            parts.append(self._returns(steps.returns, time_row + self.time.num_embeddings))
        if self.received is not None:
            action = Part([row + action_row for row in self.action.rows(steps.previous_action)])
            received = self._received(steps.received, len(table))
            tokens = embedded(table, *parts, action, time, received, Part([], self.reward(steps.previous_reward)))
        else:
            parts.append(Part([row + action_row for row in self.action.rows(steps.action)]))
            parts.append(Part([], self.reward(steps.reward)))
            tokens = torch.stack([embedded(table, part, time) for part in parts], -2).flatten(-3, -2)  # [..., T tokens, W]
        first = start * self.tokens_per_step
        normed: Tensor = self.dropout(self.norm(tokens + self.position.weight[first : first + tokens.shape[-2]]))
        return normed

    def _returns(self, returns: Tensor, first: int) -> Part:
        """Embedding of returns-to-go [...]; `first` is the number of their first row in the table."""
        if not isinstance(self.returns, nn.Embedding):
            return Part([], cast("ScaledNumber", self.returns)(returns))
        return Part([(returns.round().long() // self.bin).clamp(0, self.returns.num_embeddings - 1) + first])

    def _received(self, received: Tensor, rows: int) -> Part:
        """Embedding of the rewards so far [...]; their rows are the last of the `rows` of the table."""
        if not isinstance(self.received, nn.Embedding):
            return Part([], cast("ScaledNumber", self.received)(received))
        levels = self.received.num_embeddings
        return Part([received.round().long().clamp(0, levels - 1) + rows - levels])
