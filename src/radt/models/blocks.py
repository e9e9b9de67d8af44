"""Pre-norm transformer blocks as in GPT-2, with an optional cross-attention (paper, Section 3.2) and a key-value cache."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LONGEST = 256
"""Up to the square of it, queries times keys, plain products in bfloat16 beat the fused attention on a CPU."""


@dataclass
class KVCache:
    """Keys and values of one block for the tokens seen so far: [B, heads, capacity, W / heads] each, `length` of them filled."""

    keys: Tensor
    values: Tensor
    length: int = 0
    real: Tensor | None = None
    """[B, capacity] which of them may be read; None: all"""

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values and return all that are filled."""
        end = self.length + keys.shape[2]
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def extended(self, more: int) -> KVCache:
        """A copy of what is filled, with room for `more` tokens."""
        keys, values = (F.pad(part[:, :, : self.length], (0, 0, 0, more)) for part in (self.keys, self.values))
        return KVCache(keys, values, self.length)

    def rows(self, rows: slice) -> KVCache:
        """The cache of some of the sequences, in the same memory; its length is its own."""
        return KVCache(self.keys[rows], self.values[rows], self.length, None if self.real is None else self.real[rows])


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, T, W] to [B, heads, T, W / heads]."""
    heads_last: Tensor = x.unflatten(-1, (heads, -1))
    return heads_last.transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, causal: bool) -> Tensor:
    """Scaled dot-product attention, heads joined: [B, heads, T, W / heads] to [B, T, W]; `mask` is true where it may look.

    Not under autocast. On CPUs the backward pass of torch's fused attention is several times slower in bfloat16 than in float32,
    and slower than plain matrix products where the scores are few; for one query it is slower, too. So these take plain products,
    all else is fused, in float32.
    """
    plain = (query.dtype == torch.bfloat16 and query.shape[2] * key.shape[2] <= LONGEST**2) or query.shape[2] == 1
    plain = plain and query.device.type == "cpu" and not dropout
    with torch.autocast(query.device.type, enabled=False):
        if plain:
            y = _attend_plain(query, key, value, mask, causal)
        else:
            y = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), mask, dropout, is_causal=causal)
    return y.transpose(1, 2).flatten(2)


def _attend_plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Attention as products of matrices, in the precision of the inputs; heads apart, [B, heads, T, W / heads].

    Keys and values are read where they are, unless heads and sequences are interleaved.
    """
    batch, heads, new, width = query.shape
    if mask is None and causal:
        mask = torch.ones(new, new, dtype=torch.bool, device=query.device).tril()
    query, key, value = query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1)
    if mask is None:
        scores = torch.bmm(query * width**-0.5, key.transpose(1, 2))
    else:
        bias = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -torch.inf)
        bias = bias.expand(batch, heads, -1, -1).flatten(0, 1) if bias.dim() == 4 else bias
        scores = torch.baddbmm(bias, query, key.transpose(1, 2), alpha=width**-0.5)
    read: Tensor = torch.bmm(scores.softmax(-1), value).unflatten(0, (batch, heads))
    return read


class SelfAttention(nn.Module):
    """Causal multi-head attention over the window."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(self, x: Tensor, padding: Tensor | None, cache: KVCache | None, allowed: Tensor | None = None) -> Tensor:
        """[B, T, W] to [B, T, W]; `padding` [B, T] is true for real tokens, None when all are; a cache has its own.

        `allowed` [B, 1, T, seen] says what each token may read, in place of all real ones up to itself.
        """
        query, key, value = self.project_in(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).contiguous()
        if cache is not None:
            key, value = cache.append(key, value)
        new, seen = query.shape[2], key.shape[2]
        mask = allowed
        if cache is not None and cache.real is not None:
            padding = cache.real[:, :seen]
        if mask is None and (padding is not None or (1 < new < seen)):
            mask = torch.ones(new, seen, dtype=torch.bool, device=x.device).tril(seen - new)
            if padding is not None:  # a padded token sees itself, so that its softmax is defined
                itself = torch.eye(seen, dtype=torch.bool, device=x.device)[seen - new :]
                mask = (mask & padding[:, None, None, :]) | itself
        dropout = self.dropout if self.training else 0.0
        projected: Tensor = self.project_out(attend(query, key, value, mask, dropout, mask is None and new > 1))
        return projected


@dataclass(frozen=True)
class ContextKV:
    """Keys and values [B S, heads, C, W / heads] of contexts, ready to be read more than once."""

    keys: Tensor
    values: Tensor
    allowed: Tensor
    """[B S, 1, 1, C] tokens that may be read; all of them where a segment has no context, so that the softmax is defined."""
    present: Tensor
    """[B S, 1, 1] whether the segment has a context."""
    segments: int

    def packed(self) -> ContextKV:
        """The same with keys and values laid out for one query at a time."""
        return replace(self, keys=self.keys.contiguous(), values=self.values.contiguous())


class CrossAttention(nn.Module):
    """Every token of a segment reads all tokens of that segment's context; a segment without context reads nothing."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.project_query = nn.Linear(width, width)
        self.project_context = nn.Linear(width, 2 * width)
        self.project_out = nn.Linear(width, width)

    def project(self, context: Tensor, mask: Tensor) -> ContextKV:
        """What is read of a context [B, S, C, W], whose `mask` [B, S, C] is true for real tokens; a segment may have none."""
        both = self.project_context(context.flatten(0, 1)).unflatten(-1, (2, self.heads, -1))
        key, value = both.permute(2, 0, 3, 1, 4).contiguous()
        real = mask.flatten(0, 1)
        present = real.any(-1)[:, None, None]
        return ContextKV(key, value, (real[:, None] | ~present)[:, None], present, context.shape[1])

    def forward(self, x: Tensor, context_kv: ContextKV) -> Tensor:
        """[B, T, W] to [B, T, W]; the first T / S tokens are segment 0, and so on."""
        query = self.project_query(x).unflatten(1, (context_kv.segments, -1)).flatten(0, 1)
        dropout = self.dropout if self.training else 0.0
        y = attend(split_heads(query, self.heads), context_kv.keys, context_kv.values, context_kv.allowed, dropout, False)
        segmented: Tensor = (self.project_out(y) * context_kv.present).unflatten(0, (-1, context_kv.segments))
        return segmented.flatten(1, 2)


class Block(nn.Module):
    """LN, self-attention; LN, cross-attention (where there is one); LN, MLP; each with a residual."""

    def __init__(self, width: int, heads: int, dropout: float, cross_attention: bool):
        super().__init__()
        self.norm_self, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attention = SelfAttention(width, heads, dropout)
        self.cross_attention = CrossAttention(width, heads, dropout) if cross_attention else None
        self.norm_cross = nn.LayerNorm(width) if cross_attention else None
        self.mlp_in, self.mlp_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(
        self,
        x: Tensor,
        padding: Tensor | None,
        cache: KVCache | None,
        context_kv: ContextKV | None,
        allowed: Tensor | None = None,
    ) -> Tensor:
        """[B, T, W] to [B, T, W]; see `SelfAttention`."""
        x = x + self.dropout(self.self_attention(self.norm_self(x), padding, cache, allowed))
        if self.cross_attention is not None and self.norm_cross is not None and context_kv is not None:
            x = x + self.dropout(self.cross_attention(self.norm_cross(x), context_kv))
        y: Tensor = x + self.dropout(self.mlp_out(F.gelu(self.mlp_in(self.norm_mlp(x)))))
        return y

    def remember(self, x: Tensor, cache: KVCache) -> None:
        """Put the keys and values of tokens [B, T, W] into the cache, as `forward` does, and compute nothing more."""
        attention = self.self_attention
        cache.append(*(split_heads(part, attention.heads) for part in attention.project_in(self.norm_self(x)).chunk(3, -1)[1:]))


def initialize(module: nn.Module, layers: int) -> None:
    """GPT-2 initialisation: N(0, 0.02), residual projections divided by sqrt(2 layers), zero biases."""
    for name, parameter in module.named_parameters():
        if parameter.dim() < 2:
            continue
        residual = name.endswith(("project_out.weight", "mlp_out.weight"))
        nn.init.normal_(parameter, 0.0, 0.02 / (math.sqrt(2 * layers) if residual else 1.0))
    for part in module.modules():
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
