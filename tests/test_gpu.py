"""What a GPU changes: where batches go, how products are rounded, what is compiled; faked, or on the CPU, where there is none."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from helpers import GPU, random_steps
from radt import artifacts, devices
from radt.errors import RadtError
from radt.interruption import Interruption
from radt.models.blocks import Block
from radt.retrieval.context import TrainingContexts
from radt.settings.models import Optimization
from radt.settings.parsing import parse
from radt.stages import embed, evaluate, train
from radt.training import loop, ranks
from stages import Chain, configuration, select

TRAININGS = {"pretrain": "pretrain", "radt": "train_retrieval", "ad": "train_ad", "dpt": "train_dpt"}


def trained(root, stage, output, **optimization):
    """Weights of a stage with other optimisation."""
    config = configuration()
    config[TRAININGS[stage]]["optimization"] |= optimization
    getattr(Chain(root, config), stage)(output=output)
    return artifacts.read_tensors(root / output / "model.safetensors")


def settings(**changes):
    """Optimisation of the DT, changed."""
    return parse(Optimization, configuration()["pretrain"]["optimization"] | changes)


@GPU
@pytest.mark.parametrize("stage", TRAININGS)
def test_a_training_on_a_gpu_learns_what_it_learns_on_a_cpu(chain, stage):
    """But for rounding."""
    weights = trained(chain.root, stage, f"{stage}_on_a_gpu", precision="float32", device="cuda")
    for name, expected in trained(chain.root, stage, f"{stage}_float32", precision="float32").items():
        np.testing.assert_allclose(weights[name], expected, atol=1e-3, err_msg=name)


@GPU
def test_vectors_of_a_gpu_are_those_of_a_cpu(copied):
    expected = artifacts.read_tensors(copied.root / "embed/embeddings.safetensors", mmap=False)
    copied.config["embed"]["device"] = "cuda"
    copied.embed()
    found = artifacts.read_tensors(copied.root / "embed/embeddings.safetensors", mmap=False)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5, err_msg=name)


@GPU
def test_a_batch_on_a_gpu_is_the_same_even_where_its_memory_repeats():
    steps = replace(random_steps(3, 5, 0), time=torch.arange(5).expand(3, 5))
    for name, tensor in vars(steps.to("cuda")).items():
        assert tensor.device.type == "cuda" and torch.equal(tensor.cpu(), getattr(steps, name))


@pytest.mark.parametrize("stage", TRAININGS)
def test_tf32_changes_nothing_on_a_cpu(chain, stage):
    weights = trained(chain.root, stage, f"{stage}_tf32", precision="tfloat32")
    for name, expected in trained(chain.root, stage, f"{stage}_float32", precision="float32").items():
        np.testing.assert_array_equal(weights[name], expected, err_msg=name)


@pytest.mark.parametrize(
    ("device", "precision", "products"),
    [
        ("cuda", "tfloat32", "high"),
        ("cuda", "float32", "highest"),
        ("cuda", "bfloat16", "highest"),
        ("cpu", "tfloat32", "highest"),
    ],
)
def test_products_are_rounded_to_tf32_on_a_gpu_that_is_to_do_so(monkeypatch, device, precision, products):
    monkeypatch.setattr(devices, "choose", lambda wanted: wanted)
    monkeypatch.setattr(ranks, "join", lambda device: None)
    try:
        assert loop.prepare_training(settings(device=device, precision=precision)) == device
        assert torch.get_float32_matmul_precision() == products
    finally:
        torch.set_float32_matmul_precision("highest")


def test_queries_of_a_training_are_asked_in_float32(chain, monkeypatch):
    """The keys were embedded so, and what is found must not depend on how a network is trained."""
    config, seen = configuration(), []
    config["train_retrieval"]["retrieval"]["scope"] = "window"
    queries = TrainingContexts.queries
    monkeypatch.setattr(
        TrainingContexts,
        "queries",
        lambda self, *given: seen.append(torch.get_float32_matmul_precision()) or queries(self, *given),
    )
    torch.set_float32_matmul_precision("high")
    try:
        Chain(chain.root, config).radt(output="asked")
    finally:
        torch.set_float32_matmul_precision("highest")
    assert seen == ["highest"] * config["train_retrieval"]["optimization"]["updates"]


@pytest.fixture
def traced(monkeypatch):
    """torch traces blocks and their gradients, but runs the operations that it has found without C++, which takes minutes."""
    compiled = []
    monkeypatch.setattr(
        Block,
        "compile",
        lambda self, dynamic: compiled.append(self) or nn.Module.compile(self, backend="aot_eager", dynamic=dynamic),
    )
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield compiled
    torch._dynamo.reset()


@pytest.mark.parametrize("stage", TRAININGS)
def test_compiled_blocks_train_the_same_network(chain, traced, stage):
    """The same names and, but for rounding, the same numbers; no part of a block is left out, and few shapes are compiled."""
    weights = trained(chain.root, stage, f"{stage}_compiled", precision="float32", compile=True)
    expected = trained(chain.root, stage, f"{stage}_float32", precision="float32")
    counters = torch._dynamo.utils.counters
    assert len(traced) == 2 and 1 <= counters["stats"]["unique_graphs"] <= 4 and not counters["graph_break"]
    assert list(weights) == list(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(weights[name], array, atol=1e-5, err_msg=name)


def test_a_compiled_training_goes_on_to_the_same_bytes(chain, traced, monkeypatch, capsys):
    expected = trained(chain.root, "ad", "ad_whole", compile=True)
    calls = []
    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "requested", property(lambda self: calls.append(1) or len(calls) == 7))
        with pytest.raises(KeyboardInterrupt, match="at update 7"):
            trained(chain.root, "ad", "ad_again", compile=True)
    weights = trained(chain.root, "ad", "ad_again", compile=True)
    assert "going on from update 7" in capsys.readouterr().out
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name)


def test_what_is_not_compiled_is_not_written_down():
    assert settings(compile=False) == settings()
    assert "compile" not in settings().model_dump_json() and '"compile":true' in settings(compile=True).model_dump_json()


def test_without_a_compiler_a_training_ends_in_one_sentence_before_it_reads(tmp_path, monkeypatch):
    config = configuration()
    config["train_dpt"]["optimization"]["compile"] = True
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RadtError, match="`compile` needs the C\\+\\+ compiler no-such-compiler, which is not there: install"):
        Chain(tmp_path, config).dpt()


JOBS = {
    "dt": (train, ["pretrain"]),
    "radt": (train, ["train_retrieval", "embed"]),
    "radt_lm": (train, ["train_retrieval", "embed", "embed_language"]),
    "ad": (train, ["train_ad"]),
    "dpt": (train, ["train_dpt"]),
    "embed": (embed, ["embed"]),
    "evaluate": (evaluate, ["evaluate"]),
}
"""A stage and the sections that it reads, of which the first chooses its device, by method or by stage."""


def words(job):
    """The command line of a job on a GPU whose inputs are not there."""
    config, (stage, sections) = configuration(), JOBS[job]
    first = config[sections[0]]
    first.get("optimization", first)["device"] = "cuda"
    command = ["--settings", select(config, *sections), "--output", "output"]
    if stage is evaluate:
        return [*command, "--experiment", "tiny", "--method", "ad", "--seed", "1", "--model", "nowhere"]
    command += ["--trajectories", "nowhere", "--encoder", "nowhere"]
    if stage is embed:
        return [*command, "--kind", "dt"]
    return [*command, "--method", job, "--seed", "1", "--state", "state", "--embeddings", "nowhere", "--index", "nowhere"]


@pytest.mark.parametrize("job", JOBS)
def test_every_stage_misses_a_gpu_before_it_reads_anything(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RadtError, match="a device is set to 'cuda', but torch finds no GPU: set every `device` to cpu"):
        JOBS[job][0].main(words(job))
    assert not list(tmp_path.iterdir())


def test_a_gpu_that_is_missing_is_one_sentence_and_status_1(tmp_path):
    command, hidden = [sys.executable, "-m", "radt.stages.evaluate", *words("evaluate")], {**os.environ, devices.VISIBLE: ""}
    done = subprocess.run(command, cwd=tmp_path, env=hidden, capture_output=True, encoding="utf-8")
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: a device is set to 'cuda', but torch finds no GPU")
