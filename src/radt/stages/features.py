"""Learn the encoder of images, from frames of the training tasks: `python -m radt.stages.features --help`."""

from __future__ import annotations

import argparse
from pathlib import Path

from radt.data import features
from radt.errors import RadtError
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.sources import Features, Trajectories
from radt.stages import run
from radt.suites.sources import histories


class Selection(Section):
    """The part of the configuration that this stage sees."""

    experiment: AnyExperiment
    features: Features
    trajectories: Trajectories


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--settings", required=True, help="JSON of the sections experiment, features and trajectories")
    parser.add_argument("--histories", type=Path, help="folder that the rl stage wrote, for sources that learn")
    parser.add_argument("--output", required=True, type=Path, help="directory to write")
    arguments = parser.parse_args(argv)
    selection = parse(Selection, arguments.settings)
    experiment = selection.experiment
    if not experiment.encoded:
        raise RadtError(f"{arguments.experiment} has no `numbers_per_frame`: set how many numbers stand for an image")
    shards = histories(experiment.raw, selection.trajectories, arguments.histories)[1]
    encoder, kept = features.fit(shards, -(-selection.features.frames // experiment.splits.count("train")), experiment.encoded)
    config = {"experiment": experiment.model_dump(mode="json"), "variance": kept}
    features.write(arguments.output, encoder, config)
    print(f"{experiment.encoded} numbers keep {kept:.1%} of the variance of frames")
    return 0


if __name__ == "__main__":
    run(main)
