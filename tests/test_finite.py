"""Numbers that are not finite end a stage in one sentence, and what was there before stays as it was."""

import json
import math

import numpy as np
import pytest
import torch

from helpers import SPEC
from histories import contents
from radt import artifacts
from radt.data.episodes import EpisodeBuffer
from radt.errors import RadtError
from radt.evaluation.memory import OnlineMemory
from radt.settings.evaluation import Memory
from radt.settings.models import Optimization
from radt.settings.parsing import parse
from radt.stages import embed, evaluate
from radt.training import checkpoints, loop
from stages import Chain, change, configuration

SECTIONS = {"pretrain": "pretrain", "radt": "train_retrieval", "ad": "train_ad", "dpt": "train_dpt"}


@pytest.mark.parametrize(("stage", "section"), SECTIONS.items())
def test_a_training_that_diverges_names_its_update_and_writes_nothing(copied: Chain, stage, section):
    output = {"pretrain": "dt"}.get(stage, stage)
    before = contents(copied.root / output) if (copied.root / output).exists() else None
    copied.config[section]["optimization"] |= {"learning_rate": 1.0e30, "precision": "float32"}
    words = (
        r"^update \d+ of 12: .* is not finite: lower learning_rate \(1e\+30\) or gradient_clip \(.*\) of its optimization and run"
    )
    with pytest.raises(RadtError, match=words):
        getattr(copied, stage)()
    assert (contents(copied.root / output) if (copied.root / output).exists() else None) == before


class Toy(torch.nn.Module):
    """A network of one weight, whose loss is what `losses` says of an update."""

    def __init__(self, losses):
        super().__init__()
        self.weight, self.losses = torch.nn.Parameter(torch.ones(1)), losses

    def loss(self, update):
        value = (self.weight * self.losses.get(update, 1.0)).sum()
        return loop.Loss(value, torch.tensor(0.5), torch.tensor(1))


def training(model, state, **changes):
    settings = parse(Optimization, configuration()["pretrain"]["optimization"] | {"checkpoint_every": 5, "updates": 12} | changes)
    return loop.train("dt", 1, model, model.loss, settings, state, "identity")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38])
def test_the_first_update_that_is_not_finite_is_named_and_the_checkpoint_is_of_one_before(tmp_path, value):
    """A loss, or a gradient whose norm is beyond the largest number."""
    losses = {7: value} if not math.isfinite(value) else {7: torch.tensor([value, value])}
    for _ in range(2):  # the second goes on from the checkpoint, to the same end
        with pytest.raises(RadtError, match=r"^update 8 of 12: the loss or the gradient is not finite"):
            training(Toy(losses), tmp_path)
        tensors = artifacts.read_tensors(tmp_path / checkpoints.CHECKPOINT)
        assert all(np.isfinite(array).all() for array in tensors.values() if array.dtype.kind == "f")
        assert json.loads(tensors["state"].tobytes())["update"] == 5
    training(Toy({}), tmp_path)


def test_on_a_gpu_the_update_is_named_when_a_row_or_a_checkpoint_is_due():
    """Losses of a device other than the CPU are not looked at before; `meta` stands for it until they are."""
    settings = parse(Optimization, configuration()["pretrain"]["optimization"])
    watch, one = loop.Watch(Toy({}), torch.optim.AdamW([torch.ones(1)]), settings), torch.tensor(1.0)
    there = torch.ones((), device="meta")
    watch.see(1, there, there, logged=False, kept=False)
    watch._unseen = [one, one]
    for loss in (one, one * math.nan, one):
        watch._unseen += [loss, one]
    with pytest.raises(RadtError, match=r"^update 3 of"):
        watch.see(5, one, one, logged=True, kept=False)


def test_weights_that_overflow_in_the_last_update_are_not_written(tmp_path):
    model = Toy({})
    model.weight.data.fill_(-3.4e38)
    with pytest.raises(RadtError, match=r"^update 1 of 1: a weight or what the optimizer remembers is not finite"):
        training(model, tmp_path, updates=1, warmup=0, learning_rate=1e38)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def scaled(folder, factor):
    """Multiply the weights of a network, and make its hash fit."""
    path, config = folder / "model.safetensors", folder / "config.json"
    with np.errstate(over="ignore"):
        artifacts.write_tensors(path, {name: array * np.float32(factor) for name, array in artifacts.read_tensors(path).items()})
    change(config, sha256=artifacts.sha256(path))


def test_keys_that_are_not_finite_are_not_written(copied: Chain):
    scaled(copied.root / "dt", 1e30)
    before = contents(copied.root / "embed")
    with pytest.raises(RadtError, match=r"the encoder holds numbers that are not finite \(keys\): train it again"):
        embed.main(
            [
                *("--kind", "dt"),
                *copied.common("embed"),
                *("--trajectories", str(copied.root / "trajectories"), "--encoder", str(copied.root / "dt")),
                *("--output", str(copied.root / "embed")),
            ]
        )
    assert contents(copied.root / "embed") == before


@pytest.mark.parametrize("method", ["ad", "radt"])
def test_logits_that_are_not_finite_are_no_result(copied: Chain, method):
    scaled(copied.root / method, 1e30)
    with pytest.raises(RadtError, match="logits that are not finite numbers at step 0 of episode 1: train it again"):
        copied.evaluate(method, method, "returns.csv")
    assert not (copied.root / "returns.csv").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_memory_takes_no_keys_and_no_queries_that_are_not_finite(value):
    history = EpisodeBuffer(2, 3, SPEC)
    settings = parse(Memory, configuration()["evaluate"]["memory"])
    good, bad = torch.ones(2, 4, 5), torch.full((2, 4, 5), value)
    anchors = torch.tensor([2, 4, 6, 8]).expand(2, -1)
    history.finish()
    memory = OnlineMemory(lambda columns, first, length: (good, anchors), history, settings, 2, 1)
    memory.add(0)
    memory.context(torch.ones(2, 5))
    with pytest.raises(RadtError, match="keys or queries that are not finite"):
        memory.context(torch.full((2, 5), value))
    memory.embed = lambda columns, first, length: (bad, anchors)
    with pytest.raises(RadtError, match="keys or queries that are not finite"):
        memory.add(0)
    assert memory.keys.shape[1] == 4


def test_what_is_evaluated_is_written_as_finite_numbers(chain: Chain, tmp_path):
    assert evaluate.COLUMNS[-2:] == ("return", "optimum")
    assert chain.evaluate("ad", "ad", tmp_path / "returns.csv") == 0
    values = np.loadtxt(tmp_path / "returns.csv", delimiter=",", skiprows=1, usecols=(6, 7))
    assert np.isfinite(values).all() and (values[:, 0] <= values[:, 1]).all() and (values >= 0).all()
