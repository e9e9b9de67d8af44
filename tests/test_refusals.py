"""Stages refuse inputs that are damaged or do not belong together, name them, and write nothing."""

import subprocess
import sys

import pytest
import torch

from helpers import tiny_bert
from radt.errors import RadtError
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
    arguments = ["--model", "radt", *copied.common("embed", "train_retrieval"), *copied.training("new"), *inputs]
    status, message = run_command("train_retrieval", arguments)
    assert status == 1 and "made from another encoder" in message and "embed and index" in message
    assert not (copied.root / "new").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "ad/model.safetensors").unlink(), r"model\.safetensors is missing"),
        (lambda root: flip(root / "ad/model.safetensors"), r"model\.safetensors is damaged"),
        (lambda root: change(root / "ad/config.json", kind="dt"), "is of a 'dt' model"),
        (lambda root: change(root / "ad/config.json", room={"width": 9}), "was trained on"),
    ],
)
def test_a_damaged_model_is_refused(copied, damage, message):
    damage(copied.root)
    with pytest.raises(Exception, match=message):
        copied.evaluate("ad", "ad", "refused.csv")
    assert not (copied.root / "refused.csv").exists()


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
    change(copied.root / "embed/config.json", every=6)
    with pytest.raises(RadtError, match="made from another every"):
        copied.radt(output="refused")
    change(copied.root / "embed/config.json", every=4)
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
