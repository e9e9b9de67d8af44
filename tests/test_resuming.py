"""The same settings make the same bytes, in one go or interrupted; a checkpoint of anything else is not continued."""

import os
import signal
import subprocess
import sys

import pytest

from radt import artifacts
from stages import Chain, change, configuration


@pytest.mark.parametrize("stage", ["pretrain", "radt", "ad"])
def test_the_same_seed_trains_the_same_bytes(chain, stage):
    getattr(chain, stage)(output=f"{stage}_again")
    original = {"pretrain": "dt"}.get(stage, stage)
    again = chain.root / f"{stage}_again" / "model.safetensors"
    assert artifacts.sha256(again) == artifacts.sha256(chain.root / original / "model.safetensors")


def test_both_search_engines_train_the_same_bytes(chain):
    hashes = set()
    for engine in ("faiss", "torch"):
        other = configuration()
        other["train_retrieval"]["retrieval"] |= {"engine": engine, "pool": "all"}  # short histories need no engine
        Chain(chain.root, other).radt(output=f"radt_{engine}")
        hashes.add(artifacts.sha256(chain.root / f"radt_{engine}" / "model.safetensors"))
    assert len(hashes) == 1


@pytest.mark.parametrize("stage", ["pretrain", "radt", "ad"])
def test_an_interrupted_training_ends_in_the_same_bytes(chain, monkeypatch, stage, capsys):
    from radt.training import loop

    calls = 0

    def interrupt_late(*arguments):
        nonlocal calls
        calls += 1
        if calls == 9:
            raise KeyboardInterrupt
        return action_loss(*arguments)

    action_loss = loop.action_loss
    with monkeypatch.context() as patch:
        patch.setattr(loop, "action_loss", interrupt_late)
        with pytest.raises(KeyboardInterrupt):
            getattr(chain, stage)(output=f"{stage}_resumed")
    assert not (chain.root / f"{stage}_resumed").exists()
    getattr(chain, stage)(output=f"{stage}_resumed")
    assert "going on from update 5" in capsys.readouterr().out
    original = {"pretrain": "dt"}.get(stage, stage)
    resumed = artifacts.sha256(chain.root / f"{stage}_resumed" / "model.safetensors")
    assert resumed == artifacts.sha256(chain.root / original / "model.safetensors")


def test_a_killed_process_leaves_a_checkpoint_and_no_output(chain):
    slow = configuration()
    slow["pretrain"]["optimization"] |= {"updates": 100_000, "checkpoint_every": 3}
    run = Chain(chain.root, slow)
    command = [sys.executable, "-m", "radt.stages.pretrain", *run.common("pretrain"), *run.training("killed")]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a parent in the background may ignore Ctrl-C
    )
    checkpoint = chain.root / "state/killed/checkpoint.safetensors"
    while not checkpoint.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.strip().endswith("goes on from its last checkpoint")
    assert not (chain.root / "killed").exists() and checkpoint.exists()


def test_a_checkpoint_of_other_settings_is_not_continued(chain, capsys):
    chain.pretrain(output="first")
    other = configuration()
    other["pretrain"]["optimization"]["learning_rate"] = 5e-4
    Chain(chain.root, other).pretrain(output="first")
    assert "other settings" in capsys.readouterr().out


def test_other_queries_start_a_training_anew(copied, capsys):
    """A checkpoint says from which queries it came."""
    copied.radt(output="new")
    path = copied.root / "embed/embeddings.safetensors"
    tensors = artifacts.read_tensors(path, mmap=False)
    artifacts.write_tensors(path, {**tensors, "queries": tensors["queries"][::-1].copy()})
    change(copied.root / "embed/config.json", sha256=artifacts.sha256(path))
    copied.radt(output="new")
    assert "is of other settings, data or code" in capsys.readouterr().out
