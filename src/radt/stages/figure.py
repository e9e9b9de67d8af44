"""Stage `figure`: evaluation CSVs -> `curves.csv`, `table.csv`, `seeds.csv`, `figure.pdf` and `figure.png`.

Reads CSV files only, so the figure can be redrawn without weights, data, torch or faiss; the same files give the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from radt import artifacts
from radt.figures import inputs
from radt.figures.curves import curves
from radt.figures.draw import draw
from radt.figures.table import by_seed, csv, rounded, table
from radt.settings.base import Section
from radt.settings.evaluation import Evaluate
from radt.settings.experiments import AnyExperiment
from radt.settings.figures import Figure
from radt.settings.parsing import parse
from radt.stages import run


class FigureSettings(Section):
    """The part of the configuration that this stage sees."""

    experiment: AnyExperiment
    """Number of tasks of each split."""
    evaluate: Evaluate
    """Number of episodes, and the model of each method."""
    figure: Figure
    """Interval."""


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, check the files, and write curves, tables and figure."""
    parser = argparse.ArgumentParser(prog="python -m radt.stages.figure", description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--settings", required=True, help="JSON of the sections experiment, evaluate and figure")
    parser.add_argument("--evaluations", required=True, nargs="+", type=Path, help="CSV files of stage evaluate")
    parser.add_argument("--metrics", required=True, nargs="*", type=Path, help="metrics.csv of the models' training runs")
    parser.add_argument("--paper", required=True, type=Path, help="the paper's curves")
    parser.add_argument("--output", required=True, type=Path, help="directory of the five files")
    arguments = parser.parse_args(argv)
    settings = parse(FigureSettings, arguments.settings)
    evaluate = settings.evaluate

    evaluations = inputs.evaluations(arguments.evaluations, settings.experiment, {arguments.experiment: evaluate})
    training = inputs.training(arguments.metrics)
    paper = inputs.paper(arguments.paper, arguments.experiment)
    lines = rounded(curves(evaluations, paper, evaluate, settings.figure))
    rows = table(evaluations, training, paper, evaluate, settings.figure, settings.experiment)
    pdf, png = draw(lines, settings.experiment.sizes, settings.figure.confidence)

    artifacts.write_text(arguments.output / "curves.csv", csv(lines))
    artifacts.write_text(arguments.output / "table.csv", csv(rows))
    artifacts.write_text(arguments.output / "seeds.csv", csv(by_seed(evaluations, evaluate)))
    artifacts.write_bytes(arguments.output / "figure.pdf", pdf)
    artifacts.write_bytes(arguments.output / "figure.png", png)
    return 0


if __name__ == "__main__":
    run(main)
