"""Train a method: `python -m radt.stages.train --help`."""

from __future__ import annotations

import argparse
from pathlib import Path

from radt.settings.parsing import parse
from radt.settings.registry import TRAINED, module
from radt.stages import run
from radt.suites import experiment_spec
from radt.training import job, loop, ranks


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True, choices=TRAINED, help="a file of radt.methods")
    parser.add_argument("--seed", required=True, type=int, help="seed of weights, batches and dropout")
    parser.add_argument("--settings", required=True, help="JSON of the experiment and of the sections that the method reads")
    parser.add_argument("--trajectories", required=True, type=Path, help="directory of the learning histories")
    parser.add_argument("--encoder", type=Path, help="directory of the pre-trained DT that embeds (radt only)")
    for name in ("embeddings", "index"):
        parser.add_argument(f"--{name}", type=Path, help=f"directory of the {name} (only for methods that retrieve)")
    parser.add_argument("--state", required=True, type=Path, help="directory of the checkpoint")
    parser.add_argument("--output", required=True, type=Path, help="directory to write")
    given = parser.parse_args(argv)
    method, section = module(given.method), TRAINED[given.method].stage
    selection = parse(method.Selection, given.settings)
    optimization, suite = getattr(selection, section).optimization, experiment_spec(selection.experiment)
    device = loop.prepare_training(optimization)
    data, share = job.read_data(given.trajectories, suite), ranks.share(optimization.batch_size)
    places = given.encoder, given.embeddings, given.index
    setup = job.Setup(given.method, given.seed, suite, device, data, share, *places)
    job.train_and_save(setup, selection, section, method.training(setup, selection), given.state, given.output)
    return 0


if __name__ == "__main__":
    run(main)
