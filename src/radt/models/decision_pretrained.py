"""The Decision-Pretrained Transformer (DPT; Lee et al., 2023): predicts the best action of a state from a set of transitions."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from radt.data.trajectories import Statistics
from radt.data.transitions import Transitions
from radt.models.actions import ActionEmbedding, action_head
from radt.models.blocks import Block, KVCache, initialize
from radt.models.embedding import Part, ScaledNumber, embedded
from radt.models.observations import observation_embedding
from radt.settings.models import Model
from radt.spaces import Counts, Spec


class DecisionPretrainedTransformer(nn.Module):
    """Predicts the best action of query states from a context of transitions of the same task.

    A transition is one token: the sum of the embeddings of state, action, reward and next state, without position or time.

    Lee et al.: transitions hold the true state; here: where an observation is not the whole state, transitions and queries also
    hold the rewards of the episode so far, because these tell whether the key is held or how many goals are reached.

    Lee et al.: the query comes first, and every token of the context predicts; here: the query comes last (as the paper's
    Algorithm allows). A token of the context reads the tokens before it. A query reads the first tokens of the context and
    itself, but no other query. So one KV cache of the context serves all queries, however much of the context each reads.

    Args:
        model: sizes; `tokens`, `window` and `return_bin` are not used.
        spec: observations, actions and rewards.
        statistics: as for `DecisionTransformer`.
    """

    def __init__(self, model: Model, spec: Spec, statistics: Statistics | None = None):
        super().__init__()
        width, scale = model.width, 1.0 if isinstance(spec.rewards, Counts) else spec.rewards.scale
        self.place = observation_embedding(spec, model, statistics)
        self.next_place = observation_embedding(spec, model, statistics)
        self.nowhere = nn.Embedding(self.place.parts, width)
        self.action = ActionEmbedding(spec, width, none=False)
        self.query = nn.Embedding(1, width)
        self.received = _received(spec, width)
        self.reward = ScaledNumber(width, scale)
        self.norm_in = nn.LayerNorm(width)
        self.dropout = nn.Dropout(model.dropout) if model.dropout else nn.Identity()
        self.blocks = nn.ModuleList(Block(width, model.heads, model.dropout, False) for _ in range(model.layers))
        self.norm = nn.LayerNorm(width)
        self.head = action_head(model.head, width, spec)
        self.heads = model.heads
        initialize(self, model.layers)

    def embed(self, context: Transitions) -> Tensor:
        """Tokens [B, C, W] of [B, C] transitions."""
        table = torch.cat([self.place.table(), self.next_place.table(), self.nowhere.weight, self.action.weight, *self._phases()])
        actions = [row + (2 * self.place.count + self.nowhere.num_embeddings) for row in self.action.rows(context.action)]
        parts = self._seen(context.observation), self._following(context), Part(actions)
        tokens = embedded(table, *parts, self._reward_phase(context.received, len(table)), Part([], self.reward(context.reward)))
        normed: Tensor = self.dropout(self.norm_in(tokens))
        return normed

    def encode(self, context: Transitions, queries: int) -> list[KVCache]:
        """KV caches of [B, C] transitions, one for each block, with room for `queries` queries."""
        x = self.embed(context)
        *blocks, last = self.blocks
        memory = [self._empty(x) for _ in self.blocks]
        for block, cache in zip(blocks, memory[:-1], strict=True):
            x = block(x, None, cache, None)
        cast("Block", last).remember(x, memory[-1])
        return [cache.extended(queries) for cache in memory]

    def forward(self, observation: Tensor, received: Tensor, memory: list[KVCache], read: Tensor) -> Tensor:
        """Outputs of the head [B, Q, O] for query states, each of which reads the first `read` [B, Q] transitions of a `memory`.

        A state is an observation [B, Q, D] and the rewards of the episode so far, `received` [B, Q], as in `Transitions`. The KV
        caches of the memory are left as they were.
        """
        queries, seen = observation.shape[1], memory[0].length
        table = torch.cat([self.place.table(), self.query.weight, *self._phases()])
        marker = torch.full(read.shape, self.place.count, device=table.device)
        tokens = embedded(table, self._seen(observation), Part([marker]), self._reward_phase(received, len(table)))
        x = self.dropout(self.norm_in(tokens))
        reads = torch.arange(seen, device=x.device) < read[..., None]  # [B, Q, C]
        itself = torch.eye(queries, dtype=torch.bool, device=x.device).expand(len(reads), -1, -1)  # [B, Q, Q]
        allowed = torch.cat([reads, itself], -1)[:, None]  # [B, 1, Q, C + Q]
        for block, cache in zip(self.blocks, memory, strict=True):
            x = block(x, None, cache, None, allowed)
            cache.length = seen
        outputs: Tensor = self.head(self.norm(x))
        return outputs

    @property
    def device(self) -> str:
        """Device of the weights."""
        return str(self.norm.weight.device)

    def _phases(self) -> list[Tensor]:
        """The table of `received`, if it has one."""
        return [self.received.weight] if isinstance(self.received, nn.Embedding) else []

    def _seen(self, observation: Tensor) -> Part:
        """Embedding of observations [..., D]."""
        return Part(self.place.rows(observation), self.place.added(observation))

    def _following(self, context: Transitions) -> Part:
        """Embedding of next states; where the episode has ended, of "no state"."""
        size, seen = self.place.count, self.next_place.added(context.following)
        if seen is not None:
            return Part([], torch.where(context.ended[..., None], self.nowhere.weight[0].to(seen.dtype), seen))
        rows = enumerate(self.next_place.rows(context.following))
        return Part([torch.where(context.ended, 2 * size + number, row + size) for number, row in rows])

    def _reward_phase(self, received: Tensor, rows: int) -> Part:
        """Embedding of the rewards so far [...]: one of the last of the `rows` of a table, a linear layer, or nothing."""
        if isinstance(self.received, nn.Embedding):
            return Part([received + rows - self.received.num_embeddings])
        return Part([], None if self.received is None else self.received(received))

    def _empty(self, x: Tensor) -> KVCache:
        """An empty KV cache for tokens [B, C, W], in autocast's precision."""
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        shape = (x.shape[0], self.heads, x.shape[1], x.shape[2] // self.heads)
        return KVCache(x.new_zeros(shape, dtype=dtype), x.new_zeros(shape, dtype=dtype))


def _received(spec: Spec, width: int) -> nn.Embedding | ScaledNumber | None:
    """An untrained embedding of the rewards so far; None where the state does not depend on them."""
    if not isinstance(spec.rewards, Counts):
        return ScaledNumber(width, spec.rewards.scale)
    return nn.Embedding(spec.rewards.phases, width) if spec.rewards.phases > 1 else None
