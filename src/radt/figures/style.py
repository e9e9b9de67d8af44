"""Shared by all figures: fonts and lines, the name and look of every method, and output bytes that depend on the curves only.

Methods differ by colour, dashes and marker, so that a figure can be read without colour. Colours are of Paul Tol's schemes for
colour-blind readers. Methods without a network are references and are drawn as thin grey lines.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from matplotlib.figure import Figure

from radt.settings.registry import THEMES

PANELS = {
    "held_out": "Held-out tasks",
    "unseen": "Unseen levels of training games",
    "train": "Training tasks",
    "validation": "Validation tasks",
}
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
    """Name and style of a method in figures."""

    name: str
    colour: str
    dashes: tuple[float, ...]
    marker: str
    hollow: bool
    reference: bool


def name_of(method: str, model: str) -> str:
    """Name of a method: the name of its model, with the rest of its own name in brackets: `radt_fixed` -> RA-DT (fixed)."""
    own = method.removeprefix(model).strip("_").replace("_", " ")
    return f"{THEMES[model].name} ({own})" if own else THEMES[model].name


def looks(models: dict[str, str]) -> dict[str, Look]:
    """Look of every method, by its model and its position among the methods of the same model."""
    found = {}
    for method, model in models.items():
        look, place = THEMES[model], [other for other in models if models[other] == model].index(method)
        dashes = look.dashes if place == 0 else (*(look.dashes or (6.0, 1.4)), 1.0, 1.4)
        marker, colour = look.markers[place % 3], look.colours[place % 2]
        found[method] = Look(name_of(method, model), colour, dashes, marker, place % 2 == 1, look.reference)
    return found


def render(figure: Figure, kind: str) -> bytes:
    """Bytes of a figure, `pdf` or `png` of 300 dots per inch, without date and without the drawing library's version."""
    metadata = {"Creator": None, "Producer": None, "CreationDate": None} if kind == "pdf" else {"Software": None}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=300, metadata=metadata)
    return buffer.getvalue()
