"""Draw every figure of an experiment again from what is in Git, without data or weights: `python -m radt redraw`."""

from __future__ import annotations

from pathlib import Path

from radt import artifacts
from radt.commands.config import settings
from radt.configuration import Settings
from radt.errors import RadtError
from radt.figures import ablation, inputs, overview
from radt.figures.curves import COLUMNS
from radt.figures.draw import draw
from radt.figures.table import csv


def redraw(folder: Path) -> list[Path]:
    """Draw the figures of all experiments and ablations whose tables are in `folder`, and the overview; returns the files.

    Raises `RadtError` when there are no tables of an experiment, or when one is damaged.
    """
    known = settings()
    names = [name for name in known.experiments if (folder / name / "curves.csv").exists()]
    if not names:
        raise RadtError(f"{folder} holds no curves.csv of an experiment: restore it from the repository")
    drawn = []
    for name in names:
        curves = inputs.read(folder / name / "curves.csv", COLUMNS, inputs.RESTORE)
        sizes = inputs.split_sizes(known.experiments[name])
        drawn += _write(folder / name / "figure", draw(curves, sizes, known.figure.confidence))
    for name in known.ablations:
        if (folder / f"ablations/{name}.curves.csv").exists():
            drawn += _write(folder / "ablations" / name, _ablation(folder / "ablations", name, known))
    experiments = {name: known.experiments[name] for name in names}
    rows = overview.tables([folder / name / "table.csv" for name in names], experiments)
    lines = overview.collect([folder / name / "curves.csv" for name in names], COLUMNS, experiments)
    artifacts.write_text(folder / "overview.csv", csv(rows))
    return [*drawn, *_write(folder / "overview", overview.draw(lines, rows, experiments, known.figure.confidence))]


def _ablation(folder: Path, name: str, known: Settings) -> tuple[bytes, bytes]:
    """The figure of an ablation, as PDF and as PNG, from its three tables."""
    curves, rows, histories = (
        inputs.read(folder / f"{name}.{kind}", columns, inputs.RESTORE)
        for kind, columns in (
            ("curves.csv", ablation.CURVES),
            ("csv", ablation.COLUMNS),
            ("learning.csv", {**inputs.LEARNING, "variant": "str"}),
        )
    )
    sizes = inputs.split_sizes(known.experiments[known.ablations[name].experiment])
    return ablation.plot(curves, rows, histories, sizes, known.figure.confidence)


def _write(stem: Path, drawn: tuple[bytes, bytes]) -> list[Path]:
    """Write a figure as PDF and as PNG; their paths."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("pdf", "png")]
    for path, content in zip(paths, drawn, strict=True):
        artifacts.write_bytes(path, content)
    return paths
