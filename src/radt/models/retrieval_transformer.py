"""The retrieval-augmented Decision Transformer (paper, Section 3.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor, nn

from radt.data.steps import Steps
from radt.data.trajectories import Statistics
from radt.models.actions import action_head
from radt.models.blocks import Block, ContextKV, CrossAttention, KVCache, initialize
from radt.models.embedding import Embedding
from radt.settings.models import Model
from radt.spaces import Spec


class RetrievalTransformer(nn.Module):
    """Decision Transformer whose blocks read retrieved sub-trajectories by cross-attention.

    The context is embedded by a separate embedding (published) or by the one of the window, and is read without a further
    encoder. A context step carries its own action and reward, a window step those of the step before, because its own action is
    to be predicted.

    Args:
        model: sizes and token form.
        spec: observations, actions and rewards.
        cross_attention: blocks that read the context: the first, all, or a list of their numbers.
        shared: whether context and window share one embedding.
        context_steps: steps of a context (chunks concatenated in time).
        statistics: as for `DecisionTransformer`.
    """

    def __init__(
        self,
        model: Model,
        spec: Spec,
        cross_attention: Literal["first", "all"] | list[int],
        shared: bool,
        context_steps: int,
        statistics: Statistics | None = None,
    ):
        super().__init__()
        positions = max(model.window, context_steps) if shared else model.window
        self.embedding = Embedding(model, spec, True, positions, statistics)
        self.context_embedding = None if shared else Embedding(model, spec, True, context_steps, statistics)
        named = {"first": [0], "all": list(range(model.layers))}
        reading_blocks = named[cross_attention] if isinstance(cross_attention, str) else cross_attention
        self.blocks = nn.ModuleList(
            Block(model.width, model.heads, model.dropout, number in reading_blocks) for number in range(model.layers)
        )
        self.norm = nn.LayerNorm(model.width)
        self.head = action_head(model.head, model.width, spec)
        self.heads, self.positions = model.heads, model.window
        self.hidden = spec.actions if model.past_actions == "hidden" else None
        initialize(self, model.layers)

    def read(self, context: Steps) -> list[ContextKV | None]:
        """Projected keys and values of [B, S, C] retrieved steps for each block; None for blocks without cross-attention."""
        finished = replace(context, previous_action=context.action, previous_reward=context.reward)
        tokens = (self.context_embedding or self.embedding)(finished)
        mask = context.mask.repeat_interleave(self.embedding.tokens_per_step, -1)
        context_kvs: list[ContextKV | None] = []
        for block in self.blocks:
            part = block.cross_attention
            context_kvs.append(part.project(tokens, mask) if isinstance(part, CrossAttention) else None)
        return context_kvs

    def forward(self, steps: Steps, context_kvs: list[ContextKV | None] | None, caches: list[KVCache] | None = None) -> Tensor:
        """Outputs of the head [B, T, O].

        Args:
            steps: [B, T] windows; with `caches`, the steps that follow those in the caches.
            context_kvs: from `read`; segment s of the window (T / S steps) reads context s. None: no context.
            caches: KV caches, as in `DecisionTransformer.forward`.
        """
        seen = steps.without_actions(self.hidden) if self.hidden else steps
        x = self.embedding(seen, caches[0].length if caches else 0)
        per_step = self.embedding.tokens_per_step
        padding = None
        if caches is None and not bool(steps.mask.all()):
            padding = steps.mask.repeat_interleave(per_step, -1)
        for number, block in enumerate(self.blocks):
            x = block(x, padding, caches[number] if caches else None, context_kvs[number] if context_kvs else None)
        x = self.norm(x).unflatten(1, (-1, per_step))  # [B, T, tokens of a step, W]
        outputs: Tensor = self.head(x[:, :, self.embedding.action_token])
        return outputs

    @property
    def device(self) -> str:
        """Device of the weights."""
        return str(self.norm.weight.device)

    def new_caches(self, batch: int) -> list[KVCache]:
        """Empty KV caches for `batch` sequences, one for each block."""
        weight = self.norm.weight
        shape = (batch, self.heads, self.positions * self.embedding.tokens_per_step, len(weight) // self.heads)
        return [KVCache(weight.new_zeros(shape), weight.new_zeros(shape)) for _ in self.blocks]
