"""Stage `overview`: every experiment's curves and table -> `overview.csv`, `.pdf`, `.png` and `.html`.

Reads CSV files only; the same files give the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from radt import artifacts
from radt.figures import overview
from radt.figures.curves import COLUMNS, known
from radt.figures.page import page
from radt.figures.table import csv
from radt.settings.base import Name, Section
from radt.settings.experiments import AnyExperiment
from radt.settings.figures import Figure
from radt.settings.parsing import parse
from radt.stages import run


class OverviewSettings(Section):
    """The part of the configuration that this stage sees."""

    experiments: dict[Name, AnyExperiment]
    """World and size of each experiment."""
    figure: Figure
    """Interval."""


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, check the files, and write table, figure and page."""
    parser = argparse.ArgumentParser(prog="python -m radt.stages.overview", description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the sections experiments and figure")
    parser.add_argument("--curves", required=True, nargs="+", type=Path, help="curves.csv of every experiment")
    parser.add_argument("--tables", required=True, nargs="+", type=Path, help="table.csv of every experiment")
    parser.add_argument("--output", required=True, type=Path, help="directory of the four files")
    arguments = parser.parse_args(argv)
    settings = parse(OverviewSettings, arguments.settings)
    experiments, confidence = settings.experiments, settings.figure.confidence

    rows = overview.tables(arguments.tables, experiments)
    curves = overview.collect(arguments.curves, COLUMNS, experiments)
    pdf, png = overview.draw(curves, rows, experiments, confidence)

    artifacts.write_text(arguments.output / "overview.csv", csv(known(rows)))
    artifacts.write_bytes(arguments.output / "overview.pdf", pdf)
    artifacts.write_bytes(arguments.output / "overview.png", png)
    artifacts.write_text(arguments.output / "overview.html", page(rows, experiments, confidence))
    return 0


if __name__ == "__main__":
    run(main)
