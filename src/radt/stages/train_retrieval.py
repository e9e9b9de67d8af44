"""Train RA-DT: `python -m radt.stages.train_retrieval --help`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radt import artifacts, seeding
from radt.data.steps import Steps
from radt.data.trajectories import ExperimentSpec
from radt.data.windows import Episodes
from radt.errors import RadtError
from radt.models import store
from radt.models.language import LanguageEncoder
from radt.retrieval import chunks, index, language_keys
from radt.retrieval.context import EncodeQueries, TrainingContexts
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.models import TrainRetrieval
from radt.settings.parsing import parse
from radt.settings.registry import TRAINED
from radt.settings.retrieval import Embed, Language
from radt.stages import run
from radt.suites import experiment_spec
from radt.training import job, loop, ranks

CHOICES = [name for name, method in TRAINED.items() if method.stage == "train_retrieval"]


class Selection(Section):
    """What this stage needs of the configuration."""

    experiment: AnyExperiment
    embed: Embed
    embed_language: Language | None = None
    train_retrieval: TrainRetrieval


def check_origin(directory: Path, expected: dict[str, str | int | None]) -> None:
    """Raise `RadtError` unless embeddings or an index were made from this encoder, these trajectories and these settings."""
    config = artifacts.read_checked_json(directory / "config.json")
    for name, value in expected.items():
        if config.get(name) != value:
            raise RadtError(f"{directory} was made from another {name}: run the embed and index stages again")


def read_queries(directory: Path, encoder: str, data: str, embed: Embed) -> NDArray[np.float32] | None:
    """Queries [E, S, W] of whole episodes, mapped; None when the embed stage made none.

    Raises `RadtError` when they were made from another encoder, other trajectories or other settings, or are damaged.
    """
    check_origin(directory, {"encoder": encoder, "trajectories": data, **embed.origin()})
    return index.read_embeddings(directory)[0].get("queries")


def query_encoder(
    selection: Selection, suite: ExperimentSpec, episodes: Episodes, encoder: Path | None, device: str
) -> tuple[EncodeQueries, str]:
    """The function that makes queries of scope `window`, and the identity of its encoder: a DT, or a language model."""
    chunk_length = selection.embed.chunk_length
    if encoder is not None:
        network, _, identity = store.read_dt(encoder, suite, selection.embed.aggregate)
        return partial(chunks.encode_queries, network.to(device), chunk_length), identity
    if selection.embed_language is None:
        raise RadtError("--encoder is missing: radt needs the directory of the DT, radt_lm the section embed_language")
    language = LanguageEncoder(selection.embed_language, suite.spec, chunk_length, device)
    return partial(language_keys.encode_queries, language, episodes, chunk_length), language.identity


def drop(contexts: Steps, dropped: Tensor) -> Steps:
    """Contexts [B, S, C] with nothing to read in the windows that are `dropped` [B]."""
    return replace(contexts, mask=contexts.mask & ~dropped[:, None, None])


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = job.arguments(__doc__, "embeddings", "index")
    parser.add_argument("--model", required=True, choices=CHOICES, help="the DT embeds, or a language model")
    parser.add_argument("--encoder", type=Path, help="directory of the pre-trained DT (radt only)")
    given = parser.parse_args(argv)
    selection = parse(Selection, given.settings)
    experiment, training, kind = selection.experiment, selection.train_retrieval, str(given.model)
    suite = experiment_spec(experiment)
    optimization, window, stride = training.optimization, training.model.span(experiment), training.model.stride(experiment)
    device = loop.prepare_training(optimization)
    data = job.read_data(given.trajectories, suite)
    encode_queries, encoder_hash = query_encoder(selection, suite, data.episodes, given.encoder, device)
    check_origin(given.index, {"encoder": encoder_hash, "trajectories": data.sha256, **selection.embed.origin()})
    keys = index.read(given.index)
    queries = read_queries(given.embeddings, encoder_hash, data.sha256, selection.embed)
    retrieve = TrainingContexts(encode_queries, keys, data.episodes, training.retrieval, selection.embed, queries, device)
    seeding.seed_torch(given.seed, "radt weights")
    model = store.radt(suite.spec, training, selection.embed, data.statistics).to(device)
    share = ranks.share(optimization.batch_size)

    def chance(update: int, purpose: str) -> np.random.Generator:
        return share.generator(given.seed, f"radt {purpose}", update)

    def batch_loss(update: int) -> loop.Loss:
        episode, steps = data.episodes.sample(chance(update, "windows"), len(share), window, stride, training.start_probability)
        contexts = retrieve(steps, episode, partial(chance, update))
        dropped = torch.from_numpy(chance(update, "context dropout").random(len(episode)) < training.context_dropout)
        contexts = drop(contexts, dropped)
        steps = steps.to(device)
        with loop.autocast(optimization, device):
            outputs = model(steps, model.read(contexts.to(device)))
        return loop.action_loss(model.head, outputs, steps)

    inputs = {"trajectories": data.sha256, "encoder": encoder_hash, "index": artifacts.sha256(given.index / "index.safetensors")}
    inputs |= {"embeddings": artifacts.sha256(given.embeddings / "embeddings.safetensors")}
    inputs |= {name: str(value) for name, value in selection.embed.origin().items()}
    recall = retrieve.recall()
    print(f"{len(keys.keys)} keys, searched with a recall of {recall:.4f}")
    job.train_and_save(kind, given, selection, training, experiment, model, batch_loss, inputs, {"recall": recall})
    return 0


if __name__ == "__main__":
    run(main)
