"""The Decision Transformer, which also is Algorithm Distillation's network (without returns-to-go, over two episodes)."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radt.data.steps import Steps
from radt.data.trajectories import Statistics
from radt.models.actions import action_head
from radt.models.blocks import Block, KVCache, initialize
from radt.models.embedding import Embedding
from radt.settings.models import Model
from radt.settings.retrieval import Aggregate
from radt.spaces import Spec


class DecisionTransformer(nn.Module):
    """GPT-2-like decoder that predicts the action of every step of a window (paper, Section 3.1).

    Args:
        model: sizes and token form.
        spec: what is seen and done.
        returns: condition on returns-to-go (DT) or not (AD).
        positions: longest window, in steps.
        aggregate: which of its outputs make vectors of sub-trajectories (`Embed.aggregate`).
        statistics: of the observations of the training data, where these are numbers and weights are not read.
    """

    def __init__(
        self,
        model: Model,
        spec: Spec,
        returns: bool,
        positions: int,
        aggregate: Aggregate = "states",
        statistics: Statistics | None = None,
    ):
        super().__init__()
        self.aggregate = aggregate
        self.embedding = Embedding(model, spec, returns, positions, statistics)
        self.blocks = nn.ModuleList(Block(model.width, model.heads, model.dropout, False) for _ in range(model.layers))
        self.norm = nn.LayerNorm(model.width)
        self.head = action_head(model.head, model.width, spec)
        self.heads, self.positions = model.heads, positions
        initialize(self, model.layers)

    def forward(self, steps: Steps, caches: list[KVCache] | None = None) -> tuple[Tensor, Tensor]:
        """Outputs of the head [B, T, O] and, of [B, T] steps, the outputs [B, T, W] that make vectors: those of states.

        With `caches` (token form `step` only), the steps follow those that the caches hold.
        """
        start = caches[0].length if caches else 0
        x = self.embedding(steps, start)
        padding = None
        if caches is None and not bool(steps.mask.all()):
            padding = steps.mask.repeat_interleave(self.embedding.tokens_per_step, -1)
        for number, block in enumerate(self.blocks):
            x = block(x, padding, caches[number] if caches else None, None)
        x = self.norm(x).unflatten(1, (-1, self.embedding.tokens_per_step))
        return self.head(x[:, :, self.embedding.action_token]), self._outputs(x)

    def _outputs(self, x: Tensor) -> Tensor:
        """The outputs [B, T, W] that `aggregate` names, of those of all tokens [B, T, tokens of a step, W].

        What an agent does not know at a step, its action and reward, is that of the step before; before the first, nothing.
        """
        if self.aggregate in ("states", "last"):
            return x[:, :, 0]
        before = F.pad(x[:, :-1, 2:], (0, 0, 0, 0, 1, 0))
        known = torch.cat([x[:, :, :2], before], 2)
        if self.aggregate == "all":
            return known.mean(2)
        return known[:, :, ("states", "returns", "actions", "rewards").index(self.aggregate)]

    def averaged(self, chunk_length: int) -> int:
        """Steps whose outputs are averaged in the vector of a chunk of so many steps."""
        return 1 if self.aggregate == "last" else chunk_length

    def remember(self, steps: Steps, caches: list[KVCache]) -> None:
        """Put [B, T] steps into the caches, as `forward` does, whose outputs are not wanted: the last block only keeps."""
        x = self.embedding(steps, caches[0].length)
        *blocks, last = self.blocks
        for block, cache in zip(blocks, caches[:-1], strict=True):
            x = block(x, None, cache, None)
        cast("Block", last).remember(x, caches[-1])

    @property
    def device(self) -> str:
        """Where the weights are."""
        return str(self.norm.weight.device)

    def new_caches(self, batch: int) -> list[KVCache]:
        """Empty caches for `batch` sequences, one per block."""
        weight = self.norm.weight
        shape = (batch, self.heads, self.positions * self.embedding.tokens_per_step, len(weight) // self.heads)
        return [KVCache(weight.new_zeros(shape), weight.new_zeros(shape)) for _ in self.blocks]
