"""Expected against obtained, as one HTML table that needs nothing else: the first page of the report."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from radt.figures.style import name_of
from radt.settings import Experiment

NOTES = {"radt_lm": ", domain-agnostic", "retrieve": ", no network", "random": ", no network"}
COLOURS = {"better": "#cfe3f7", "within": "#ececec", "worse": "#fbdcb8"}  # blue, grey, orange: apart for colour-blind readers
SIGNS = {"better": "▲ better", "within": "● within", "worse": "▼ worse"}
SPLITS = {"held_out": "held-out tasks", "train": "training tasks", "validation": "validation tasks"}
STYLE = (
    ".radt{font:13px/1.3 sans-serif;color:#222}.radt table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    ".radt .rows{max-height:60vh;overflow:auto}.radt thead{position:sticky;top:0}"  # Snakemake's report cuts off what is higher
    ".radt th,.radt td{padding:2px 6px;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}"
    ".radt th{background:#f6f6f6;font-weight:600;vertical-align:bottom}.radt td:first-child,.radt th:first-child{text-align:left}"
    ".radt th.group{text-align:left;background:#e4e4e4}.radt small{color:#555}"
    + "".join(f".radt td.{verdict}{{background:{colour}}}" for verdict, colour in COLOURS.items())
)
HEAD = (
    "<tr><th rowspan=2>Method</th><th colspan=4>Last episode</th><th colspan=4>Average over all episodes</th>"
    "<th rowspan=2>RA-DT is better<br><small>chance on a task</small></th><th colspan=4>Training</th></tr>"
    "<tr><th>expected</th><th>obtained</th><th>of the<br>optimum</th><th>verdict</th>"
    "<th>expected</th><th>obtained</th><th>of the<br>optimum</th><th>verdict</th>"
    "<th>seeds</th><th>updates</th><th>parameters</th><th>CPU time</th></tr>"
)


def page(rows: pd.DataFrame, experiments: Mapping[str, Experiment], confidence: float) -> str:
    """The table rows of `radt.figures.overview.tables` as an HTML document: UTF-8, without links to anything outside."""
    names, all_known = list(dict.fromkeys(rows["experiment"])), bool(rows["average_ci_low"].notna().all())
    body = "".join(_experiment(name, rows[rows["experiment"] == name], experiments[name]) for name in names)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Expected and obtained</title></head>'
        f'<body><div class="radt"><style>{STYLE}</style>\n<p>{_summary(rows)}</p>\n<p>{_legend(confidence, all_known)}</p>\n'
        f'<div class="rows"><table><thead>{HEAD}</thead>\n<tbody>\n{body}</tbody></table></div></div></body></html>\n'
    )


def _summary(rows: pd.DataFrame) -> str:
    """How many of the paper's averages were exceeded, met and missed, over all methods that it has."""
    count = rows["average_verdict"].value_counts()
    parts = [f"<b>{int(count.get(verdict, 0))}</b> {verdict}" for verdict in SIGNS]
    return f"Averages against the paper's, all experiments and methods that it reports: {', '.join(parts)}."


def _legend(confidence: float, all_known: bool) -> str:
    """What the columns mean; `all_known`: whether all intervals are."""
    return (
        "<small>Expected: read off the paper's figures (arXiv 2410.07071). Obtained: mean over seeds and tasks with its"
        f" {100 * confidence:g}% bootstrap interval. Within: the interval holds the paper's value; better, worse: it lies above"
        " or below it. Of the optimum: expected → obtained, divided by the mean best possible return of the tasks."
        f"{'' if all_known else ' Of fewer than two seeds or tasks there is no interval and no verdict.'}</small>"
    )


def _experiment(name: str, rows: pd.DataFrame, experiment: Experiment) -> str:
    """A heading and one row for each method."""
    first = rows.iloc[0]
    best = "unknown" if pd.isna(first["optimum"]) else _number(first["optimum"])
    words = f"{experiment.title} — {SPLITS[first['split']]}, best possible {best}"
    lines = "".join(_row(row) for _, row in rows.iterrows())
    return f'<tr><th class="group" colspan=14>{words} <small>({escape(name)})</small></th></tr>\n{lines}'


def _row(row: pd.Series) -> str:
    """One method."""
    label = name_of(row["method"], row["model"]) + NOTES.get(row["model"], "")
    cells = [f"<td>{escape(label)}</td>", *_value(row, "last"), *_value(row, "average")]
    cells.append(f"<td>{_interval(row, 'probability_radt_better', 'probability')}</td>")
    cells.append(f"<td>{row['seeds']}</td><td>{_whole(row['updates'])}</td><td>{_whole(row['parameters'])}</td>")
    cells.append(f"<td>{_duration(row['cpu_seconds'])}</td>")
    return f"<tr>{''.join(cells)}</tr>\n"


def _value(row: pd.Series, name: str) -> list[str]:
    """Cells of the last episode or of the average: expected, obtained, both as shares, verdict."""
    verdict, paper = row[f"{name}_verdict"], row[f"paper_{name}"]
    shares = [row[f"paper_{name}_ratio"], row[f"{name}_ratio"]]
    kind, sign = ("", "") if pd.isna(verdict) else (f' class="{verdict}"', SIGNS[verdict])
    return [
        f"<td>{'' if pd.isna(paper) else _number(paper)}</td>",
        f"<td{kind}>{_interval(row, name, name)}</td>",
        f"<td>{' → '.join(f'{share:.0%}' for share in shares if not pd.isna(share))}</td>",
        f"<td{kind}>{sign}</td>",
    ]


def _interval(row: pd.Series, value: str, ends: str) -> str:
    """A number and its interval, or that it has none; empty when the number is not known."""
    if pd.isna(row[value]):
        return ""
    low, high = (row[f"{ends}_ci_{end}"] for end in ("low", "high"))
    words = "no interval" if pd.isna(low) else f"{_number(low)}&ndash;{_number(high)}"
    return f"{_number(row[value])} <small>({words})</small>"


def _number(value: float) -> str:
    """Three digits at least: 0.43, 6.3 as 6.30, 81.6, 378."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _whole(value: Any) -> str:
    """A whole number with thousands apart; empty when it is not known."""
    return "" if pd.isna(value) else f"{int(value):,}"


def _duration(seconds: float) -> str:
    """Seconds, minutes or hours, with their unit; empty when not known."""
    if pd.isna(seconds):
        return ""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
