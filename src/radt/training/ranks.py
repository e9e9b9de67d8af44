"""Data-parallel training in several processes: the rows of each process, and the sum of gradients.

torchrun starts and numbers the processes (`radt.training.torchrun`); each is a *rank*. All have the same weights. In an update,
each rank computes its rows of the batch, and the gradients of all ranks are summed: one step on the whole batch. Another number
of ranks changes the order of additions and the masks of dropout.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from radt import devices, seeding
from radt.machine import rank, world_size

LOST = 70
"""Exit status of a rank that has lost the connection to another rank."""
WAIT = timedelta(days=1)
"""How long ranks wait for the first rank, which checks the inputs and may wait for GPUs."""


class Share:
    """The consecutive rows that one of `ranks` ranks computes of batches of `batch` windows; shares differ by at most one row."""

    def __init__(self, batch: int, rank: int, ranks: int):
        self.batch = batch
        self.rows = slice(rank * batch // ranks, (rank + 1) * batch // ranks)

    def __len__(self) -> int:
        """Number of rows."""
        return self.rows.stop - self.rows.start

    def generator(self, seed: int, purpose: str, update: int) -> np.random.Generator:
        """Generator of the random numbers of these rows in an update."""
        whole = seeding.generator(seed, purpose, update)
        return whole if len(self) == self.batch else Rows(whole, self)


class Rows(np.random.Generator):
    """Draws the numbers of the whole batch in every rank, in the same order, and returns the rows of a share.

    So the first axis of every draw must be the rows.
    """

    def __init__(self, whole: np.random.Generator, share: Share):
        super().__init__(whole.bit_generator)
        self._share = share

    def random(self, size: Any = None, dtype: Any = np.float64, out: None = None) -> NDArray[Any]:  # type: ignore[override]
        """As NumPy's: uniform in [0, 1), [rows, ...]."""
        return super().random(self._whole(size), dtype)[self._share.rows]

    def integers(self, low: int, high: int, size: Any = None) -> NDArray[np.int64]:  # type: ignore[override]
        """As NumPy's: from `low` to below `high`, [rows, ...]."""
        return super().integers(low, high, self._whole(size))[self._share.rows]

    def _whole(self, size: int | tuple[int, ...]) -> tuple[int, ...]:
        """The shape for the whole batch."""
        rows, *rest = (size,) if isinstance(size, int) else size
        assert rows == len(self._share)
        return self._share.batch, *rest


def share(batch: int) -> Share:
    """This process' rows of batches of `batch` windows; all rows in a single process."""
    return Share(batch, rank(), world_size())


def join(device: str) -> None:
    """Connect to the other ranks, if any, and take one GPU for each if `device` is `cuda`; see `devices.take`."""
    found = [0] * world_size()
    if device == "cuda" and rank() == 0:
        found = devices.take(world_size(), torch.cuda.device_count())
    numbers = torch.tensor(found)
    if world_size() > 1:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=WAIT)
        dist.broadcast(numbers, 0)
    if device == "cuda":
        torch.cuda.set_device(int(numbers[rank()]))


def combine(
    parameters: Iterable[nn.Parameter], loss: Tensor, accuracy: Tensor, steps: Tensor, stop: bool
) -> tuple[Tensor, Tensor, bool]:
    """Give every rank the gradients of the whole batch, by one sum over all ranks in a fixed order.

    Loss and accuracy are means over real steps, so ranks are weighted by their number of real steps.

    Args:
        parameters: hold the gradients of `loss`; parameters without gradient are left out.
        loss: mean over this rank's real steps.
        accuracy: mean over this rank's real steps.
        steps: number of this rank's real steps.
        stop: whether this rank wants to end the training.

    Returns:
        Loss and accuracy of the whole batch, and whether any rank wants to end.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    means = [*(gradient.flatten() for gradient in gradients), torch.stack([loss.detach(), accuracy])]
    counts = torch.stack([steps, steps.new_tensor(stop)])
    summed = _sum(torch.cat([torch.cat(means) * steps, counts]))
    *shared, values = (summed[:-2] / summed[-2]).split([mean.numel() for mean in means])
    for gradient, mean in zip(gradients, shared, strict=True):
        gradient.copy_(mean.view_as(gradient))
    return values[0], values[1], bool(summed[-1])


def total(seconds: float) -> float:
    """The sum of `seconds` over all ranks."""
    return float(_sum(torch.tensor(seconds, dtype=torch.float64))) if world_size() > 1 else seconds


def leave() -> None:
    """Wait for all ranks, then disconnect."""
    if world_size() > 1:
        total(0.0)
        dist.destroy_process_group()


def _sum(values: Tensor) -> Tensor:
    """Replace values by their sum over all ranks. Ends this process when another rank has ended, which has printed the cause."""
    try:
        dist.all_reduce(values)
    except RuntimeError as error:
        print(f"rank {rank()} has lost another one: {error}", file=sys.stderr, flush=True)
        raise SystemExit(LOST) from None
    return values
