"""Get or make the learning histories of all training tasks: `python -m radt.stages.trajectories --help`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from radt.artifacts import write_text
from radt.data import trajectories
from radt.data.curve import learning_curve
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.sources import Trajectories
from radt.stages import run
from radt.suites import seeing_suite_of
from radt.suites.sources import histories, remark


class Selection(Section):
    """The part of the configuration that this stage sees."""

    experiment: AnyExperiment
    trajectories: Trajectories


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--settings", required=True, help="JSON of the sections experiment and trajectories")
    parser.add_argument("--histories", type=Path, help="folder that the rl stage wrote, for sources that learn")
    parser.add_argument("--features", type=Path, help="folder of the encoder of images, for experiments that have one")
    parser.add_argument("--output", required=True, type=Path, help="directory to write")
    arguments = parser.parse_args(argv)
    selection = parse(Selection, arguments.settings)
    suite: Any = seeing_suite_of(selection.experiment, arguments.features, None)
    source, shards = histories(selection.experiment.raw, selection.trajectories, arguments.histories)
    if selection.experiment.encoded:
        source |= {"features": suite.encoder.sha256}
        shards = map(suite.encoder.encoded, shards)
    trajectories.write(arguments.output, arguments.experiment, suite, source, shards)
    data = trajectories.read(arguments.output, suite)
    write_text(arguments.output / "learning.csv", learning_curve(data.shards))
    print(f"{data.manifest['episodes']} episodes, {data.manifest['steps']} steps in {arguments.output}")
    if said := remark(selection.experiment, data):
        print(said)
    return 0


if __name__ == "__main__":
    run(main)
