"""The only place where a seed becomes random generators.

A generator is keyed by (seed, purpose, step), not by earlier draws. So a run that resumes from a checkpoint draws the numbers of
an uninterrupted run, and two purposes never share numbers. The published code seeds global generators.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def generator(seed: int, purpose: str, step: int = 0) -> np.random.Generator:
    """NumPy generator (Philox, counter-based) of `(seed, purpose, step)`."""
    return np.random.Generator(np.random.Philox(key=np.frombuffer(_digest(seed, purpose, step), "<u8")))


def torch_generator(seed: int, purpose: str, step: int = 0) -> torch.Generator:
    """CPU torch generator of `(seed, purpose, step)`."""
    import torch

    return torch.Generator().manual_seed(int.from_bytes(_digest(seed, purpose, step)[:8], "little") >> 1)


def seed_torch(seed: int, purpose: str, step: int = 0) -> None:
    """Seed torch's global generators, from which initialisation and dropout draw, with `(seed, purpose, step)`."""
    import torch

    torch.manual_seed(int.from_bytes(_digest(seed, purpose, step)[:8], "little") >> 1)


def _digest(seed: int, purpose: str, step: int) -> bytes:
    """16 bytes that differ for every `(seed, purpose, step)`."""
    return hashlib.blake2b(f"{seed}/{step}/{purpose}".encode(), digest_size=16).digest()
