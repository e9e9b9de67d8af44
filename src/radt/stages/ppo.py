"""Let PPO learn one training task and keep all it did: `python -m radt.stages.ppo --help`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from radt.settings.base import Section
from radt.settings.parsing import parse
from radt.settings.sources import Ppo
from radt.stages import run
from radt.suites.grid import ppo
from radt.suites.grid.settings import GridExperiment


class Selection(Section):
    """What this stage needs of the configuration."""

    experiment: GridExperiment
    ppo: Ppo


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--task", required=True, type=int, help="id of the task")
    parser.add_argument("--settings", required=True, help="JSON of experiment and of trajectories.ppo, as `ppo`")
    parser.add_argument("--output", required=True, type=Path, help="safetensors file to write; its manifest (.json) comes last")
    arguments = parser.parse_args(argv)
    selection = parse(Selection, arguments.settings)
    begun = time.perf_counter()
    history = ppo.learn_task(selection.experiment, selection.ppo, arguments.task)
    speed = selection.ppo.steps / (time.perf_counter() - begun)
    ppo.write(arguments.output, selection.experiment, selection.ppo, history)
    last = history.returns()[-10:].mean()
    print(f"task {arguments.task} of {arguments.experiment}: {speed:.0f} steps/s, last returns {last:.1f}")
    return 0


if __name__ == "__main__":
    run(main)
