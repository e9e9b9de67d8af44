"""Let a trained model learn in context: `python -m radt.stages.evaluate --help`."""

from __future__ import annotations

import argparse
import csv
import io
from functools import partial
from pathlib import Path

import numpy as np

from radt import artifacts
from radt.data.episodes import EpisodeBuffer
from radt.errors import RadtError
from radt.evaluation.agents import AdAgent, Agent, DtAgent, DtQueryEncoder, LanguageQueryEncoder, QueryEncoder, RetrievalAgent
from radt.evaluation.dpt_agent import DptAgent
from radt.evaluation.memory import EmbedEpisodes, OnlineMemory
from radt.evaluation.references import RandomAgent, RetrieveAgent
from radt.evaluation.rollout import in_context
from radt.models import store
from radt.models.language import LanguageEncoder
from radt.retrieval import chunks, language_keys
from radt.settings.base import Section
from radt.settings.evaluation import Evaluate
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.retrieval import Embed, Language
from radt.stages import run
from radt.suites import suite_of
from radt.suites.base import Suite
from radt.suites.transitions import recollection
from radt.training import loop

COLUMNS = ("experiment", "method", "seed", "split", "task", "episode", "return", "optimum")


class Selection(Section):
    """What this stage needs of the configuration: `embed` only for RA-DT, `embed_language` only for its `radt_lm`."""

    experiment: AnyExperiment
    embed: Embed | None = None
    embed_language: Language | None = None
    evaluate: Evaluate


def make_agent(
    kind: str,
    selection: Selection,
    suite: Suite,
    model: Path | None,
    encoder: Path | None,
    history: EpisodeBuffer,
    seed: int,
    device: str,
) -> Agent:
    """The agent of a kind of model; `model` is the directory of its weights, `encoder` that of the DT that embeds."""
    if kind == "random":
        return RandomAgent(history)
    if kind == "retrieve":
        return RetrieveAgent(history, seed)
    if model is None:
        raise RadtError(f"--model is missing: {kind} needs the directory of its weights")
    if kind == "dt":
        network, training, _ = store.read_dt(model, suite)
        return DtAgent(network.to(device), training.model, history)
    if kind == "ad":
        network, training_ad = store.read_ad(model, suite)
        return AdAgent(network.to(device), training_ad.model, history)
    if kind == "dpt":
        pretrained, training_dpt = store.read_dpt(model, suite)
        return DptAgent(pretrained.to(device), training_dpt.context, recollection(suite.experiment, history), history, seed)
    return retrieval_agent(kind, selection, suite, model, encoder, history, device)


def retrieval_agent(
    kind: str, selection: Selection, suite: Suite, model: Path, encoder: Path | None, history: EpisodeBuffer, device: str
) -> Agent:
    """RA-DT with the memory of its kind."""
    embed, settings = selection.embed, selection.evaluate
    if embed is None:
        raise RadtError("the section embed is missing in --settings: RA-DT needs it")
    if kind == "radt":
        if encoder is None:
            raise RadtError("--encoder is missing: RA-DT needs the directory of the DT that embedded its index")
        dt, dt_training, origin = store.read_dt(encoder, suite, embed.aggregate)
        dt.to(device)
        keys: EmbedEpisodes = partial(chunks.embed_episodes, dt, embed.chunk_length)
        query_encoder: QueryEncoder = DtQueryEncoder(dt, dt_training.model, history, embed.chunk_length)
    else:
        if selection.embed_language is None:
            raise RadtError("the section embed_language is missing in --settings: radt_lm needs it")
        language = LanguageEncoder(selection.embed_language, suite.spec, embed.chunk_length, device)
        keys = partial(language_keys.embed_episodes, language)
        query_encoder = LanguageQueryEncoder(language, history, embed.chunk_length)
        origin = language.identity
    network, training = store.read_radt(model, kind, suite, embed, origin)
    network.to(device)
    memory = OnlineMemory(keys, history, settings.memory, embed.chunk_length, training.retrieval.k_context)
    return RetrievalAgent(network, training.retrieval.scope == "segment", query_encoder, memory, settings.memory.query_stride)


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--method", required=True, help="key of evaluate.methods")
    parser.add_argument("--seed", required=True, type=int, help="seed of the trained model, of targets and of actions")
    parser.add_argument("--settings", required=True, help="JSON of the sections")
    parser.add_argument("--model", type=Path, help="directory of the trained model (not for retrieve and random)")
    parser.add_argument("--encoder", type=Path, help="directory of the pre-trained DT that embeds (radt only)")
    parser.add_argument("--output", required=True, type=Path, help="CSV file to write")
    given = parser.parse_args(argv)
    selection = parse(Selection, given.settings)
    suite, settings = suite_of(selection.experiment), selection.evaluate
    device = loop.prepare(settings.device)
    if given.method not in settings.methods:
        raise RadtError(f"unknown method {given.method!r}: evaluate.methods has {sorted(settings.methods)}")
    protocol = settings.methods[given.method]
    known = suite.tasks()
    tasks = np.array([task.id for split in settings.splits for task in known if task.split == split], np.int64)
    if not len(tasks):
        raise RadtError(f"evaluate.splits is {settings.splits}, but {given.experiment!r} has no such tasks: add a split")
    history = EpisodeBuffer(len(tasks), settings.episodes, suite.spec)
    agent = make_agent(protocol.model, selection, suite, given.model, given.encoder, history, given.seed, device)
    returns = in_context(agent, history, suite, tasks, protocol, settings, given.seed)
    splits, best = suite.experiment.splits, [task.references.get("optimum", "") for task in known]
    rows = [
        (given.experiment, given.method, given.seed, splits[task], task, episode + 1, f"{value:g}", best[task])
        for task, row in zip(tasks.tolist(), returns, strict=True)
        for episode, value in enumerate(row.tolist())
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    artifacts.write_text(given.output, text.getvalue())
    for split in dict.fromkeys(splits[task] for task in tasks):
        mean = returns[[splits[task] == split for task in tasks]].mean(0)
        print(f"{split}: first {mean[0]:.1f}, last {mean[-1]:.1f}, average {mean.mean():.1f}")
    return 0


if __name__ == "__main__":
    run(main)
