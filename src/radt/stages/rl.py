"""Let a learner learn one training task, and store its learning history: `python -m radt.stages.rl --help`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.sources import Trajectories
from radt.stages import run
from radt.suites import learners
from radt.suites.sources import learn, learned_spec


class Selection(Section):
    """The part of the configuration that this stage sees."""

    experiment: AnyExperiment
    trajectories: Trajectories


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--task", required=True, type=int, help="id of the task")
    parser.add_argument("--settings", required=True, help="JSON of the sections experiment and trajectories")
    parser.add_argument("--output", required=True, type=Path, help="safetensors file to write; its manifest (.json) comes last")
    arguments = parser.parse_args(argv)
    selection = parse(Selection, arguments.settings)
    begun = time.perf_counter()
    history = learn(selection.experiment.raw, selection.trajectories, arguments.task)
    speed = len(history.actions) / (time.perf_counter() - begun)
    learners.write(arguments.output, learned_spec(selection.experiment.raw), selection.trajectories, history)
    last = history.returns()[-10:].mean()
    print(f"task {arguments.task} of {arguments.experiment}: {speed:.0f} steps/s, last returns {last:.1f}")
    return 0


if __name__ == "__main__":
    run(main)
