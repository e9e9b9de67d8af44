"""The inputs and outputs of a method's `training`, and how its network is trained and written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from radt import seeding
from radt.data import trajectories
from radt.data.trajectories import Described, ExperimentSpec, Statistics
from radt.data.windows import Episodes
from radt.machine import rank
from radt.models import store
from radt.pipeline.provenance import code_of
from radt.settings.base import Section
from radt.training import checkpoints, loop, ranks


@dataclass(frozen=True)
class Data:
    """Memory-mapped learning histories, the table of their episodes, statistics of their observations, and their hash."""

    trajectories: trajectories.Trajectories
    episodes: Episodes
    statistics: Statistics | None
    sha256: str
    features: dict[str, str]
    """`features`: hash of the encoder of images; empty without one."""


def read_data(directory: Path, suite: Described) -> Data:
    """Read and verify the learning histories in a directory; raises `RadtError` when they do not fit the experiment."""
    data = trajectories.read(directory, suite)
    digest = checkpoints.digest(json.dumps(data.manifest["shards"], sort_keys=True))
    features = {name: str(value) for name, value in data.manifest["source"].items() if name == "features"}
    return Data(data, Episodes(data), data.statistics, digest, features)


@dataclass(frozen=True)
class Setup:
    """Inputs of a training (`training` in a file of `radt.methods`)."""

    method: str
    seed: int
    suite: ExperimentSpec
    device: str
    data: Data
    share: ranks.Share
    """Rows of a batch that this process computes."""
    encoder: Path | None = None
    """Directory of the pre-trained DT that embeds."""
    embeddings: Path | None = None
    """Directory of the embeddings."""
    index: Path | None = None
    """Directory of the index."""

    def seed_weights(self, purpose: str) -> None:
        """Seed the initialisation of a network."""
        seeding.seed_torch(self.seed, purpose)

    def random(self, purpose: str, update: int) -> np.random.Generator:
        """Generator of the random numbers of this process' rows in an update. `purpose` names the stream."""
        return self.share.generator(self.seed, purpose, update)


@dataclass(frozen=True)
class Learner:
    """A network and its loss."""

    model: torch.nn.Module
    loss: Callable[[int], loop.Loss]
    """From the number of an update to the loss of this process' rows of its batch."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Hashes of inputs besides the learning histories."""
    measured: dict[str, float] = field(default_factory=dict)
    """Measured numbers for `config.json`."""


def train_and_save(setup: Setup, selection: Section, section: str, learner: Learner, state: Path, output: Path) -> None:
    """Train a network and write it to `output`. Only the first rank writes.

    Args:
        setup: inputs of the training.
        selection: the settings that it reads.
        section: name of the training's section in `selection`.
        learner: the network and its loss.
        state: directory of the checkpoint. It stays until the artifact is recorded (`radt.stages.run`), so that a full disk does
            not cost a finished training. Another number of ranks can resume from it.
        output: directory to write.
    """
    training, inputs = getattr(selection, section), {"trajectories": setup.data.sha256, **setup.data.features, **learner.inputs}
    experiment = setup.suite.experiment.model_dump(mode="json")
    code = code_of("radt.stages.train", {"experiment": experiment}, ["--method", setup.method])
    settings = selection.model_dump_json(exclude={section: {"optimization": {"ranks"}}})
    identity = checkpoints.identity(settings, setup.seed, code, *inputs.values())
    metrics = loop.train(setup.method, setup.seed, learner.model, learner.loss, training.optimization, state, identity)
    if rank():
        return
    config = {"kind": setup.method, "seed": setup.seed, "experiment": experiment}
    config |= {"inputs": inputs, **learner.measured, "training": training.model_dump(mode="json")}
    store.write(output, learner.model, config, metrics)
