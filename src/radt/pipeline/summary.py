"""A short summary of a figure, printed at the end of a run of the workflow."""

from __future__ import annotations

import csv
from pathlib import Path

from radt.settings.registry import THEMES

SPLITS = {"held_out": "held-out tasks", "unseen": "unseen levels", "validation": "validation tasks", "train": "training tasks"}


def summary(figure: Path) -> list[str]:
    """Two lines on `results/{experiment}/figure.pdf`, from the table beside it: its path, and the first and last mean return of
    each trained method, with the paper's and the best possible return if known.
    """
    with (figure.parent / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    split = next(name for name in SPLITS if any(row["split"] == name for row in rows))
    rows = [row for row in rows if row["split"] == split and row["method"] == row["model"]]
    told = [
        f"{THEMES[row['model']].name} {_short(row['episode_1'])} to {_short(row['last'])}"
        + (f" (paper {_short(row['paper_last'])})" if row["paper_last"] else "")
        for row in rows
        if not THEMES[row["model"]].reference
    ] + [f"optimum {_short(row['optimum'])}" for row in rows[:1] if row["optimum"]]
    return [f"{figure}:", f"  return of the first and the last episode, {SPLITS[split]}: {', '.join(told)}"]


def _short(number: str) -> str:
    """A number with three digits or one decimal."""
    value = float(number)
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
