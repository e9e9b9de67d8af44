"""The Decision-Pretrained Transformer (Lee et al., 2023): reads transitions as a set, answers with the best action of a state."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from radt.data.transitions import Transitions
from radt.models.blocks import Block, KeyValues, initialize
from radt.models.embedding import Coordinates, sum_rows
from radt.settings import Experiment, Model
from radt.suites.grid.engine import ACTIONS


class DecisionPretrainedTransformer(nn.Module):
    """Predicts the best action of query states from a context of transitions of the same task.

    A transition is one token, the sum of the embeddings of state, action, reward and next state, without any position or time.
    Where a position is not the whole state, it also tells what the episode had brought before, as does a query (ours): whether
    the key is held, how many goals are reached. Lee et al. give the true state.
    Tokens of the context read those before them; a query reads a beginning of the context and itself, no other query. So one
    encoding of the context serves queries that have seen more or less of it, as well as all steps of an episode. (Lee et al. put
    the query first and predict at every token of the context; here it comes last, which the paper's Algorithm allows, too.)

    Args:
        model: sizes; `tokens`, `window` and `return_bin` are not used.
        experiment: the world, for the sizes of the tables.
    """

    def __init__(self, model: Model, experiment: Experiment):
        super().__init__()
        sizes = experiment.observation_sizes
        self.place = Coordinates(sizes, model.width)
        self.next_place = Coordinates(sizes, model.width)
        self.nowhere = nn.Embedding(len(sizes), model.width)
        self.action = nn.Embedding(ACTIONS, model.width)
        self.query = nn.Embedding(1, model.width)
        self.received = nn.Embedding(experiment.phases, model.width) if experiment.phases > 1 else None
        self.reward = nn.Linear(1, model.width)
        self.norm_in = nn.LayerNorm(model.width)
        self.dropout = nn.Dropout(model.dropout) if model.dropout else nn.Identity()
        self.blocks = nn.ModuleList(Block(model.width, model.heads, model.dropout, False) for _ in range(model.layers))
        self.norm = nn.LayerNorm(model.width)
        self.head = nn.Linear(model.width, ACTIONS)
        self.heads = model.heads
        initialize(self, model.layers)

    def embed(self, context: Transitions) -> Tensor:
        """Tokens [B, C, W] of [B, C] transitions."""
        table = torch.cat([self.place.table(), self.next_place.table(), self.nowhere.weight, self.action.weight, *self._phases()])
        size = len(self.place.fraction)
        nowhere = 2 * size + torch.arange(len(self.nowhere.weight), device=table.device)
        following = torch.where(context.ended[..., None], nowhere, self.next_place.rows(context.following) + size)
        action = context.action + (2 * size + len(nowhere))
        rows = [*self.place.rows(context.observation).unbind(-1), *following.unbind(-1), action]
        rows += [context.received + len(table) - len(phases) for phases in self._phases()]
        embedded: Tensor = self.dropout(self.norm_in(sum_rows(table, rows) + self.reward(context.reward[..., None])))
        return embedded

    def encode(self, context: Transitions, queries: int) -> list[KeyValues]:
        """Keys and values of [B, C] transitions in every block, with room for those of `queries` queries."""
        x = self.embed(context)
        *blocks, last = self.blocks
        memory = [self._empty(x) for _ in self.blocks]
        for block, cache in zip(blocks, memory[:-1], strict=True):
            x = block(x, None, cache, None)
        cast("Block", last).remember(x, memory[-1])
        return [cache.extended(queries) for cache in memory]

    def forward(self, observation: Tensor, received: Tensor, memory: list[KeyValues], read: Tensor) -> Tensor:
        """Action logits [B, Q, A] of states, which read the first `read` [B, Q] transitions of a `memory`.

        A state is an observation [B, Q, D] and what was `received` before [B, Q], as in `Transitions`. The memory holds the same
        afterwards, so that it can be read again.
        """
        queries, seen = observation.shape[1], memory[0].length
        rows = self.place.rows(observation)
        table = torch.cat([self.place.table(), self.query.weight, *self._phases()])
        marker = torch.full_like(rows[..., 0], len(self.place.fraction))
        phase = [received + len(table) - len(phases) for phases in self._phases()]
        x = self.dropout(self.norm_in(sum_rows(table, [*rows.unbind(-1), marker, *phase])))
        reads = torch.arange(seen, device=x.device) < read[..., None]
        itself = torch.eye(queries, dtype=torch.bool, device=x.device).expand(len(reads), -1, -1)
        allowed = torch.cat([reads, itself], -1)[:, None]
        for block, cache in zip(self.blocks, memory, strict=True):
            x = block(x, None, cache, None, allowed)
            cache.length = seen
        logits: Tensor = self.head(self.norm(x))
        return logits

    @property
    def device(self) -> str:
        """Where the weights are."""
        return str(self.head.weight.device)

    def _phases(self) -> list[Tensor]:
        """The rows of `received`, if there are any."""
        return [] if self.received is None else [self.received.weight]

    def _empty(self, x: Tensor) -> KeyValues:
        """An empty cache for tokens [B, C, W], in the precision of products."""
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        shape = (x.shape[0], self.heads, x.shape[1], x.shape[2] // self.heads)
        return KeyValues(x.new_zeros(shape, dtype=dtype), x.new_zeros(shape, dtype=dtype))
