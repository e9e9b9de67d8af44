"""Pre-norm transformer blocks as in GPT-2, with optional cross-attention (paper, Section 3.2) and a KV cache."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LONGEST = 256
"""On a CPU in bfloat16, plain products are faster than fused attention up to LONGEST^2 scores (queries x keys)."""


@dataclass
class KVCache:
    """KV cache of one block: keys and values [B, heads, capacity, W / heads], of which the first `length` tokens are filled."""

    keys: Tensor
    values: Tensor
    length: int = 0
    real: Tensor | None = None
    """[B, capacity] tokens that may be read; None: all"""

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store keys and values [B, heads, T, W / heads] of new tokens; returns all [B, heads, length, W / heads]."""
        end = self.length + keys.shape[2]
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def extended(self, more: int) -> KVCache:
        """A copy of the filled part, with room for `more` tokens."""
        keys, values = (F.pad(part[:, :, : self.length], (0, 0, 0, more)) for part in (self.keys, self.values))
        return KVCache(keys, values, self.length)

    def rows(self, rows: slice) -> KVCache:
        """The cache of some of the B sequences: a view, but with a `length` of its own."""
        return KVCache(self.keys[rows], self.values[rows], self.length, None if self.real is None else self.real[rows])


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, T, W] to [B, heads, T, W / heads]."""
    heads_last: Tensor = x.unflatten(-1, (heads, -1))
    return heads_last.transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, causal: bool) -> Tensor:
    """Scaled dot-product attention, heads joined: [B, heads, T, W / heads] to [B, T, W]; `mask` is true where a query may look.

    Runs without autocast. On CPUs the backward pass of torch's fused attention is several times slower in bfloat16 than in
    float32, and slower than plain matrix products for few scores or for one query. These cases use plain products; all others use
    fused attention in float32.
    """
    plain = (query.dtype == torch.bfloat16 and query.shape[2] * key.shape[2] <= LONGEST**2) or query.shape[2] == 1
    plain = plain and query.device.type == "cpu" and not dropout
    with torch.autocast(query.device.type, enabled=False):
        if plain:
            y = _attend_plain(query, key, value, mask, causal)
        else:
            y = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), mask, dropout, is_causal=causal)
    return y.transpose(1, 2).flatten(2)  # [B, T, W]


def _attend_plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Attention as matrix products, in the precision of the inputs: [B, heads, T, W / heads], heads not joined.

    Keys and values are copied only where `flatten` must copy them.
    """
    batch, heads, new, width = query.shape
    if mask is None and causal:
        mask = torch.ones(new, new, dtype=torch.bool, device=query.device).tril()
    query, key, value = query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1)  # [B heads, T, W / heads]
    if mask is None:
        scores = torch.bmm(query * width**-0.5, key.transpose(1, 2))
    else:
        bias = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -torch.inf)
        bias = bias.expand(batch, heads, -1, -1).flatten(0, 1) if bias.dim() == 4 else bias
        scores = torch.baddbmm(bias, query, key.transpose(1, 2), alpha=width**-0.5)  # [B heads, T, seen]
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
        """[B, T, W] to [B, T, W]. `padding` [B, T] is true for real tokens; None: all are real. A cache replaces it by `real`.

        `allowed` [B, 1, T, seen] is an attention mask in place of the causal one, true where a token may read.
        """
        query, key, value = self.project_in(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).contiguous()
        # each [B, heads, T, W / heads]
        if cache is not None:
            key, value = cache.append(key, value)
        new, seen = query.shape[2], key.shape[2]
        mask = allowed
        if cache is not None and cache.real is not None:
            padding = cache.real[:, :seen]
        if mask is None and (padding is not None or (1 < new < seen)):
            mask = torch.ones(new, seen, dtype=torch.bool, device=x.device).tril(seen - new)  # [T, seen], causal
            if padding is not None:  # a padded token sees itself, so that its softmax is defined
                itself = torch.eye(seen, dtype=torch.bool, device=x.device)[seen - new :]
                mask = (mask & padding[:, None, None, :]) | itself
        dropout = self.dropout if self.training else 0.0
        projected: Tensor = self.project_out(attend(query, key, value, mask, dropout, mask is None and new > 1))
        return projected


@dataclass(frozen=True)
class ContextKV:
    """Projected keys and values [B S, heads, C, W / heads] of contexts, which can be read more than once."""

    keys: Tensor
    values: Tensor
    allowed: Tensor
    """[B S, 1, 1, C] tokens that may be read; all true where a segment has no context, so that the softmax is defined."""
    present: Tensor
    """[B S, 1, 1] whether the segment has a context."""
    segments: int
    """S, segments of a window."""

    def packed(self) -> ContextKV:
        """The same with contiguous keys and values, which single queries read faster."""
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
        """Keys and values of a context [B, S, C, W], whose `mask` [B, S, C] is true for real tokens; a segment may have none."""
        both = self.project_context(context.flatten(0, 1)).unflatten(-1, (2, self.heads, -1))
        key, value = both.permute(2, 0, 3, 1, 4).contiguous()  # each [B S, heads, C, W / heads]
        real = mask.flatten(0, 1)
        present = real.any(-1)[:, None, None]
        return ContextKV(key, value, (real[:, None] | ~present)[:, None], present, context.shape[1])

    def forward(self, x: Tensor, context_kv: ContextKV) -> Tensor:
        """[B, T, W] to [B, T, W]; the first T / S tokens are segment 0, the next T / S segment 1, and so on."""
        query = self.project_query(x).unflatten(1, (context_kv.segments, -1)).flatten(0, 1)  # [B S, T / S, W]
        dropout = self.dropout if self.training else 0.0
        y = attend(split_heads(query, self.heads), context_kv.keys, context_kv.values, context_kv.allowed, dropout, False)
        segmented: Tensor = (self.project_out(y) * context_kv.present).unflatten(0, (-1, context_kv.segments))
        return segmented.flatten(1, 2)  # [B, S, T / S, W] to [B, T, W]


class Block(nn.Module):
    """Self-attention, optional cross-attention and MLP, each after a LayerNorm and with a residual."""

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
        """Append keys and values of tokens [B, T, W] to the cache, as `forward` does, without computing outputs."""
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
