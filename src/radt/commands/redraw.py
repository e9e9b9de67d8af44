"""Draw all figures of experiments again from tables in Git, without data or weights: `python -m radt redraw`.

It also writes the numbers of the tables in README.md and docs/results.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

from radt import artifacts
from radt.errors import RadtError
from radt.figures import ablation, inputs, overview, pages
from radt.figures.curves import COLUMNS
from radt.figures.draw import draw
from radt.figures.table import csv
from radt.pipeline import provenance
from radt.pipeline.config import settings
from radt.settings.configuration import Settings

TABLES = {
    "curves.csv": ablation.CURVES,
    "csv": ablation.COLUMNS,
    "learning.csv": {**inputs.LEARNING, "variant": "str"},
}
"""Suffixes of the tables of an ablation, and their columns."""
PAGES = (Path("README.md"), Path("docs/results.md"))
"""Pages with tables of results."""


def redraw(folder: Path) -> list[Path]:
    """Draw the figures of all experiments and ablations whose tables are in `folder`, and the overview; returns the files. The
    numbers in `PAGES` are written, too.

    Tables with a record are compared with it; tables without one are named. Raises `RadtError` when there are no tables, or one
    is damaged or differs from its record; then nothing is written.
    """
    known = settings()
    names = [name for name in known.experiments if (folder / name / "curves.csv").exists()]
    if not names:
        raise RadtError(f"{folder} holds no curves.csv of an experiment: restore it from the repository")
    ablations = [name for name in known.ablations if (folder / f"ablations/{name}.curves.csv").exists()]
    tables = [folder / name / table for name in names for table in ("curves.csv", "table.csv")]
    tables += [folder / f"ablations/{name}.{table}" for name in ablations for table in TABLES]
    if untraced := _untraced(tables):
        print(f"no record tells what the tables were made from in {', '.join(untraced)}", file=sys.stderr)
    drawn: dict[Path, tuple[bytes, bytes]] = {}
    for name in names:
        curves = inputs.read(folder / name / "curves.csv", COLUMNS, inputs.RESTORE)
        sizes = known.experiments[name].sizes
        drawn[folder / name / "figure"] = draw(curves, sizes, known.figure.confidence)
    for name in ablations:
        drawn[folder / "ablations" / name] = _ablation(folder / "ablations", name, known)
    experiments = {name: known.experiments[name] for name in names}
    rows = overview.tables([folder / name / "table.csv" for name in names], experiments)
    lines = overview.collect([folder / name / "curves.csv" for name in names], COLUMNS, experiments)
    drawn[folder / "overview"] = overview.draw(lines, rows, experiments, known.figure.confidence)
    texts = {page: pages.written(page.read_text(encoding="utf-8"), folder) for page in PAGES if page.is_file()}
    for page, text in texts.items():
        artifacts.write_text(page, text)
    artifacts.write_text(folder / "overview.csv", csv(rows))
    return [path for stem, pictures in drawn.items() for path in _write(stem, pictures)]


def _untraced(tables: list[Path]) -> list[str]:
    """The folders of tables without a record, which are older than records.

    Raises `RadtError` when a table differs from its record.
    """
    found: dict[str, None] = {}
    for table in tables:
        if not artifacts.is_there(record := provenance.record_of(table)):
            found[table.parent.as_posix()] = None
        elif artifacts.sha256(table) != provenance.read(record).outputs.get(table.name):
            raise RadtError(f"{table} is not the table that was recorded: {inputs.RESTORE}")
    return list(found)


def _ablation(folder: Path, name: str, known: Settings) -> tuple[bytes, bytes]:
    """The figure of an ablation, as PDF and as PNG, from its three tables."""
    curves, rows, histories = (
        inputs.read(folder / f"{name}.{kind}", columns, inputs.RESTORE) for kind, columns in TABLES.items()
    )
    sizes = known.experiments[known.ablations[name].experiment].sizes
    return ablation.plot(curves, rows, histories, sizes, known.figure.confidence)


def _write(stem: Path, drawn: tuple[bytes, bytes]) -> list[Path]:
    """Write a figure as PDF and as PNG; returns the paths."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("pdf", "png")]
    for path, content in zip(paths, drawn, strict=True):
        artifacts.write_bytes(path, content)
    return paths
