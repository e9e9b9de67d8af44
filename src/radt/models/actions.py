"""Action heads with their losses, action embeddings, and sampling.

An action is A codes, one for each dimension. Logits [..., sum of sizes] are the logits of all dimensions, concatenated.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radt.errors import RadtError
from radt.spaces import Spec


class CodesHead(nn.Linear):
    """Linear head for the logits of all codes; the loss is the cross-entropy, averaged over dimensions."""

    def __init__(self, width: int, spec: Spec):
        super().__init__(width, sum(spec.actions))
        self.sizes = spec.actions

    def logits(self, outputs: Tensor) -> Tensor:
        """Logits [..., sum of sizes]: the outputs themselves."""
        return outputs

    def loss(self, outputs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss of outputs [N, O] for actions [N, A], and the accuracy: the share of codes with the highest logit."""
        parts = list(zip(outputs.float().split(self.sizes, -1), action.unbind(-1), strict=True))
        losses = torch.stack([F.cross_entropy(logits, codes) for logits, codes in parts])
        right = torch.stack([logits.argmax(-1) == codes for logits, codes in parts])
        return losses.mean(), right.float().mean()


class RegressionHead(nn.Linear):
    """The published head of continuous actions: a number from -1 to 1 for each dimension, trained by squared error.

    Paper: the target is the stored action; here: the nearest value that has a code, because networks read codes.
    """

    SHARPNESS = 8.0  # of the logits around the predicted number; only sampling depends on it

    def __init__(self, width: int, spec: Spec):
        super().__init__(width, len(spec.actions))
        self.sizes = spec.actions

    def forward(self, x: Tensor) -> Tensor:
        """[..., W] to [..., A]."""
        return torch.tanh(super().forward(x))

    def logits(self, outputs: Tensor) -> Tensor:
        """Logits [..., sum of sizes] of outputs [..., A]; the code nearest to the output is the likeliest."""
        values = [torch.linspace(-1.0, 1.0, size, device=outputs.device) for size in self.sizes]
        steps = [(outputs[..., number, None] - value) * (len(value) - 1) for number, value in enumerate(values)]
        return torch.cat([-self.SHARPNESS * step**2 for step in steps], -1)

    def loss(self, outputs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """See `CodesHead.loss`."""
        most = torch.tensor(self.sizes, device=action.device) - 1
        codes = ((outputs.float() + 1.0) / 2.0 * most).round()
        return F.mse_loss(outputs.float(), 2.0 * action / most - 1.0), (codes == action).float().mean()


Head = CodesHead | RegressionHead


def action_head(kind: Literal["codes", "regression"], width: int, spec: Spec) -> Head:
    """An untrained head; raises `RadtError` for kind `regression` where actions are not continuous."""
    if kind == "codes":
        return CodesHead(width, spec)
    if not spec.continuous:
        raise RadtError("model.head is 'regression', but the actions of the experiment are codes: set it to codes")
    return RegressionHead(width, spec)


class ActionEmbedding(nn.Embedding):
    """A row for every code of every dimension of an action; with `none`, each dimension has a last row for "no action"."""

    first: Tensor

    def __init__(self, spec: Spec, width: int, none: bool = True):
        sizes = [size + none for size in spec.actions]
        super().__init__(sum(sizes), width)
        self.register_buffer("first", torch.tensor([0, *sizes[:-1]]).cumsum(0), persistent=False)

    def rows(self, action: Tensor) -> list[Tensor]:
        """Row numbers: A tensors [...] for actions [..., A]."""
        return list((action + self.first).unbind(-1))


def choose(
    logits: Tensor,
    sizes: tuple[int, ...],
    how: Literal["greedy", "top_half", "sample"],
    temperature: float,
    random: np.random.Generator,
) -> Tensor:
    """Actions [B, A] from logits [B, sum of sizes], each dimension by itself.

    `greedy` takes the code with the highest logit. `sample` samples from the softmax at a temperature. `top_half` does so among
    logits strictly above their median; the published code calls this `top_p: 0.5`.
    """
    if how == "greedy":
        return torch.stack([part.argmax(-1) for part in logits.split(sizes, -1)], -1)
    noise = torch.from_numpy(random.gumbel(size=tuple(logits.shape))).float()
    parts = zip(logits.split(sizes, -1), noise.split(sizes, -1), strict=True)
    return torch.stack([_sampled(part, own, how, temperature) for part, own in parts], -1)


def _sampled(logits: Tensor, noise: Tensor, how: Literal["top_half", "sample"], temperature: float) -> Tensor:
    """Codes [B] of one dimension, from logits and Gumbel noise [B, size]."""
    if how == "top_half":
        median = torch.quantile(logits, 0.5, dim=-1, keepdim=True)
        logits = logits.masked_fill(logits <= median, -torch.inf)
    return (logits / temperature + noise).argmax(-1)
