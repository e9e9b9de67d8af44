"""Readers of damaged files: each refuses in a sentence or returns the very same value; `RADT_TORTURE=1` tries 100 times more."""

import contextlib
import tracemalloc

import numpy as np
import pytest
import torch

from mutations import mutations
from radt import artifacts
from radt.errors import RadtError
from radt.pipeline import provenance
from radt.training import checkpoints

RECORD = provenance.Record(
    format=provenance.FORMAT,
    place="results/x/provenance.json",
    stage="radt.stages.train",
    code="0123456789abcdef",
    accepted=["fedcba9876543210"],
    settings={"train_ad": {"episode_gap": 2, "optimization": {"learning_rate": 0.001, "ranks": 1, "device": "cpu"}}},
    arguments=["--seed", "42"],
    inputs={"results/x/trajectories/manifest.json": "a" * 64, "config/paper_curves.csv": "b" * 64},
    outputs={"model.safetensors": "c" * 64, "config.json": "d" * 64, "metrics.csv": "e" * 64},
    replaced=[],
    packages={"numpy": "2.4.0", "torch": "2.13.0"},
    python="3.11.9",
    radt="0.1.0",
    machine="a processor, 2 cores, 1 thread",
    commit="f" * 40,
    finished="2026-01-31T12:34:56+00:00",
    wall_seconds=12.34,
    cpu_seconds=10.5,
)


def test_records(tmp_path):
    path = tmp_path / "results/x/provenance.json"
    provenance.write(path, RECORD)
    for content in mutations(path.read_bytes(), "records"):
        path.write_bytes(content)
        with contextlib.suppress(RadtError):
            assert provenance.read(path) == RECORD


def test_json_with_a_checksum(tmp_path):
    path, values = (
        tmp_path / "config.json",
        {"kind": "dt", "seed": 42, "recall": 0.875, "experiment": {"world": "ü", "num_tasks": [1, None]}},
    )
    artifacts.write_checked_json(path, values)
    for content in mutations(path.read_bytes(), "config"):
        path.write_bytes(content)
        with contextlib.suppress(RadtError):
            assert artifacts.read_checked_json(path) == values


def test_tensors(tmp_path):
    """A file of safetensors has no checksum: what is read has the size of the file at most, and a hash notices the rest."""
    path, rows = tmp_path / "a.safetensors", np.arange(40.0, dtype=np.float32).reshape(8, 5)
    artifacts.write_tensors(path, {"rows": rows, "flags": rows[0] > 2, "number": np.array(3)}, {"made": "here"})
    tracemalloc.start()
    for content in mutations(path.read_bytes(), "tensors"):
        path.write_bytes(content)
        with contextlib.suppress(RadtError):
            assert sum(array.nbytes for array in artifacts.read_tensors(path, mmap=False).values()) < len(content)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def trained(seed):
    """A network and its optimizer after two updates."""
    torch.manual_seed(seed)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(2):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    return model, optimizer


def everything(model, optimizer):
    """All numbers that an update depends on."""
    slots = optimizer.state_dict()["state"]
    values = [slots[number][slot] for number in sorted(slots) for slot in sorted(slots[number])]
    return torch.cat([value.flatten() for value in [*model.state_dict().values(), *values]])


def test_checkpoints(tmp_path, capsys):
    """Restored as it was, or not at all: then neither network nor optimizer has changed."""
    saved, state = trained(1), checkpoints.State(2, 1.5, [["ad", "42", "2", "1.25"]])
    checkpoints.save(tmp_path, "identity", state, *saved)
    path, other = tmp_path / checkpoints.CHECKPOINT, trained(2)
    before, kept = everything(*other), path.read_bytes()
    for content in mutations(kept, "checkpoints"):
        path.write_bytes(content)
        if content != kept:
            assert checkpoints.restore(tmp_path, "identity", *other, 10) == checkpoints.State()
            assert "is damaged: starting from the first update" in capsys.readouterr().out
            assert torch.equal(everything(*other), before)
    path.write_bytes(kept)
    assert checkpoints.restore(tmp_path, "identity", *other, 10) == state
    assert torch.equal(everything(*other), everything(*saved))


@pytest.mark.parametrize(
    ("update", "rows", "updates"),
    [(0, [["a"]], 10), (11, [["a"]], 10), (2, [["a"], ["a", "b"]], 10)],
    ids=["no update", "more updates than there are", "rows of several lengths"],
)
def test_checkpoints_that_no_training_wrote(tmp_path, capsys, update, rows, updates):
    saved, other = trained(1), trained(2)
    checkpoints.save(tmp_path, "identity", checkpoints.State(update, 1.5, rows), *saved)
    before = everything(*other)
    assert checkpoints.restore(tmp_path, "identity", *other, updates) == checkpoints.State()
    assert "is damaged" in capsys.readouterr().out and torch.equal(everything(*other), before)


def change_type(tensors, name):
    return {**tensors, name: tensors[name].astype(np.float64)}


def change_shape(tensors, name):
    return {**tensors, name: tensors[name][..., None]}


def change_value(tensors, name):
    return {**tensors, name: np.full_like(tensors[name], np.nan)}


def leave_out(tensors, name):
    return {other: value for other, value in tensors.items() if other != name}


@pytest.mark.parametrize("change", [change_type, change_shape, change_value, leave_out])
@pytest.mark.parametrize("part", ["model.", "optimizer.0.exp_avg", "optimizer.0.step"])
def test_checkpoints_of_another_network(tmp_path, capsys, monkeypatch, change, part):
    """Whole in themselves, with the right digest."""
    saved, other = trained(1), trained(2)
    write = artifacts.write_tensors

    def write_changed(path, tensors):
        state = tensors.pop("state")
        changed = change(tensors, next(name for name in tensors if name.startswith(part)))
        values = artifacts.parse_json(state.tobytes())
        del values["checksum"]
        values["tensors"] = checkpoints.content_digest(changed)
        text = checkpoints.json.dumps({**values, "checksum": artifacts.checksum(values)})
        write(path, {**changed, "state": np.frombuffer(text.encode(), np.uint8)})

    monkeypatch.setattr(artifacts, "write_tensors", write_changed)
    checkpoints.save(tmp_path, "identity", checkpoints.State(2, 1.5, []), *saved)
    before = everything(*other)
    assert checkpoints.restore(tmp_path, "identity", *other, 10) == checkpoints.State()
    assert "is damaged" in capsys.readouterr().out and torch.equal(everything(*other), before)
