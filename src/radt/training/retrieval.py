"""Training of RA-DT with any encoder: windows with contexts that are retrieved from the index."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radt import artifacts
from radt.data.steps import Steps
from radt.errors import RadtError
from radt.models import store
from radt.retrieval import index
from radt.retrieval.context import EncodeQueries, TrainingContexts
from radt.settings.experiments import AnyExperiment
from radt.settings.models import TrainRetrieval
from radt.settings.retrieval import Embed
from radt.training import job, loop


class Chosen(Protocol):
    """The settings of a method that retrieves."""

    experiment: AnyExperiment
    embed: Embed
    train_retrieval: TrainRetrieval


def check_origin(directory: Path, expected: dict[str, str | int | None]) -> None:
    """Raise `RadtError` unless the `config.json` of embeddings or of an index has the `expected` values."""
    config = artifacts.read_checked_json(directory / "config.json")
    for name, value in expected.items():
        if config.get(name) != value:
            raise RadtError(f"{directory} was made from another {name}: run the embed and index stages again")


def read_queries(directory: Path, encoder: str, data: str, embed: Embed) -> NDArray[np.float32] | None:
    """Memory-mapped queries [E, S, W] of whole episodes; None when the embed stage made none.

    Raises `RadtError` when they were made from another encoder, other trajectories or other settings, or are damaged.
    """
    check_origin(directory, {"encoder": encoder, "trajectories": data, **embed.origin()})
    return index.read_embeddings(directory)[0].get("queries")


def drop(contexts: Steps, dropped: Tensor) -> Steps:
    """Contexts [B, S, C] whose mask is false for the windows that are `dropped` [B] (context dropout)."""
    return replace(contexts, mask=contexts.mask & ~dropped[:, None, None])


def learner(setup: job.Setup, selection: Chosen, encode_queries: EncodeQueries, encoder: str) -> job.Learner:
    """RA-DT with `encode_queries` of an encoder, whose identity is `encoder`.

    Raises `RadtError` when the embeddings or the index are missing, or were made from other inputs.
    """
    if setup.embeddings is None or setup.index is None:
        raise RadtError(f"--embeddings or --index is missing: {setup.method} retrieves, and needs both directories")
    training, embed, data = selection.train_retrieval, selection.embed, setup.data
    window, stride = training.model.span(selection.experiment), training.model.stride(selection.experiment)
    check_origin(setup.index, {"encoder": encoder, "trajectories": data.sha256, **embed.origin()})
    keys = index.read(setup.index)
    queries = read_queries(setup.embeddings, encoder, data.sha256, embed)
    retrieve = TrainingContexts(encode_queries, keys, data.episodes, training.retrieval, embed, queries, setup.device)
    setup.seed_weights("radt weights")
    model = store.radt(setup.suite.spec, training, embed, data.statistics).to(setup.device)

    among = data.episodes.best(training.best_share)

    def chance(update: int, purpose: str) -> np.random.Generator:
        return setup.random(f"radt {purpose}", update)

    def loss(update: int) -> loop.Loss:
        random, count = chance(update, "windows"), len(setup.share)
        episode, steps = data.episodes.sample(random, count, window, stride, training.start_probability, among)
        contexts = retrieve(steps, episode, partial(chance, update))
        dropped = torch.from_numpy(chance(update, "context dropout").random(len(episode)) < training.context_dropout)
        contexts = drop(contexts, dropped)
        steps = steps.to(setup.device)
        with loop.autocast(training.optimization, setup.device):
            outputs = model(steps, model.read(contexts.to(setup.device)))
        return loop.action_loss(model.head, outputs, steps)

    inputs = {"encoder": encoder, "index": artifacts.sha256(setup.index / "index.safetensors")}
    inputs |= {"embeddings": artifacts.sha256(setup.embeddings / "embeddings.safetensors")}
    inputs |= {name: str(value) for name, value in embed.origin().items()}
    recall = retrieve.recall()
    print(f"{len(keys.keys)} keys, searched with a recall of {recall:.4f}")
    return job.Learner(model, loss, inputs, {"recall": recall})
