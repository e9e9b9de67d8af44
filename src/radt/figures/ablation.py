"""An ablation: curves of its variants, and a table with one row per variant, method and split, beside the paper's values."""

from __future__ import annotations

import re

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from radt.figures import draw
from radt.figures.curves import COLUMNS as CURVE_COLUMNS
from radt.figures.curves import curves
from radt.figures.inputs import SPLITS, method_order, scores, tested
from radt.figures.style import PANELS, STYLE, Look, name_of, render
from radt.figures.table import Row, estimates, verdict
from radt.settings.evaluation import Evaluate
from radt.settings.figures import Figure as Interval
from radt.settings.methods import GREY

COLUMNS = {
    "ablation": "str",
    "variant": "str",
    "method": "str",
    "split": "str",
    "last": "float64",
    "last_ci_low": "float64?",
    "last_ci_high": "float64?",
    "paper_last": "float64?",
    "last_verdict": "str?",
    "average": "float64",
    "average_ci_low": "float64?",
    "average_ci_high": "float64?",
    "paper_average": "float64?",
    "average_verdict": "str?",
    "optimum": "float64?",
    "seeds": "int64",
}
CURVES = {**CURVE_COLUMNS, "variant": "str"}
COLOURS = ("#004488", "#CC6677", "#117733", "#997700", "#882255", "#44AA99", "#EE7733", "#555555")  # of Paul Tol's schemes
DASHES: tuple[tuple[float, ...], ...] = ((), (5.0, 1.6), (1.2, 1.4), (5.0, 1.2, 1.2, 1.2), (3.2, 1.2))
MARKERS = "os^DvXP"
DOT_HEIGHT = 0.16  # inches of a variant in the lower panels
EDGE, BETWEEN = 0.12, 0.66  # inches above and below the lower panels


def prefix(ablation: str) -> str:
    """Prefix of the names of an ablation's runs, before the variant."""
    return f"ablations/{ablation}/"


def table(
    evaluations: pd.DataFrame, ablation: str, paper: pd.DataFrame, protocols: dict[str, Evaluate], figure: Interval
) -> pd.DataFrame:
    """One row per variant, method and split, columns `COLUMNS`; returns as in `radt.figures.table`.

    `protocols` are the evaluation settings by run, in the order of the variants; `paper` its values by variant
    (`radt.figures.inputs.paper_ablation`), which are of held-out tasks.
    """
    rows = []
    for run, evaluate in protocols.items():
        own, variant = evaluations[evaluations["experiment"] == run], run.removeprefix(prefix(ablation))
        for method in method_order(set(own["method"]), evaluate):
            for split in (split for split in SPLITS if split in set(own["split"])):
                row: Row = {"ablation": ablation, "variant": variant, "method": method, "split": split}
                returns = scores(own, method, split)
                row |= estimates(returns, figure) | {"seeds": len(returns)}
                row["optimum"] = float(scores(own, method, split, "optimum").mean())
                known = paper[paper.index == (variant if split == "held_out" else "")]
                for name in ("last", "average"):
                    value = float(known[name].iloc[0]) if len(known) else np.nan
                    ends = float(row[f"{name}_ci_low"]), float(row[f"{name}_ci_high"])
                    row |= {f"paper_{name}": value, f"{name}_verdict": verdict(*ends, value)}
                rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def lines(evaluations: pd.DataFrame, ablation: str, protocols: dict[str, Evaluate], figure: Interval) -> pd.DataFrame:
    """Curves of all variants on the split of `radt.figures.inputs.tested`: as `radt.figures.curves`, with a column `variant`."""
    nothing = pd.DataFrame({"method": [], "split": [], "episode": [], "return": []})
    own = evaluations[evaluations["split"] == tested(evaluations["split"])]
    parts = [
        curves(own[own["experiment"] == run], nothing, evaluate, figure).assign(variant=run.removeprefix(prefix(ablation)))
        for run, evaluate in protocols.items()
    ]
    return pd.concat(parts, ignore_index=True)


def plot(
    curves: pd.DataFrame, rows: pd.DataFrame, histories: pd.DataFrame, sizes: dict[str, int], confidence: float
) -> tuple[bytes, bytes]:
    """The figure as PDF and as PNG: for each method a panel of curves, then last return and average of every variant.

    `curves` as from `lines`, `rows` as from `table`; `histories` as from `inputs.learning`, a panel of its own unless empty;
    `sizes` is the number of tasks of each split, `confidence` that of the interval.
    """
    split = curves["split"].iloc[0]
    rows, styles = rows[rows["split"] == split], looks(list(dict.fromkeys(curves["variant"])))
    models = dict(zip(curves["method"], curves["model"], strict=True))
    with matplotlib.style.context(["default", STYLE]):
        dots = max(0.5, DOT_HEIGHT * len(rows))
        panels = len(models) + (not histories.empty)
        height = draw.TOP + (draw.MAIN_HEIGHT + BETWEEN) * panels + dots + 2 * EDGE + 0.1
        right = draw.right_edge([style.name for style in styles.values()])
        figure = Figure(figsize=(draw.WIDTH, height))
        FigureCanvasAgg(figure)
        lows = [height - draw.TOP - draw.MAIN_HEIGHT - number * (draw.MAIN_HEIGHT + BETWEEN) for number in range(panels)]
        upper = [figure.add_axes((0.0, low / height, right, draw.MAIN_HEIGHT / height)) for low in lows]
        if not histories.empty:
            _histories(upper[0], histories, styles)
        for axes, (method, model) in zip(upper[-len(models) :], models.items(), strict=True):
            own = curves[curves["method"] == method]
            draw.place(axes, draw.panel(axes, own.assign(method=own["variant"]), styles))
            axes.set_title(f"{PANELS[split]} ({sizes[split]}), {name_of(method, model)}{draw.gap(own)}", loc="left", pad=5)
            axes.set(xlabel="In-context episode", ylabel="Mean return")
        left = draw.left_edge(upper)
        for axes, low in zip(upper, lows, strict=True):
            axes.set_position((left, low / height, right - left, draw.MAIN_HEIGHT / height))
        labels = _labels(rows, models, styles)
        start = 1 - draw.right_edge(labels) + 0.01  # names stand left of these panels
        width = (0.98 - start - 0.05) / 2
        for number, (name, words) in enumerate((("last", "Last episode"), ("average", "Average"))):
            axes = figure.add_axes((start + number * (width + 0.05), (2 * EDGE + 0.1) / height, width, dots / height))
            _dots(axes, rows, name, styles)
            axes.set_title(words, loc="left", pad=3)
            axes.set_yticks(range(len(rows)), labels if number == 0 else [""] * len(rows), fontsize=7)
        has_interval = bool(curves["low"].notna().any())
        draw.add_key(figure, left, confidence, has_interval, bool(rows["paper_last"].notna().any()), paper_mark="D")
        return render(figure, "pdf"), render(figure, "png")


def looks(variants: list[str]) -> dict[str, Look]:
    """Look of every variant, by its place; `weight_0_25` is called weight 0.25."""
    names = [re.sub(r"(\d)_(\d)", r"\1.\2", variant).replace("_", " ") for variant in variants]
    return {
        variant: Look(
            name=name,
            colour=COLOURS[place % len(COLOURS)],
            dashes=DASHES[place % len(DASHES)],
            marker=MARKERS[place % len(MARKERS)],
            hollow=place // len(COLOURS) % 2 == 1,
            reference=False,
        )
        for place, (variant, name) in enumerate(zip(variants, names, strict=True))
    }


def _histories(axes: Axes, histories: pd.DataFrame, styles: dict[str, Look]) -> None:
    """Mean return of the histories' episodes against the step of a history, and the 10th to 90th percentile over histories."""
    labels = []
    for variant in dict.fromkeys(histories["variant"]):
        own, style = histories[histories["variant"] == variant], styles[variant]
        axes.fill_between(own["step"], own["return_low"], own["return_high"], color=style.colour, alpha=0.15, linewidth=0)
        axes.plot(own["step"], own["return_mean"], color=style.colour, dashes=style.dashes, linewidth=1.5)
        labels.append(draw.Label(style.name, float(own["return_mean"].iloc[-1]), style.colour, True))
    axes.set_xscale("log")
    axes.set_ylim(0, draw.top(histories["return_high"], histories["return_mean"]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))  # as the panels of curves
    axes.set_title("Learning histories, mean and 10% to 90%", loc="left", pad=5)
    axes.set(xlabel="Step of a history", ylabel="Mean return")
    draw.place(axes, labels)


def _labels(rows: pd.DataFrame, models: dict[str, str], styles: dict[str, Look]) -> list[str]:
    """Name of each row: its variant, and its method where there are several."""
    names = [styles[variant].name for variant in rows["variant"]]
    names = [name + ", no interval" * bool(gone) for name, gone in zip(names, rows["last_ci_low"].isna(), strict=True)]
    if len(models) == 1:
        return names
    return [f"{name}, {name_of(method, models[method])}" for name, method in zip(names, rows["method"], strict=True)]


def _dots(axes: Axes, rows: pd.DataFrame, name: str, styles: dict[str, Look]) -> None:
    """One value of every variant with its interval, and the paper's as a hollow grey diamond; the first variant on top."""
    for place, (_, row) in enumerate(rows.iterrows()):
        style = styles[row["variant"]]
        axes.hlines(place, row[f"{name}_ci_low"], row[f"{name}_ci_high"], color=style.colour, linewidth=1.2)
        face = "white" if style.hollow else style.colour
        axes.plot(row[name], place, color=style.colour, marker=style.marker, markersize=4, markerfacecolor=face)
        axes.plot(row[f"paper_{name}"], place, color=GREY, marker="D", markersize=4.5, markerfacecolor="none", linestyle="none")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    values = rows[["last", "last_ci_high", "average", "average_ci_high", "paper_last", "paper_average"]]
    axes.set_xlim(0, 1.05 * max(float(np.nanmax(values.to_numpy(np.float64))), 1e-9))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.grid(axis="x", linewidth=0.4, color="#DDDDDD")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
