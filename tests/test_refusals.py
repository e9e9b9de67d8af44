"""Stages refuse inputs that are damaged or do not belong together, name them, and write nothing."""

import errno
import subprocess
import sys

import numpy as np
import pytest
import torch

from helpers import tiny_bert
from radt import artifacts
from radt.errors import RadtError
from radt.interruption import interruption
from radt.stages import run
from stages import Chain, change, configuration, flip


def run_command(stage, arguments):
    """Exit status and last line of stderr of a stage run as its rule runs it."""
    done = subprocess.run(
        [sys.executable, "-m", f"radt.stages.{stage}", *arguments], capture_output=True, encoding="utf-8", check=False
    )
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_refusals_name_the_thing_and_the_remedy(copied):
    change(copied.root / "index/config.json", encoder="0" * 64)
    places = (("encoder", "dt"), ("embeddings", "embed"), ("index", "index"))
    inputs = [word for name, folder in places for word in (f"--{name}", str(copied.root / folder))]
    arguments = ["--method", "radt", *copied.common("embed", "train_retrieval"), *copied.training("new"), *inputs]
    status, message = run_command("train", arguments)
    assert status == 1 and "made from another encoder" in message and "embed and index" in message
    assert not (copied.root / "new").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "ad/model.safetensors").unlink(), r"model\.safetensors is missing"),
        (lambda root: flip(root / "ad/model.safetensors"), r"model\.safetensors is damaged"),
        (lambda root: change(root / "ad/config.json", kind="dt"), "is of a 'dt' model"),
        (lambda root: change(root / "ad/config.json", experiment={"width": 9}), "was trained on"),
    ],
)
def test_a_damaged_model_is_refused(copied, damage, message):
    damage(copied.root)
    with pytest.raises(Exception, match=message):
        copied.evaluate("ad", "ad", "refused.csv")
    assert not (copied.root / "refused.csv").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda array: array.astype(np.float64), "does not fit its config"),
        (lambda array: np.ones_like(array, np.int32), "does not fit its config"),
        (lambda array: array[..., None], "does not fit its config"),
        (lambda array: np.full_like(array, np.nan), "holds numbers that are not finite"),
        (lambda array: np.full_like(array, np.inf), "holds numbers that are not finite"),
    ],
    ids=["wider", "whole numbers", "shape", "nan", "infinity"],
)
def test_weights_with_the_right_hash_that_no_training_wrote_are_refused(copied, wrong, message):
    path = copied.root / "ad/model.safetensors"
    tensors = artifacts.read_tensors(path, mmap=False)
    name = max(tensors, key=lambda name: tensors[name].size)
    artifacts.write_tensors(path, {**tensors, name: wrong(tensors[name])})
    change(copied.root / "ad/config.json", sha256=artifacts.sha256(path))
    with pytest.raises(RadtError, match=message):
        copied.evaluate("ad", "ad", "refused.csv")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError("std::bad_alloc"), "error: out of memory: let fewer jobs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "error: out of memory: let fewer jobs"),
        (OSError(errno.EFBIG, "File too large", "a.csv"), "error: a.csv would be larger than files may be here"),
        (OSError(errno.ENOSPC, "No space left on device", "a.csv"), "error: no space left to write a.csv"),
        (OSError(errno.EISDIR, "Is a directory", "a\n.csv"), "error: a\\n.csv: Is a directory: check this path"),
    ],
    ids=["memory", "torch", "large file", "full disk", "folder"],
)
def test_what_the_machine_lacks_is_a_sentence(monkeypatch, capsys, error, message):
    def fail(arguments):
        raise error

    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.setattr(interruption, "listen", lambda: None)
    with pytest.raises(SystemExit) as caught:
        run(fail)
    assert caught.value.code == 1 and capsys.readouterr().err.startswith(message)


def test_radt_of_another_encoder_is_refused(copied):
    Chain(copied.root, seed=2).pretrain(output="dt")
    with pytest.raises(Exception, match="trained with another encoder"):
        copied.evaluate("radt", "radt", "refused.csv")


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no GPU")
def test_a_gpu_that_is_not_there_is_named(chain):
    config = configuration()
    config["pretrain"]["optimization"]["device"] = "cuda"
    with pytest.raises(RadtError, match="torch finds no GPU"):
        Chain(chain.root, config).pretrain(output="gpu")
    assert not (chain.root / "gpu").exists()


def test_a_flipped_byte_in_the_index_is_refused(copied):
    flip(copied.root / "index/index.safetensors")
    with pytest.raises(RadtError, match=r"index\.safetensors is damaged"):
        copied.radt(output="refused")


def test_queries_of_other_settings_and_damaged_ones_are_refused(copied):
    change(copied.root / "embed/config.json", query_stride=6)
    with pytest.raises(RadtError, match="made from another query_stride"):
        copied.radt(output="refused")
    change(copied.root / "embed/config.json", query_stride=4)
    flip(copied.root / "embed/embeddings.safetensors")
    with pytest.raises(RadtError, match=r"embeddings\.safetensors is damaged"):
        copied.radt(output="refused")


def test_a_language_model_of_other_weights_or_settings_is_refused(tmp_path):
    """The memory of an agent must be embedded as the index was that it was trained on."""
    tiny_bert(tmp_path / "bert")
    config = configuration()
    config["embed_language"] |= {"model": str(tmp_path / "bert"), "layers": 1, "return_bin": 4}
    made = Chain(tmp_path, config)
    assert made.trajectories() == made.embed_language() == made.index("lm") == made.radt_lm() == 0
    config["embed_language"]["layers"] = 2
    with pytest.raises(RadtError, match="trained with another encoder"):
        made.evaluate("radt_lm", "radt_lm", "refused.csv")
    with pytest.raises(RadtError, match="made from another encoder"):
        made.radt_lm("again")
