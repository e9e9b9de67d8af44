"""Tables of results in Markdown pages, written from the recorded tables.

A page marks such a table by `<!-- radt redraw: COLUMNS -->`: the columns of table.csv whose values a cell holds. A row begins
with the name of an experiment. A column is the name of a method, `optimum` or `paper: RA-DT`. Others are left as they are, and
so are rows of experiments without a recorded table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from radt.figures import inputs, table

MARK = re.compile(r"<!-- radt redraw: ([\w, ]+) -->")
METHODS = {
    "RA-DT": "radt",
    "RA-DT, language model": "radt_lm",
    "AD": "ad",
    "DPT": "dpt",
    "DT": "dt",
    "replay": "retrieve",
    "random": "random",
}
"""The key of `evaluate.methods` by the name of a method in the pages."""
UNTRAINED = ("replay", "random")
SMALL = 10.0
"""Values of a row that are all smaller have two places, others have one."""


def written(page: str, folder: Path) -> str:
    """The text of a page with the numbers of the tables in `folder`; raises `RadtError` where one of them is damaged."""
    lines = page.split("\n")
    for mark, line in enumerate(lines):
        if found := MARK.fullmatch(line):
            columns, names = found[1].split(", "), _cells(lines[mark + 1])
            row = mark + 3  # below the rule
            while row < len(lines) and lines[row].startswith("|"):
                lines[row] = _row(lines[row], names, columns, folder)
                row += 1
    return "\n".join(lines)


def _cells(line: str) -> list[str]:
    """The cells of a line of a table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def _row(line: str, names: list[str], columns: list[str], folder: Path) -> str:
    """A line of a table with the numbers of its experiment."""
    cells = dict(zip(names, _cells(line), strict=True))
    experiment = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", cells[names[0]])
    path = folder / experiment / "table.csv"
    if not path.is_file():
        return line
    rows = inputs.read(path, table.COLUMNS, inputs.RESTORE)
    of: dict[str, dict[str, Any]] = rows[rows["split"] == "held_out"].set_index("method").to_dict("index")  # type: ignore[assignment]
    shown = _shown(2 if max(abs(row[column]) for row in of.values() for column in columns) < SMALL else 1)
    methods = {name: key for name, key in METHODS.items() if name in names and key in of}
    cells |= {name: " / ".join(shown(of[key][column]) for column in columns) for name, key in methods.items()}
    for name, keys in (("optimum", ["optimum"]), ("paper: RA-DT", [f"paper_{column}" for column in columns])):
        if name in names:
            cells[name] = " / ".join(shown(of["radt"][key]) for key in keys if pd.notna(of["radt"][key]))
    trained = [name for name in methods if name not in UNTRAINED]
    best = max(trained, key=lambda name: float(of[methods[name]]["last"]))
    if len(columns) == 1 and [cells[name] for name in trained].count(cells[best]) == 1:
        cells[best] = f"**{cells[best]}**"
    return "".join(f"| {cell} " if cell else "| " for cell in cells.values()) + "|"


def _shown(places: int) -> Callable[[float], str]:
    """Prints numbers with so many places."""
    return lambda value: f"{value:.{places}f}"
