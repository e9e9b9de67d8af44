"""The Decision Transformer. Without returns-to-go and over two episodes it is the network of Algorithm Distillation (AD)."""

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
        spec: observations, actions and rewards.
        returns: condition on returns-to-go (DT) or not (AD).
        positions: longest window, in steps.
        aggregate: outputs of which tokens make vectors of sub-trajectories (`Embed.aggregate`).
        statistics: mean and deviation of observations that are numbers; None where weights are loaded, which hold them.
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
        self.hidden = spec.actions if returns and model.past_actions == "hidden" else None
        initialize(self, model.layers)

    def forward(self, steps: Steps, caches: list[KVCache] | None = None) -> tuple[Tensor, Tensor]:
        """Of [B, T] steps, outputs of the head [B, T, O], and the outputs [B, T, W] from which vectors are made (`aggregate`).

        With KV caches (token form `step` only), the steps follow the cached ones.
        """
        start = caches[0].length if caches else 0
        x = self.embedding(self._seen(steps), start)
        padding = None
        if caches is None and not bool(steps.mask.all()):
            padding = steps.mask.repeat_interleave(self.embedding.tokens_per_step, -1)
        for number, block in enumerate(self.blocks):
            x = block(x, padding, caches[number] if caches else None, None)
        x = self.norm(x).unflatten(1, (-1, self.embedding.tokens_per_step))  # [B, T, tokens of a step, W]
        return self.head(x[:, :, self.embedding.action_token]), self._outputs(x)

    def _seen(self, steps: Steps) -> Steps:
        """What the network sees of steps. AD, which also reads a finished episode, hides actions by itself."""
        return steps.without_actions(self.hidden) if self.hidden else steps

    def _outputs(self, x: Tensor) -> Tensor:
        """The outputs [B, T, W] that `aggregate` names, from outputs [B, T, tokens of a step, W].

        An agent does not know action and reward of the present step, so those of the step before take their place; zeros before
        the first step.
        """
        if self.aggregate in ("states", "last"):
            return x[:, :, 0]
        before = F.pad(x[:, :-1, 2:], (0, 0, 0, 0, 1, 0))
        known = torch.cat([x[:, :, :2], before], 2)
        if self.aggregate == "all":
            return known.mean(2)
        return known[:, :, ("states", "returns", "actions", "rewards").index(self.aggregate)]

    def averaged(self, chunk_length: int) -> int:
        """Number of steps whose outputs are averaged in the vector of a chunk."""
        return 1 if self.aggregate == "last" else chunk_length

    def remember(self, steps: Steps, caches: list[KVCache]) -> None:
        """Append [B, T] steps to the KV caches, as `forward` does, without computing outputs of the last block."""
        x = self.embedding(self._seen(steps), caches[0].length)
        *blocks, last = self.blocks
        for block, cache in zip(blocks, caches[:-1], strict=True):
            x = block(x, None, cache, None)
        cast("Block", last).remember(x, caches[-1])

    @property
    def device(self) -> str:
        """Device of the weights."""
        return str(self.norm.weight.device)

    def new_caches(self, batch: int) -> list[KVCache]:
        """Empty KV caches for `batch` sequences, one for each block."""
        weight = self.norm.weight
        shape = (batch, self.heads, self.positions * self.embedding.tokens_per_step, len(weight) // self.heads)
        return [KVCache(weight.new_zeros(shape), weight.new_zeros(shape)) for _ in self.blocks]
