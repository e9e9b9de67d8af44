"""The figure of an experiment: mean return against in-context episode, one panel per split, for one column of a paper.

Where environments report success, a last panel shows the share of successful episodes on the first split.

All lines are labelled at their ends. The same curves give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from radt.evaluation.statistics import Floats
from radt.figures.inputs import SPLITS
from radt.figures.style import PANELS, STYLE, Look, looks, render
from radt.settings.methods import GREY

WIDTH = 3.5  # inches: one column
MAIN_HEIGHT, OTHER_HEIGHT = 2.25, 1.7  # inches of the first panel and of each further one
LEFT, RIGHT = 0.125, 0.70  # shares of the width between which the panels stand (less for long numbers or names)
TOP, BOTTOM = 0.46, 0.36  # inches above and below the panels
LABEL_GAP = 7.6  # points between the centres of two labels
HAIRLINE = {"arrowstyle": "-", "linewidth": 0.4, "shrinkA": 1.0, "shrinkB": 1.0, "relpos": (0.0, 0.5)}


@dataclass(frozen=True)
class Label:
    """A name at the right end of a line that ends at height `y` (data units)."""

    text: str
    y: float
    colour: str
    bold: bool


def draw(curves: pd.DataFrame, sizes: dict[str, int], confidence: float) -> tuple[bytes, bytes]:
    """The figure as PDF and as PNG (300 dots per inch), from the rows of `radt.figures.curves`.

    `sizes` is the number of tasks of each split, for the titles; `confidence` is that of the interval, for the key.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = _figure(curves, sizes)
        add_key(
            figure, figure.subplotpars.left, confidence, bool(curves["low"].notna().any()), bool(curves["paper"].notna().any())
        )
        return render(figure, "pdf"), render(figure, "png")


def _figure(curves: pd.DataFrame, sizes: dict[str, int]) -> Figure:
    splits = [split for split in SPLITS if split in set(curves["split"])]
    succeeds = "success" in curves and bool(curves["success"].notna().any())
    styles = looks(dict(zip(curves["method"], curves["model"], strict=True)))
    heights = [MAIN_HEIGHT] + [OTHER_HEIGHT] * (len(splits) - 1 + succeeds)
    height = sum(heights) + TOP + BOTTOM
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    right = right_edge([style.name for style in styles.values()])
    figure.subplots_adjust(left=LEFT, right=right, bottom=BOTTOM / height, top=1 - TOP / height, hspace=0.22)
    for axes, split in zip(grid[:, 0], splits, strict=False):
        rows = curves[curves["split"] == split]
        place(axes, panel(axes, rows, styles))
        axes.set_title(f"{PANELS[split]} ({sizes[split]}){gap(rows)}", loc="left", pad=5)
        axes.set_ylabel("Mean return")
    if succeeds:
        rows, axes = curves[curves["split"] == splits[0]], grid[-1, 0]
        labels = panel(axes, rows.assign(mean=rows["success"], low=np.nan, high=np.nan, paper=np.nan, optimum=np.nan), styles)
        axes.set_ylim(0, 1.04)
        place(axes, labels)
        axes.set_title(f"{PANELS[splits[0]]}: episodes that reach the goal", loc="left", pad=5)
        axes.set_ylabel("Success rate")
    grid[-1, 0].set_xlabel("In-context episode")
    figure.subplots_adjust(left=left_edge(grid[:, 0]))
    figure.align_ylabels()
    return figure


def gap(curves: pd.DataFrame) -> str:
    """Addition to the title of a panel with a curve without interval."""
    return ", no interval" if curves["low"].isna().any() else ""


def top(*values: pd.Series) -> float:
    """Upper end of an axis for all known values; 1 if none is above 0."""
    most = pd.concat(values).max()
    return 1.04 * float(most) if most > 0 else 1.0


def left_edge(panels: Iterable[Axes]) -> float:
    """Left edge of panels, as a share of the width, that leaves room for their longest number."""
    shown = [(axes, [tick for tick in axes.get_yticks() if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]) for axes in panels]
    numbers = [text for axes, ticks in shown for text in axes.yaxis.get_major_formatter().format_ticks(ticks)]
    widest = max(TextPath((0, 0), number, size=7.5).get_extents().width for number in numbers)
    return max(LEFT, (widest + 21.5) / (72.0 * WIDTH))


def right_edge(names: list[str]) -> float:
    """Right edge of panels, as a share of the width, that leaves room for the longest name."""
    bold = FontProperties(weight="bold")
    widest = max(TextPath((0, 0), name, size=7, prop=bold).get_extents().width for name in names)
    return min(RIGHT, 1.0 - (widest + 16.0) / (72.0 * WIDTH))


def panel(axes: Axes, rows: pd.DataFrame, styles: dict[str, Look]) -> list[Label]:
    """Draw lines, bands and references of one split; labels for the ends of the lines.

    A thin line in the colour and dashes of a method is the paper's curve of it; methods of one model share the first one's.
    """
    last, optimum = int(rows["episode"].max()), float(rows["optimum"].iloc[0])
    labels = []
    if not np.isnan(optimum):
        labels.append(Label(f"optimum {optimum:.3g}", optimum, GREY, False))
        axes.axhline(optimum, color=GREY, linewidth=0.7, zorder=1)
    drawn: set[str] = set()
    for number, method in enumerate(dict.fromkeys(rows["method"])):
        curve, style = rows[rows["method"] == method], styles[method]
        labels.append(_method(axes, curve, style, number))
        known, model = curve.dropna(subset="paper"), str(curve["model"].iloc[0])
        if model not in drawn and not known.empty:
            drawn.add(model)
            axes.plot(known["episode"], known["paper"], color=style.colour, dashes=style.dashes, linewidth=0.6, zorder=2)
    axes.set_xlim(1 - 0.02 * last, 1.02 * last)
    least = float(pd.concat([rows["low"], rows["mean"]]).min())
    axes.set_ylim(1.04 * least if least < 0 else 0, top(rows["optimum"].iloc[:1], rows["high"], rows["mean"]))
    ticks = MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True).tick_values(0, last)
    axes.set_xticks([1, *(tick for tick in ticks if 1 < tick <= last)])
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    return labels


def _method(axes: Axes, curve: pd.DataFrame, style: Look, number: int) -> Label:
    """One method's line with its band; markers of different methods stand at different episodes. References are a line only."""
    episode = curve["episode"].to_numpy()
    end = float(curve["mean"].iloc[-1])
    if style.reference:
        axes.plot(episode, curve["mean"], color=GREY, dashes=style.dashes, linewidth=0.8, zorder=2)
        return Label(style.name, end, GREY, False)
    if curve["low"].notna().any():
        axes.fill_between(episode, curve["low"], curve["high"], color=style.colour, alpha=0.15, linewidth=0, zorder=2)
    every = max(1, len(episode) // 6)
    axes.plot(
        episode,
        curve["mean"],
        color=style.colour,
        dashes=style.dashes,
        linewidth=1.5,
        marker=style.marker,
        markersize=3.6,
        markerfacecolor="white" if style.hollow else style.colour,
        markeredgewidth=0.8,
        markevery=((number * every) // 4 % every, every),
        zorder=20 - number,
    )
    return Label(style.name, end, style.colour, True)


def place(axes: Axes, labels: list[Label]) -> None:
    """Write labels right of the panel, as near to their lines' ends as they fit, each joined to its end by a hairline."""
    low, high = axes.get_ylim()
    figure = axes.get_figure(root=True)
    assert figure is not None
    points = axes.get_position().height * figure.get_figheight() * 72.0
    labels = sorted(labels, key=lambda label: label.y)
    wanted = np.array([(label.y - low) / (high - low) * points for label in labels])
    right = axes.get_xlim()[1]
    for label, height in zip(labels, spread(wanted, LABEL_GAP, points), strict=True):
        axes.annotate(
            label.text,
            xy=(right, label.y),
            xytext=(1.055, height / points),
            textcoords="axes fraction",
            va="center",
            color=label.colour,
            fontsize=7 if label.bold else 6.5,
            fontweight="bold" if label.bold else "normal",
            annotation_clip=False,
            arrowprops={"color": label.colour, **HAIRLINE},
        )


def spread(wanted: Floats, gap: float, room: float) -> Floats:
    """Places in 0..`room` at least `gap` apart, in the order of the rising `wanted`, with the smallest sum of squared moves.

    Least squares under an order: neighbours that are too close are pooled into a block around their mean.
    """
    blocks: list[tuple[float, int]] = []
    for place in wanted - gap * np.arange(len(wanted)):
        blocks.append((float(place), 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (b, n), (a, m) = blocks.pop(), blocks.pop()
            blocks.append(((a * m + b * n) / (m + n), m + n))
    places: Floats = np.repeat([mean for mean, _ in blocks], [count for _, count in blocks])
    return np.asarray(np.clip(places, 0.0, room - gap * (len(wanted) - 1)) + gap * np.arange(len(wanted)))


def add_key(figure: Figure, left: float, confidence: float, has_interval: bool, has_paper: bool, paper_mark: str = "") -> None:
    """Add a key above the panels: the meaning of lines, bands and the paper's lines (or marks, with a `paper_mark`)."""
    line = Line2D([], [], color=GREY, linewidth=1.5)
    handles: list[Any] = [(Patch(color=GREY, alpha=0.25, linewidth=0), line) if has_interval else line]
    texts = [f"ours: mean, {100 * confidence:g}% interval" if has_interval else "ours: mean (too few seeds for an interval)"]
    if has_paper:
        width = 0.0 if paper_mark else 0.6
        handles.append(Line2D([], [], color=GREY, linewidth=width, marker=paper_mark, markersize=4.5, markerfacecolor="none"))
        texts.append("paper" if paper_mark else "paper, same colour")
    figure.legend(
        handles,
        texts,
        handler_map={tuple: HandlerTuple(ndivide=1, pad=0)},
        loc="upper left",
        bbox_to_anchor=(left, 1.0),
        borderpad=0,
        borderaxespad=0.5,
        ncols=2,
        frameon=False,
        handlelength=2.2,
        columnspacing=1.2,
    )
