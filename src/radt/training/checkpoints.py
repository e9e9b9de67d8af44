"""Atomic checkpoints without pickle: one safetensors file; its tensor `state` is JSON with a checksum."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from radt import artifacts
from radt.pipeline.atomic_stage import CHECKPOINT
from radt.settings.base import NonNegativeFloat, NonNegativeInt, Section


@dataclass
class State:
    """Progress of a training: finished updates, CPU time, and rows of the metrics."""

    update: int = 0
    cpu_seconds: float = 0.0
    rows: list[list[str]] = field(default_factory=list)


def digest(text: str) -> str:
    """sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def identity(settings: str, seed: int, *hashes: str) -> str:
    """Hash of everything on which a checkpoint depends: JSON of settings, the seed, and hashes of code and input files."""
    return digest("/".join([settings, str(seed), *hashes]))


class Content(Section):
    """The JSON in a checkpoint: `tensors` is the digest of its arrays, the other fields are `identity` and `State`."""

    identity: str
    tensors: str
    update: NonNegativeInt
    cpu_seconds: NonNegativeFloat
    rows: list[list[str]]


def content_digest(tensors: dict[str, artifacts.Array]) -> str:
    """sha256 of the names, types, shapes and contents of arrays."""
    parts = [
        [name, array.dtype.str, array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()]
        for name, array in sorted(tensors.items())
    ]
    return digest(json.dumps(parts))


def save(directory: Path, identity: str, state: State, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write the checkpoint in one rename, so that a reader finds the old one or the new one, never a part."""
    tensors = {f"model.{name}": tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}
    for number, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{slot}": torch.as_tensor(value).cpu().numpy() for slot, value in slots.items()}
    values = Content(identity=identity, tensors=content_digest(tensors), **vars(state)).model_dump()
    text = json.dumps({**values, "checksum": artifacts.checksum(values)})
    tensors["state"] = np.frombuffer(text.encode(), np.uint8)
    artifacts.write_tensors(directory / CHECKPOINT, tensors)


def restore(directory: Path, identity: str, model: nn.Module, optimizer: torch.optim.Optimizer, updates: int) -> State:
    """Load the checkpoint into `model` and `optimizer`; `updates` is the number of updates of the whole training.

    Without a checkpoint, or with a damaged one or one of another `identity`, it returns a fresh state and changes nothing.
    """
    path = directory / CHECKPOINT
    if not artifacts.is_there(path):
        return State()
    try:
        content, tensors = _read(path)
        if content.identity == identity:
            _check(content, tensors, model, optimizer, updates)
    except Exception:  # of any kind: nothing was changed yet, and a training can always start again
        print(f"{path} is damaged: starting from the first update", flush=True)
        return State()
    if content.identity != identity:
        print(f"{path} is of other settings, data or code: starting from the first update", flush=True)
        return State()
    model.load_state_dict({name[6:]: torch.from_numpy(value) for name, value in tensors.items() if name.startswith("model.")})
    optimizer.load_state_dict({"state": _slots(tensors), "param_groups": optimizer.state_dict()["param_groups"]})
    print(f"going on from update {content.update} of {path}", flush=True)
    return State(content.update, content.cpu_seconds, content.rows)


def _read(path: Path) -> tuple[Content, dict[str, artifacts.Array]]:
    """The JSON and the arrays of a checkpoint; raises an exception when either is damaged."""
    tensors = artifacts.read_tensors(path, mmap=False)
    values = artifacts.without_checksum(path, artifacts.parse_json(tensors.pop("state").tobytes()))
    content = Content.model_validate(values)
    if content.tensors != content_digest(tensors):
        raise ValueError("arrays")
    artifacts.check_finite(path, tensors)
    return content, tensors


def _check(
    content: Content,
    tensors: dict[str, artifacts.Array],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    updates: int,
) -> None:
    """Raise `ValueError` unless a checkpoint fits this model and its number of updates."""
    needed = {f"model.{name}": value for name, value in model.state_dict().items()}
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, parameter in enumerate(trained):
        slots = {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter}
        named = {f"optimizer.{number}.{slot}": value for slot, value in slots.items()}
        needed |= named if named.keys() & tensors.keys() else {}  # an unused parameter has no optimizer state
    if not 0 < content.update <= updates or tensors.keys() != needed.keys():
        raise ValueError("names")
    for name, value in needed.items():
        found = torch.from_numpy(tensors[name])
        if found.dtype != value.dtype or found.shape != value.shape:
            raise ValueError(name)
    if any(len(row) != len(content.rows[0]) for row in content.rows):
        raise ValueError("rows")


def _slots(tensors: dict[str, artifacts.Array]) -> dict[int, dict[str, Any]]:
    """The state of an optimizer, by number of the parameter, then by name."""
    slots: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, slot = name.split(".")
            slots.setdefault(int(number), {})[slot] = torch.from_numpy(value)
    return slots
