"""Let a trained model learn in context: `python -m radt.stages.evaluate --help`."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

import numpy as np

from radt import artifacts
from radt.data.episodes import EpisodeBuffer
from radt.errors import RadtError
from radt.evaluation.rollout import in_context
from radt.evaluation.setup import Setup
from radt.settings.base import Section
from radt.settings.evaluation import Evaluate
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.registry import module
from radt.settings.retrieval import Embed, Language
from radt.stages import run
from radt.suites import seeing_suite_of
from radt.training import loop

COLUMNS = ("experiment", "method", "seed", "split", "task", "episode", "return", "optimum")
SUCCESS = "success"
"""Column for environments that report whether an episode reached its goal: 1 or 0."""


class Selection(Section):
    """The part of the configuration that this stage sees; `embed` only for RA-DT, `embed_language` only for `radt_lm`."""

    experiment: AnyExperiment
    embed: Embed | None = None
    embed_language: Language | None = None
    evaluate: Evaluate


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--method", required=True, help="key of evaluate.methods")
    parser.add_argument("--seed", required=True, type=int, help="seed of the trained model, of targets and of actions")
    parser.add_argument("--settings", required=True, help="JSON of the sections")
    parser.add_argument("--model", type=Path, help="directory of the trained model (not for retrieve, random and expert)")
    parser.add_argument("--features", type=Path, help="folder of the encoder of images, for experiments that have one")
    parser.add_argument("--encoder", type=Path, help="directory of the pre-trained DT that embeds (radt only)")
    parser.add_argument("--output", required=True, type=Path, help="CSV file to write")
    given = parser.parse_args(argv)
    selection = parse(Selection, given.settings)
    suite, settings = seeing_suite_of(selection.experiment, given.features, given.model), selection.evaluate
    device = loop.prepare(settings.device)
    if given.method not in settings.methods:
        raise RadtError(f"unknown method {given.method!r}: evaluate.methods has {sorted(settings.methods)}")
    protocol = settings.methods[given.method]
    known = suite.tasks()
    tasks = np.array([task.id for split in settings.splits for task in known if task.split == split], np.int64)
    if not len(tasks):
        raise RadtError(f"evaluate.splits is {settings.splits}, but {given.experiment!r} has no such tasks: add a split")
    history, env = EpisodeBuffer(len(tasks), settings.episodes, suite.spec), suite.make(tasks)
    parts = settings.memory, selection.embed, selection.embed_language
    setup = Setup(protocol.model, suite, env, history, given.seed, device, *parts, given.model, given.encoder)
    agent = module(protocol.model).agent(setup)
    returns = in_context(agent, history, suite, env, protocol, settings, given.seed)
    splits, best = suite.experiment.splits, [task.references.get("optimum", "") for task in known]
    success = None if history.success is None else history.success.int().tolist()
    rows = [
        (given.experiment, given.method, given.seed, splits[task], task, episode + 1, f"{value:g}", best[task])
        + (() if success is None else (success[number][episode],))
        for number, (task, row) in enumerate(zip(tasks.tolist(), returns, strict=True))
        for episode, value in enumerate(row.tolist())
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS if success is None else (*COLUMNS, SUCCESS), *rows])
    artifacts.write_text(given.output, text.getvalue())
    for split in dict.fromkeys(splits[task] for task in tasks):
        mean = returns[[splits[task] == split for task in tasks]].mean(0)
        print(f"{split}: first {mean[0]:.1f}, last {mean[-1]:.1f}, average {mean.mean():.1f}")
    return 0


if __name__ == "__main__":
    run(main)
