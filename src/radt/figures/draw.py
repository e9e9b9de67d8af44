"""The figure: mean return against in-context episode, one panel per split, for one column of a paper.

Methods differ by colour, dashes and marker, so that the figure can be read without colour; all lines are labelled at their ends.
Colours are Paul Tol's medium-contrast scheme, safe for colour-blind readers. The same curves give the same bytes.
"""

from __future__ import annotations

import io
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
from radt.settings import Evaluate

WIDTH = 3.5  # inches: one column
MAIN_HEIGHT, OTHER_HEIGHT = 2.25, 1.7  # inches of the first panel and of each further one
LEFT, RIGHT = 0.125, 0.70  # shares of the width between which the panels stand (less for long names); labels are beyond
TOP, BOTTOM = 0.46, 0.36  # inches above and below the panels
LABEL_GAP = 7.6  # points between the centres of two labels
MODEL_NAMES = {"radt": "RA-DT", "ad": "AD", "dt": "DT"}
COLOURS = {"radt": ("#004488", "#6699CC"), "ad": ("#994455", "#EE99AA"), "dt": ("#997700", "#EECC66")}
DASHES: dict[str, tuple[float, ...]] = {"radt": (), "ad": (5.0, 1.6), "dt": (1.2, 1.4)}
MARKERS = {"radt": "os^", "ad": "DvP", "dt": "X<>"}
PANELS = {"held_out": "Held-out tasks", "train": "Training tasks", "validation": "Validation tasks"}
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 7,
    "pdf.fonttype": 42,
    "lines.dash_capstyle": "butt",
    "lines.solid_capstyle": "round",
}
GREY = "#666666"
HAIRLINE = {"arrowstyle": "-", "linewidth": 0.4, "shrinkA": 1.0, "shrinkB": 1.0, "relpos": (0.0, 0.5)}


@dataclass(frozen=True)
class Look:
    """How a method is drawn and called."""

    name: str
    colour: str
    dashes: tuple[float, ...]
    marker: str
    hollow: bool


@dataclass(frozen=True)
class Label:
    """A name at the right end of a line that ends at `x`, `y` (data units)."""

    text: str
    x: float
    y: float
    colour: str
    bold: bool


def look(method: str, methods: list[str], evaluate: Evaluate) -> Look:
    """Look of a method: by its model, then by its place among the methods of the same model."""
    model = evaluate.methods[method].model
    place = [other for other in methods if evaluate.methods[other].model == model].index(method)
    name = MODEL_NAMES[model]
    if method != model:
        name = f"{name} ({method.removeprefix(model).strip('_').replace('_', ' ')})"
    dashes = DASHES[model] if place == 0 else (*(DASHES[model] or (6.0, 1.4)), 1.0, 1.4)
    return Look(name, COLOURS[model][place % 2], dashes, MARKERS[model][place % 3], place % 2 == 1)


def draw(curves: pd.DataFrame, evaluate: Evaluate, sizes: dict[str, int], confidence: float) -> tuple[bytes, bytes]:
    """The figure as PDF and as PNG (300 dots per inch), from the rows of `radt.figures.curves`.

    `sizes` is the number of tasks of each split, for the titles; `confidence` is that of the interval, for the key.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = _figure(curves, evaluate, sizes)
        _key(figure, confidence, has_paper=bool(curves["paper"].notna().any()))
        return _render(figure, "pdf"), _render(figure, "png")


def _render(figure: Figure, kind: str) -> bytes:
    """Bytes of a figure without date and without the drawing library's version, so that they only depend on the curves."""
    metadata = {"Creator": None, "Producer": None, "CreationDate": None} if kind == "pdf" else {"Software": None}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=300, metadata=metadata)
    return buffer.getvalue()


def _figure(curves: pd.DataFrame, evaluate: Evaluate, sizes: dict[str, int]) -> Figure:
    splits = [split for split in SPLITS if split in set(curves["split"])]
    methods = list(dict.fromkeys(curves["method"]))
    heights = [MAIN_HEIGHT] + [OTHER_HEIGHT] * (len(splits) - 1)
    height = sum(heights) + TOP + BOTTOM
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(splits), 1, sharex=True, squeeze=False, height_ratios=heights)
    right = _right([look(method, methods, evaluate).name for method in methods])
    figure.subplots_adjust(left=LEFT, right=right, bottom=BOTTOM / height, top=1 - TOP / height, hspace=0.22)
    for axes, split in zip(grid[:, 0], splits, strict=True):
        _panel(axes, curves[curves["split"] == split], evaluate)
        axes.set_title(f"{PANELS[split]} ({sizes[split]})", loc="left", pad=5)
        axes.set_ylabel("Mean return")
    grid[-1, 0].set_xlabel("In-context episode")
    figure.align_ylabels()
    return figure


def _right(names: list[str]) -> float:
    """Where the panels end so that the longest name fits beside them, as a share of the width."""
    bold = FontProperties(weight="bold")
    widest = max(TextPath((0, 0), name, size=7, prop=bold).get_extents().width for name in names)
    return min(RIGHT, 1.0 - (widest + 16.0) / (72.0 * WIDTH))


def _panel(axes: Axes, rows: pd.DataFrame, evaluate: Evaluate) -> None:
    """Lines, bands, references and labels of one split."""
    methods = list(dict.fromkeys(rows["method"]))
    last, optimum = int(rows["episode"].max()), float(rows["optimum"].iloc[0])
    labels = [Label(f"optimum {optimum:.3g}", last, optimum, GREY, False)]
    axes.axhline(optimum, color=GREY, linewidth=0.7, zorder=1)
    drawn: set[str] = set()
    for method in methods:
        curve, style = rows[rows["method"] == method], look(method, methods, evaluate)
        labels.append(_method(axes, curve, style, methods.index(method)))
        known, model = curve.dropna(subset="paper"), evaluate.methods[method].model
        if model not in drawn and not known.empty:
            drawn.add(model)
            axes.plot(known["episode"], known["paper"], color=style.colour, dashes=style.dashes, linewidth=0.6, zorder=2)
            end = known.iloc[-1]
            labels.append(Label(f"{style.name}, paper", float(end["episode"]), float(end["paper"]), GREY, False))
    axes.set_xlim(1 - 0.02 * last, 1.02 * last)
    axes.set_ylim(0, 1.04 * max(optimum, float(rows["high"].max())))
    ticks = MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True).tick_values(0, last)
    axes.set_xticks([1, *(tick for tick in ticks if 1 < tick <= last)])
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    _place(axes, labels)


def _method(axes: Axes, curve: pd.DataFrame, style: Look, number: int) -> Label:
    """One method's line with its band; markers of different methods stand at different episodes."""
    episode = curve["episode"].to_numpy()
    axes.fill_between(episode, curve["low"], curve["high"], color=style.colour, alpha=0.18, linewidth=0, zorder=2)
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
        markevery=((number * every) // 4, every),
        zorder=4,
    )
    return Label(style.name, float(episode[-1]), float(curve["mean"].iloc[-1]), style.colour, True)


def _place(axes: Axes, labels: list[Label]) -> None:
    """Write labels right of the panel, as near to their lines' ends as they fit, each joined to its end by a hairline."""
    low, high = axes.get_ylim()
    figure = axes.get_figure(root=True)
    assert figure is not None
    points = axes.get_position().height * figure.get_figheight() * 72.0
    labels = sorted(labels, key=lambda label: label.y)
    wanted = np.array([(label.y - low) / (high - low) * points for label in labels])
    right = axes.get_xlim()[1]
    for label, place in zip(labels, spread(wanted, LABEL_GAP, points), strict=True):
        axes.annotate(
            label.text,
            xy=(right, label.y),
            xytext=(1.055, place / points),
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


def _key(figure: Figure, confidence: float, has_paper: bool) -> None:
    """What thick lines, bands and thin lines mean, above the panels."""
    ours = (Patch(color=GREY, alpha=0.25, linewidth=0), Line2D([], [], color=GREY, linewidth=1.5))
    handles: list[Any] = [ours]
    texts = [f"ours: mean and {100 * confidence:g}% interval"]
    if has_paper:
        handles.append(Line2D([], [], color=GREY, linewidth=0.6))
        texts.append("paper: mean")
    figure.legend(
        handles,
        texts,
        handler_map={tuple: HandlerTuple(ndivide=1, pad=0)},
        loc="upper left",
        bbox_to_anchor=(LEFT, 1.0),
        borderpad=0,
        borderaxespad=0.5,
        ncols=2,
        frameon=False,
        handlelength=2.2,
        columnspacing=1.2,
    )
