"""The Decision Transformer, which also is Algorithm Distillation's network (without returns-to-go, over two episodes)."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from radt.data.steps import Steps
from radt.models.blocks import Block, KeyValues, initialize
from radt.models.embedding import Embedding
from radt.settings import Experiment, Model
from radt.tasks.grid import ACTIONS


class DecisionTransformer(nn.Module):
    """GPT-2-like decoder that predicts the action of every step of a window (paper, Section 3.1).

    Args:
        model: sizes and token form.
        experiment: the room, for the sizes of the tables.
        returns: condition on returns-to-go (DT) or not (AD).
        positions: longest window, in steps.
    """

    def __init__(self, model: Model, experiment: Experiment, returns: bool, positions: int):
        super().__init__()
        self.embedding = Embedding(model, experiment, returns, positions)
        self.blocks = nn.ModuleList(Block(model.width, model.heads, model.dropout, False) for _ in range(model.layers))
        self.norm = nn.LayerNorm(model.width)
        self.head = nn.Linear(model.width, ACTIONS)
        self.heads, self.positions = model.heads, positions
        initialize(self, model.layers)

    def forward(self, steps: Steps, caches: list[KeyValues] | None = None) -> tuple[Tensor, Tensor]:
        """Action logits [B, T, A] and state outputs [B, T, W] of [B, T] steps.

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
        return self.head(x[:, :, self.embedding.action_token]), x[:, :, 0]

    def remember(self, steps: Steps, caches: list[KeyValues]) -> None:
        """Put [B, T] steps into the caches, as `forward` does, whose outputs are not wanted: the last block only keeps."""
        x = self.embedding(steps, caches[0].length)
        *blocks, last = self.blocks
        for block, cache in zip(blocks, caches[:-1], strict=True):
            x = block(x, None, cache, None)
        cast("Block", last).remember(x, caches[-1])

    @property
    def device(self) -> str:
        """Where the weights are."""
        return str(self.head.weight.device)

    def new_caches(self, batch: int) -> list[KeyValues]:
        """Empty caches for `batch` sequences, one per block."""
        weight = self.head.weight
        shape = (batch, self.heads, self.positions * self.embedding.tokens_per_step, weight.shape[1] // self.heads)
        return [KeyValues(weight.new_zeros(shape), weight.new_zeros(shape)) for _ in self.blocks]
