"""Draw every figure of an experiment again from what is in Git, without data or weights: `python -m radt redraw`."""

from __future__ import annotations

from pathlib import Path

from radt import artifacts
from radt.commands.config import settings
from radt.errors import RadtError
from radt.figures import inputs, overview
from radt.figures.draw import draw
from radt.figures.table import csv


CURVES = {**overview.CURVES, "low": "float64", "high": "float64"}


def redraw(folder: Path) -> list[Path]:
    """Draw `figure.pdf` and `.png` of every experiment in `folder` from its `curves.csv`, and the overview; returns the files.

    Raises `RadtError` when a table is missing or damaged.
    """
    known = settings()
    names = [name for name in known.experiments if (folder / name / "curves.csv").exists()]
    if not names:
        raise RadtError(f"{folder} holds no curves.csv of an experiment: restore it from the repository")
    drawn = []
    for name in names:
        curves = inputs.read(folder / name / "curves.csv", CURVES, inputs.RESTORE)
        pdf, png = draw(curves, inputs.split_sizes(known.experiments[name]), known.figure.confidence)
        drawn += [folder / name / "figure.pdf", folder / name / "figure.png"]
        artifacts.write_bytes(drawn[-2], pdf)
        artifacts.write_bytes(drawn[-1], png)
    experiments = {name: known.experiments[name] for name in names}
    rows = overview.tables([folder / name / "table.csv" for name in names], experiments)
    lines = overview.collect([folder / name / "curves.csv" for name in names], overview.CURVES, experiments)
    pdf, png = overview.draw(lines, rows, experiments, known.figure.confidence)
    artifacts.write_text(folder / "overview.csv", csv(rows))
    artifacts.write_bytes(folder / "overview.pdf", pdf)
    artifacts.write_bytes(folder / "overview.png", png)
    return [*drawn, *(folder / f"overview.{kind}" for kind in ("csv", "pdf", "png"))]
