"""`Steps`: the input of every network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


def moved(tensor: Tensor, device: str) -> Tensor:
    """A tensor of a batch on a device; copies to a GPU use pinned memory, so that the CPU does not wait for them."""
    if tensor.device.type == "cpu" and device.startswith("cuda"):
        return tensor.contiguous().pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


@dataclass(frozen=True)
class Steps:
    """Windows of steps, padded on the right where `mask` is false.

    `previous_action` and `previous_reward` belong to the step before, so that a token form can leave out the action that is to be
    predicted. At the first step of an episode they are "no action" (in each dimension the code after its last one) and 0.
    `action` and `reward` belong to the step itself.
    """

    observation: Tensor
    """[..., T, D] int64 codes or float32 numbers; [..., T, H, W, C] uint8 images"""
    returns: Tensor
    """[..., T] float32, return-to-go: sum of rewards from this step to the end of the episode"""
    previous_action: Tensor
    """[..., T, A] int64"""
    previous_reward: Tensor
    """[..., T] float32"""
    received: Tensor
    """[..., T] float32, sum of the rewards of the episode before the step"""
    action: Tensor
    """[..., T, A] int64"""
    reward: Tensor
    """[..., T] float32"""
    time: Tensor
    """[..., T] int64, step of the episode, from 0"""
    mask: Tensor
    """[..., T] bool, true for real steps"""

    def map(self, function: Callable[[Tensor], Tensor]) -> Steps:
        """The same steps with `function` applied to every tensor."""
        return Steps(**{field.name: function(getattr(self, field.name)) for field in fields(self)})

    def to(self, device: str) -> Steps:
        """The same steps on a device."""
        return self.map(lambda tensor: moved(tensor, device))

    def without_actions(self, sizes: tuple[int, ...]) -> Steps:
        """The same steps with "no action" as their previous actions, of dimensions with `sizes` codes."""
        return replace(self, previous_action=self.previous_action.new_tensor(sizes).expand_as(self.previous_action))

    def __getitem__(self, index: object) -> Steps:
        """Index every tensor alike."""
        return self.map(lambda tensor: tensor[index])  # type: ignore[index]


def concatenate(parts: list[Steps], dim: int) -> Steps:
    """Concatenate steps along `dim` (1 is time for [B, T] batches)."""
    return Steps(**{field.name: torch.cat([getattr(part, field.name) for part in parts], dim) for field in fields(Steps)})
