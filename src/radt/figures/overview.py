"""All experiments on one page: small curves of each, and every method as a share of the best possible return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from radt.errors import RadtError
from radt.figures.inputs import AGAIN, check_intervals, lines, read, tested
from radt.figures.style import STYLE, Look, looks, render
from radt.figures.table import COLUMNS
from radt.settings.experiment import Experiment
from radt.settings.methods import GREY

WIDTH, ACROSS = 7.16, 4  # inches: two columns; panels in a row
PANEL_HEIGHT, SHARES_HEIGHT, KEY_HEIGHT = 1.55, 2.2, 0.34  # inches
LEFT, RIGHT, GAP = 0.065, 0.99, 0.05  # shares of the width between which the panels stand, and between two of them


def collect(paths: Iterable[Path], columns: dict[str, str], experiments: Mapping[str, Experiment]) -> pd.DataFrame:
    """The rows of unseen tasks of every experiment's file, one experiment after the other: by world, size and name.

    Of each experiment one split is kept: held out where there is one (`radt.figures.inputs.tested`). Raises `RadtError` when a
    file is of no named experiment, when an experiment has no file, or when two files are of the same.
    """
    parts: dict[str, pd.DataFrame] = {}
    for path in paths:
        frame = (lines if "episode" in columns else read)(path, columns, AGAIN)
        check_intervals(path, frame, AGAIN)
        names = list(frame["experiment"].unique())
        if len(names) != 1 or names[0] not in experiments or names[0] in parts:
            raise RadtError(
                f"{path} holds experiments {names}, expected is one of {sorted(experiments)}, each in one file: {AGAIN}"
            )
        if frame.duplicated([name for name in ("method", "split", "episode") if name in columns]).any():
            raise RadtError(f"{path} has a row twice: {AGAIN}")
        parts[names[0]] = frame[frame["split"] == tested(frame["split"])]
    if absent := sorted(experiments.keys() - parts.keys()):
        raise RadtError(f"no file holds experiment {absent[0]!r}: name its curves.csv and table.csv too")

    def key(name: str) -> tuple[float, int, str]:
        experiment = experiments[name]
        return *experiment.order, name

    return pd.concat([parts[name] for name in sorted(parts, key=key)], ignore_index=True)


def tables(paths: Iterable[Path], experiments: Mapping[str, Experiment]) -> pd.DataFrame:
    """All rows of unseen tasks of the experiments' tables, columns as in `radt.figures.table`."""
    return collect(paths, COLUMNS, experiments)


def draw(
    curves: pd.DataFrame, rows: pd.DataFrame, experiments: Mapping[str, Experiment], confidence: float
) -> tuple[bytes, bytes]:
    """The overview as PDF and as PNG, from curves (as in `radt.figures.curves`) and table rows of unseen tasks.

    Above, one panel per experiment: a line per method, the best possible return, and the paper's RA-DT. Below, for every
    experiment whose best possible return is known, and each method, the average over all episodes divided by it, with its
    interval, and the paper's.
    """
    styles = looks(_models(rows))
    names = list(dict.fromkeys(rows["experiment"]))
    with matplotlib.style.context(["default", STYLE]):
        height = KEY_HEIGHT + PANEL_HEIGHT * -(-len(names) // ACROSS) + SHARES_HEIGHT
        figure = Figure(figsize=(WIDTH, height))
        FigureCanvasAgg(figure)
        below = SHARES_HEIGHT / height
        for number, name in enumerate(names):
            row, column = divmod(number, ACROSS)
            across = (RIGHT - LEFT + GAP) / ACROSS
            bottom = 1 - (KEY_HEIGHT + PANEL_HEIGHT * (row + 1) - 0.3) / height
            axes = figure.add_axes((LEFT + column * across, bottom, across - GAP, (PANEL_HEIGHT - 0.52) / height))
            _panel(axes, curves[curves["experiment"] == name], styles)
            axes.set_title(experiments[name].title, loc="left", pad=3, fontsize=7)
            if column == 0:
                axes.set_ylabel("Mean return", fontsize=7)
            if number + ACROSS >= len(names):
                axes.set_xlabel("In-context episode", fontsize=7)
        axes = figure.add_axes((LEFT, 0.34 / height, RIGHT - LEFT, below - 0.72 / height))
        shared = [name for name in names if (rows.loc[rows["experiment"] == name, "optimum"] > 0).all()] or names
        _shares(axes, rows[rows["experiment"].isin(shared)], [experiments[name].title for name in shared], styles)
        _key(figure, styles, confidence, bool(rows["average_ci_low"].notna().all()))
        return render(figure, "pdf"), render(figure, "png")


def _models(rows: pd.DataFrame) -> dict[str, str]:
    """Model of every method that any experiment has, those of the same model together."""
    pairs = dict(zip(rows["method"], rows["model"], strict=True))
    return dict(sorted(pairs.items(), key=lambda pair: (list(dict.fromkeys(rows["model"])).index(pair[1]), pair[0] != pair[1])))


def _panel(axes: Axes, curves: pd.DataFrame, styles: dict[str, Look]) -> None:
    """One experiment: lines without bands, which would cover each other at this size."""
    last, optimum = int(curves["episode"].max()), float(curves["optimum"].iloc[0])
    if not np.isnan(optimum):
        axes.axhline(optimum, color=GREY, linewidth=0.7, zorder=1)
    for number, method in enumerate(dict.fromkeys(curves["method"])):
        curve, style = curves[curves["method"] == method], styles[method]
        width, order = (0.7, 2) if style.reference else (1.1, 20 - number)
        axes.plot(curve["episode"], curve["mean"], color=style.colour, dashes=style.dashes, linewidth=width, zorder=order)
        if method == "radt":
            known = curve.dropna(subset="paper")
            axes.plot(known["episode"], known["paper"], color="black", linewidth=0.6, zorder=30)
    axes.set_xlim(1 - 0.02 * last, 1.02 * last)
    least, most = float(curves["mean"].min()), float(np.nanmax([optimum, curves["mean"].max()]))
    axes.set_ylim(1.05 * least if least < 0 else 0, 1.05 * most if most > 0 else 0.0 if least < 0 else 1.0)
    axes.set_xticks([1, *(tick for tick in (10, 20, 30, 40) if tick <= last)] if last <= 40 else [1, last])
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.tick_params(labelsize=6.5)


def _shares(axes: Axes, rows: pd.DataFrame, titles: list[str], styles: dict[str, Look]) -> None:
    """Averages as shares of the best possible return: a group for each experiment, in it a place for each method."""
    places = (np.arange(len(styles)) - (len(styles) - 1) / 2) * 0.8 / max(1, len(styles) - 1)
    names = list(dict.fromkeys(rows["experiment"]))
    for (method, style), shift in zip(styles.items(), places, strict=True):
        own = rows[rows["method"] == method]
        best = own["optimum"].where(own["optimum"] > 0)
        x = np.array([names.index(name) for name in own["experiment"]]) + shift
        share, low, high = (own[name] / best for name in ("average", "average_ci_low", "average_ci_high"))
        axes.vlines(x, low, high, color=style.colour, linewidth=1.1, zorder=3)
        axes.plot(
            x,
            share,
            color=style.colour,
            linestyle="none",
            marker=style.marker,
            markersize=3.8,
            markerfacecolor="white" if style.hollow else style.colour,
            markeredgewidth=0.8,
            zorder=4,
        )
        axes.hlines(own["paper_average_ratio"], x - 0.055, x + 0.055, color="black", linewidth=1.0, zorder=5)
    for border in range(1, len(names)):
        axes.axvline(border - 0.5, color="#CCCCCC", linewidth=0.5)
    axes.axhline(1.0, color=GREY, linewidth=0.7, zorder=1)
    axes.set_xlim(-0.5, len(names) - 0.5)
    shares = rows[["average", "average_ci_high"]].div(rows["optimum"].where(rows["optimum"] > 0), axis=0).to_numpy(np.float64)
    axes.set_ylim(0, 1.05 * float(np.nanmax([[1.0, 1.0], *shares])))
    for place, name in enumerate(names):
        if not (rows.loc[rows["experiment"] == name, "optimum"] > 0).all():
            axes.text(place, 0.5, "no optimum above 0", ha="center", va="center", rotation=90, fontsize=6, color=GREY)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xticks(range(len(names)), ["\n".join(text.rsplit(" ", 1)) for text in titles])
    axes.tick_params(labelsize=6.5)
    axes.tick_params(axis="x", length=0)
    axes.set_title("Average over all episodes, as a share of the best possible return", loc="left", pad=4, fontsize=7)


def _key(figure: Figure, styles: dict[str, Look], confidence: float, all_known: bool) -> None:
    """All methods and the paper's marks, above the panels."""
    none = "" if all_known else " (none: fewer than 2 seeds or tasks)"
    handles: list[Any] = [
        Line2D(
            [],
            [],
            color=style.colour,
            dashes=style.dashes,
            linewidth=0.7 if style.reference else 1.3,
            marker=style.marker,
            markersize=3.6,
            markerfacecolor="white" if style.hollow else style.colour,
            label=style.name,
        )
        for style in styles.values()
    ]
    handles.append(Line2D([], [], color="black", linewidth=0.7, label="paper (curves: its RA-DT)"))
    handles.append(Line2D([], [], color=GREY, linewidth=0.7, label="best possible"))
    handles.append(
        Line2D([], [], color=GREY, linewidth=0, marker="|", markersize=6, label=f"{100 * confidence:g}% interval{none}")
    )
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(LEFT - 0.01, 1.0),
        ncols=6,
        borderpad=0,
        borderaxespad=0.4,
        frameon=False,
        handlelength=2.6,
        columnspacing=1.2,
        fontsize=6.5,
    )
