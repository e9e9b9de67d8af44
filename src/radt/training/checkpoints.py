"""Atomic checkpoints without pickle: one safetensors file; what is no tensor stands in it as JSON bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from radt import artifacts
from radt.errors import RadtError
from radt.settings import Section

FILE = "checkpoint.safetensors"


@dataclass
class State:
    """Where a training stands."""

    update: int = 0
    cpu_seconds: float = 0.0
    rows: list[list[str]] = field(default_factory=list)


def digest(text: str) -> str:
    """sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def identity(settings: Section, seed: int, *hashes: str) -> str:
    """Hash of everything that a checkpoint depends on; `hashes` are those of code and input files."""
    return digest("/".join([settings.model_dump_json(), str(seed), *hashes]))


def content_digest(tensors: dict[str, artifacts.Array]) -> str:
    """sha256 of the contents of named arrays."""
    parts = [name + hashlib.sha256(np.ascontiguousarray(tensors[name]).tobytes()).hexdigest() for name in sorted(tensors)]
    return digest("/".join(parts))


def save(directory: Path, identity: str, state: State, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write the checkpoint in one rename, so that a reader finds the old one or the new one, never a part."""
    tensors = {f"model.{name}": tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}
    for number, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{slot}": torch.as_tensor(value).cpu().numpy() for slot, value in slots.items()}
    values = {"identity": identity, "tensors": content_digest(tensors), **vars(state)}
    tensors["state"] = np.frombuffer(json.dumps(values).encode(), np.uint8)
    artifacts.write_tensors(directory / FILE, tensors)


def restore(directory: Path, identity: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """Load the checkpoint into `model` and `optimizer`; a fresh state when there is none or it is of other settings."""
    path = directory / FILE
    if not path.exists():
        return State()
    try:
        tensors = artifacts.read_tensors(path, mmap=False)
        values = json.loads(tensors.pop("state").tobytes())
        if values["tensors"] != content_digest(tensors):
            raise ValueError("changed")
    except (RadtError, KeyError, ValueError):
        print(f"{path} is damaged: starting from the first update", flush=True)
        return State()
    if values["identity"] != identity:
        print(f"{path} is of other settings, data or code: starting from the first update", flush=True)
        return State()
    model.load_state_dict({k.removeprefix("model."): torch.from_numpy(v) for k, v in tensors.items() if k[:6] == "model."})
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, slot = name.split(".")
            slots.setdefault(int(number), {})[slot] = torch.from_numpy(value)
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    print(f"going on from update {values['update']} of {path}", flush=True)
    return State(values["update"], values["cpu_seconds"], values["rows"])
