"""Trained networks on disk: `model.safetensors`, `config.json` and `metrics.csv` in one directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from radt import artifacts
from radt.data.trajectories import Described, Statistics
from radt.errors import RadtError
from radt.models.decision_pretrained import DecisionPretrainedTransformer
from radt.models.decision_transformer import DecisionTransformer
from radt.models.retrieval_transformer import RetrievalTransformer
from radt.settings.models import TrainAd, TrainDpt, Training, TrainRetrieval
from radt.settings.parsing import parse
from radt.settings.retrieval import Aggregate, Embed
from radt.spaces import Spec

WEIGHTS = "model.safetensors"
FORM = {"kind": str, "experiment": dict, "inputs": dict, "training": dict, "sha256": str}
"""Keys of `config.json` that are read, with the types of their values."""


def dt(
    spec: Spec, training: Training, aggregate: Aggregate = "states", statistics: Statistics | None = None
) -> DecisionTransformer:
    """An untrained DT; its window is at most an episode. `statistics`: see `DecisionTransformer`."""
    return DecisionTransformer(training.model, spec, True, training.model.span(spec), aggregate, statistics)


def ad(spec: Spec, training: TrainAd, statistics: Statistics | None = None) -> DecisionTransformer:
    """An untrained AD network: it reads the last `window` steps of the context episode, then `window` of the current one."""
    return DecisionTransformer(training.model, spec, False, 2 * training.model.span(spec), statistics=statistics)


def dpt(spec: Spec, training: TrainDpt, statistics: Statistics | None = None) -> DecisionPretrainedTransformer:
    """An untrained DPT."""
    return DecisionPretrainedTransformer(training.model, spec, statistics)


def radt(spec: Spec, training: TrainRetrieval, embed: Embed, statistics: Statistics | None = None) -> RetrievalTransformer:
    """An untrained RA-DT."""
    model = training.model.model_copy(update={"window": training.model.span(spec)})
    steps, shared = training.retrieval.k_context * 2 * embed.chunk_length, training.context_embedding == "shared"
    return RetrievalTransformer(model, spec, training.cross_attention, shared, steps, statistics)


def write(directory: Path, model: nn.Module, config: dict[str, Any], metrics: str) -> None:
    """Write a trained network; `config.json` comes last. Raises `RadtError` when a weight is not finite."""
    tensors = {name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}
    artifacts.check_finite(directory / WEIGHTS, tensors)
    artifacts.write_tensors(directory / WEIGHTS, tensors)
    artifacts.write_text(directory / "metrics.csv", metrics)
    artifacts.write_checked_json(directory / "config.json", {**config, "sha256": artifacts.sha256(directory / WEIGHTS)})


def read_config(directory: Path, kind: str, suite: Described) -> dict[str, Any]:
    """The `config.json` of a trained network; raises `RadtError` unless kind, experiment and hash of the weights agree."""
    path = directory / "config.json"
    config = artifacts.read_checked_json(path)
    if not FORM.keys() <= config.keys() or not all(isinstance(config[key], form) for key, form in FORM.items()):
        raise RadtError(f"{path} is damaged or of an older version: delete {directory} and train it again")
    if config.get("kind") != kind:
        raise RadtError(f"{path} is of a {config.get('kind')!r} model, not {kind!r}: give the directory of a {kind!r} model")
    expected = suite.experiment.model_dump(mode="json")
    if config.get("experiment") != expected:
        raise RadtError(f"{path} was trained on {config['experiment']}, but the experiment is {expected}: train it again")
    weights = directory / WEIGHTS
    if artifacts.sha256(weights) != config["sha256"]:
        raise RadtError(f"{weights} is damaged: delete {directory} and train it again")
    return config


def load_weights(model: nn.Module, directory: Path) -> None:
    """Load the weights, freeze them and switch to evaluation.

    Raises `RadtError` when names, dtypes or shapes differ from the network's, or a weight is not finite.
    """
    path, own = directory / WEIGHTS, model.state_dict()
    tensors = artifacts.read_tensors(path, mmap=False)
    found = {name: torch.from_numpy(array) for name, array in tensors.items()}
    kinds = [{name: (value.dtype, value.shape) for name, value in weights.items()} for weights in (found, own)]
    if kinds[0] != kinds[1]:
        raise RadtError(f"{path} does not fit its config.json: delete {directory} and train it again")
    artifacts.check_finite(path, tensors)
    model.load_state_dict(found)
    model.eval().requires_grad_(False)


def read_dt(directory: Path, suite: Described, aggregate: Aggregate = "states") -> tuple[DecisionTransformer, Training, str]:
    """A trained DT, frozen, its settings, and the hash of its weights; for an encoder, `aggregate` is `embed.aggregate`."""
    config = read_config(directory, "dt", suite)
    training = parse(Training, config["training"])
    model = dt(suite.spec, training, aggregate)
    load_weights(model, directory)
    return model, training, config["sha256"]


def read_ad(directory: Path, suite: Described) -> tuple[DecisionTransformer, TrainAd]:
    """A trained AD network, frozen, and its settings."""
    config = read_config(directory, "ad", suite)
    training = parse(TrainAd, config["training"])
    model = ad(suite.spec, training)
    load_weights(model, directory)
    return model, training


def read_dpt(directory: Path, suite: Described) -> tuple[DecisionPretrainedTransformer, TrainDpt]:
    """A trained DPT, frozen, and its settings."""
    config = read_config(directory, "dpt", suite)
    training = parse(TrainDpt, config["training"])
    model = dpt(suite.spec, training)
    load_weights(model, directory)
    return model, training


def read_radt(
    directory: Path, kind: str, suite: Described, embed: Embed, encoder: str
) -> tuple[RetrievalTransformer, TrainRetrieval]:
    """A trained RA-DT (`kind`: radt or radt_lm), frozen, and its settings.

    Raises `RadtError` unless it was trained with these settings of `embed` and the encoder of hash `encoder`.
    """
    config = read_config(directory, kind, suite)
    for key in ("chunk_length", "aggregate"):
        if (trained := config["inputs"].get(key)) != (value := str(embed.origin()[key])):
            raise RadtError(f"{directory} was trained with embed.{key} {trained}, not {value}: train it again")
    if config["inputs"].get("encoder") != encoder:
        raise RadtError(f"{directory} was trained with another encoder: train it again with the present one")
    training = parse(TrainRetrieval, config["training"])
    model = radt(suite.spec, training, embed)
    load_weights(model, directory)
    return model, training
