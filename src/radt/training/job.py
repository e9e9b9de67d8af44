"""What the training stages share: their command line, their inputs, and the way their result is written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from radt.data import trajectories
from radt.data.trajectories import Described, Statistics
from radt.data.windows import Episodes
from radt.machine import rank
from radt.models import store
from radt.pipeline.fingerprint import fingerprint
from radt.settings.base import Section
from radt.settings.experiments import Experiment
from radt.settings.models import TrainDpt, Training
from radt.settings.registry import METHODS
from radt.training import checkpoints, loop


def arguments(description: str | None, *directories: str) -> argparse.ArgumentParser:
    """The command line of a training stage; `directories` are inputs besides the trajectories."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", required=True, type=int, help="seed of weights, batches and dropout")
    parser.add_argument("--settings", required=True, help="JSON of the experiment and of the stage's sections")
    parser.add_argument("--trajectories", required=True, type=Path, help="directory of the learning histories")
    for name in directories:
        parser.add_argument(f"--{name}", required=True, type=Path, help=f"directory of the {name}")
    parser.add_argument("--state", required=True, type=Path, help="directory of the checkpoint")
    parser.add_argument("--output", required=True, type=Path, help="directory to write")
    return parser


@dataclass(frozen=True)
class Data:
    """The learning histories, mapped, the statistics of their observations, and the hash of their manifest."""

    episodes: Episodes
    statistics: Statistics | None
    sha256: str


def read_data(directory: Path, suite: Described) -> Data:
    """Read, verify and index the learning histories."""
    data = trajectories.read(directory, suite)
    return Data(Episodes(data), data.statistics, shards_digest(data))


def shards_digest(data: trajectories.Trajectories) -> str:
    """Hash of the learning histories, from their manifest."""
    return checkpoints.digest(json.dumps(data.manifest["shards"], sort_keys=True))


def train_and_save(
    kind: str,
    given: argparse.Namespace,
    selection: Section,
    training: Training | TrainDpt,
    experiment: Experiment,
    model: torch.nn.Module,
    batch_loss: Callable[[int], loop.Loss],
    inputs: dict[str, str],
    measured: dict[str, float] | None = None,
) -> None:
    """Train `model` and write it to `given.output`, `measured` into its `config.json`. Of several ranks only the first writes.

    The checkpoint stays until the artifact is recorded (`radt.stages.run`): a full disk must not cost a finished training.
    Another number of ranks can go on with it.
    """
    stage = METHODS[kind].stage
    code = fingerprint(f"radt.stages.{stage}")
    settings = selection.model_dump_json(exclude={stage: {"optimization": {"ranks"}}})
    identity = checkpoints.identity(settings, given.seed, code, *inputs.values())
    metrics = loop.train(kind, given.seed, model, batch_loss, training.optimization, given.state, identity)
    if rank():
        return
    config = {"kind": kind, "seed": given.seed, "experiment": experiment.model_dump(mode="json"), "inputs": inputs}
    config |= measured or {}
    store.write(given.output, model, {**config, "training": training.model_dump(mode="json")}, metrics)
