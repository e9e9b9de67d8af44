"""What all figures share: fonts and lines, the name and look of every method, and bytes that depend on the curves only.

Methods differ by colour, dashes and marker, so that a figure can be read without colour. Colours are of Paul Tol's schemes for
colour-blind readers. The two methods without a network are thin grey lines: something to hold the others against.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from matplotlib.figure import Figure

GREY = "#666666"
MODEL_NAMES = {
    "radt": "RA-DT",
    "radt_lm": "RA-DT LM",
    "ad": "AD",
    "dpt": "DPT",
    "dt": "DT",
    "retrieve": "Retrieve",
    "random": "Random",
}
COLOURS = {
    "radt": ("#004488", "#6699CC"),
    "radt_lm": ("#117733", "#44AA99"),
    "ad": ("#882255", "#AA4499"),
    "dpt": ("#CC6677", "#EE7733"),
    "dt": ("#997700", "#999933"),
    "retrieve": (GREY, GREY),
    "random": (GREY, GREY),
}
DASHES: dict[str, tuple[float, ...]] = {
    "radt": (),
    "radt_lm": (3.2, 1.2),
    "ad": (5.0, 1.6),
    "dpt": (5.0, 1.2, 1.2, 1.2),
    "dt": (1.2, 1.4),
    "retrieve": (8.0, 3.0),
    "random": (1.5, 2.5),
}
MARKERS = {"radt": "osh", "radt_lm": "^dH", "ad": "DvP", "dpt": "Xp*", "dt": "s<>", "retrieve": "+|x", "random": "x1|"}
REFERENCES = ("retrieve", "random")
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


@dataclass(frozen=True)
class Look:
    """How a method is drawn and called."""

    name: str
    colour: str
    dashes: tuple[float, ...]
    marker: str
    hollow: bool
    reference: bool


def name_of(method: str, model: str) -> str:
    """Name of a method: that of its model, with what its own name adds in brackets, `radt_fixed` -> RA-DT (fixed)."""
    own = method.removeprefix(model).strip("_").replace("_", " ")
    return f"{MODEL_NAMES[model]} ({own})" if own else MODEL_NAMES[model]


def looks(models: dict[str, str]) -> dict[str, Look]:
    """Look of every method, from the model of each: by the model, then by the place among the methods of the same model."""
    found = {}
    for method, model in models.items():
        place = [other for other in models if models[other] == model].index(method)
        dashes = DASHES[model] if place == 0 else (*(DASHES[model] or (6.0, 1.4)), 1.0, 1.4)
        marker, colour = MARKERS[model][place % 3], COLOURS[model][place % 2]
        found[method] = Look(name_of(method, model), colour, dashes, marker, place % 2 == 1, model in REFERENCES)
    return found


def render(figure: Figure, kind: str) -> bytes:
    """Bytes of a figure, `pdf` or `png` of 300 dots per inch, without date and without the drawing library's version."""
    metadata = {"Creator": None, "Producer": None, "CreationDate": None} if kind == "pdf" else {"Software": None}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=300, metadata=metadata)
    return buffer.getvalue()
