"""Stage `ablation`: evaluation CSVs of all variants of an ablation, and learning curves of their histories -> table
`{ablation}.csv`, figure `.pdf` and `.png`, and the lines of the figure, `.curves.csv` and `.learning.csv`.

Reads CSV files only; the same files give the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from radt import artifacts
from radt.errors import RadtError
from radt.figures import ablation, inputs
from radt.figures.table import csv, rounded
from radt.settings.base import Name, Section
from radt.settings.evaluation import Evaluate
from radt.settings.experiments import AnyExperiment
from radt.settings.figures import Figure
from radt.settings.parsing import parse
from radt.stages import run


class AblationSettings(Section):
    """The part of the configuration that this stage sees."""

    experiment: AnyExperiment
    """Number of tasks of each split."""
    variants: dict[Name, Evaluate]
    """Evaluation of each variant."""
    order: list[Name]
    """All variants, in the order of the figure."""
    figure: Figure
    """Interval."""


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, check the files, and write table and figure."""
    parser = argparse.ArgumentParser(prog="python -m radt.stages.ablation", description=__doc__)
    parser.add_argument("--ablation", required=True, help="name of the ablation")
    parser.add_argument(
        "--settings", required=True, help="JSON of experiment, variants (the section evaluate of each), their order, and figure"
    )
    parser.add_argument("--evaluations", required=True, nargs="+", type=Path, help="CSV files of stage evaluate, of all variants")
    parser.add_argument("--paper", required=True, type=Path, help="the paper's ablations")
    parser.add_argument("--learning", nargs="*", default=[], help="VARIANT=FILE: learning.csv of its histories, drawn too")
    parser.add_argument("--output", required=True, type=Path, help="directory of the five files")
    arguments = parser.parse_args(argv)
    name, settings = arguments.ablation, parse(AblationSettings, arguments.settings)
    protocols = {ablation.prefix(name) + variant: settings.variants[variant] for variant in settings.order}

    evaluations = inputs.evaluations(arguments.evaluations, settings.experiment, protocols)
    paper = inputs.paper_ablation(arguments.paper, name)
    sources = dict(item.partition("=")[::2] for item in arguments.learning)
    if unknown := sorted(sources.keys() - settings.variants.keys()):
        raise RadtError(f"--learning names the variant {unknown[0]!r}, allowed are {sorted(settings.variants)}")
    histories = rounded(inputs.learning({variant: Path(file) for variant, file in sources.items()}))
    rows = rounded(ablation.table(evaluations, name, paper, protocols, settings.figure))
    lines = rounded(ablation.lines(evaluations, name, protocols, settings.figure))
    pdf, png = ablation.plot(lines, rows, histories, settings.experiment.sizes, settings.figure.confidence)

    for kind, frame in (("csv", rows), ("curves.csv", lines), ("learning.csv", histories)):
        artifacts.write_text(arguments.output / f"{name}.{kind}", csv(frame))
    artifacts.write_bytes(arguments.output / f"{name}.pdf", pdf)
    artifacts.write_bytes(arguments.output / f"{name}.png", png)
    return 0


if __name__ == "__main__":
    run(main)
