"""The page: one self-contained HTML file, which holds its numbers as JSON and draws plots from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import FileSystemLoader
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from radt.figures.inputs import SPLITS, tested
from radt.figures.page import SIGNS, environment
from radt.figures.style import PANELS, Look, looks
from radt.report.read import Results
from radt.settings.methods import GREY
from radt.settings.registry import THEMES, TRAINED

LIGHTER = 0.4
"""Share of white that is mixed into colours on a dark page."""
TEMPLATES = Path(__file__).parent
Row = dict[str, Any]


def page(results: list[Results], confidence: float) -> str:
    """The page of all results, in their order; the same results give the same bytes."""
    templates = environment()
    templates.loader = FileSystemLoader(TEMPLATES)
    templates.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":"), "allow_nan": False}
    templates.filters |= {"value": _value, "settings": _settings}
    cards = [_card(one, confidence) for one in results]
    models = [model for model in TRAINED if any(model in card["tested"] for card in cards)]
    words = {
        "signs": SIGNS,
        "panels": PANELS,
        "percent": f"{100 * confidence:g}%",
        "grey": {"light": GREY, "dark": _lighter(GREY)},
    }
    return templates.get_template("page.html.j2").render(
        cards=cards,
        models={model: THEMES[model].name for model in models},
        plotly=Markup(get_plotlyjs()),
        numbers={one.name: _numbers(one) for one in results},
        episodes={one.name: [own.model_dump(mode="json") for own in one.episodes] for one in results if one.episodes},
        **words,
    )


def _card(results: Results, confidence: float) -> Row:
    """Values of an experiment for the template, without plots."""
    rows = _rows(results.table)
    seeds = {pair: group["last"].tolist() for pair, group in results.seeds.groupby(["method", "split"])}
    for row in rows:
        row["label"] = _looks(results)[row["method"]].name
        row["seed_values"] = seeds.get((row["method"], row["split"]), [])
    splits = [split for split in SPLITS if split in set(results.curves["split"])]
    shown = tested(splits)
    return {
        "name": results.name,
        "title": results.title,
        "place": results.place,
        "command": results.command,
        "splits": splits,
        "shown": shown,
        "rows": {split: [row for row in rows if row["split"] == split] for split in splits},
        "tested": {row["method"]: row for row in rows if row["split"] == shown},
        "looks": {method: _look(look) for method, look in _looks(results).items()},
        "has": {
            "optimum": bool(results.curves["optimum"].notna().any()),
            "paper": bool(results.curves["paper"].notna().any()),
            "success": bool(results.curves["success"].notna().any()),
            "interval": bool(results.curves["low"].notna().any()),
            "runs": not results.runs.empty,
            "seeds": not results.seeds.empty,
            "episodes": bool(results.episodes),
        },
        "film": results.film,
        "percent": f"{100 * results.made.confidence(confidence):g}%",
        "made": results.made,
    }


def _looks(results: Results) -> dict[str, Look]:
    """Look of every method."""
    return looks(dict(zip(results.curves["method"], results.curves["model"], strict=True)))


def _look(look: Look) -> Row:
    """Look of a method for the page; dashes are in units of the line width."""
    dark = _lighter(look.colour)
    return {"name": look.name, "light": look.colour, "dark": dark, "dashes": look.dashes, "thin": look.reference}


def _lighter(colour: str) -> str:
    """A colour `#rrggbb` for a dark page."""
    parts = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return "#" + "".join(f"{round(part + LIGHTER * (255 - part)):02x}" for part in parts)


def _numbers(results: Results) -> Row:
    """The files of an experiment, column by column, as the page holds them."""
    frames = {"curves": results.curves, "table": results.table, "seeds": results.seeds, "runs": results.runs}
    told = {name: _known(frame).to_dict("list") for name, frame in frames.items()}
    shown = {method: _look(look) for method, look in _looks(results).items()}
    return {**told, "looks": shown, "title": results.title}


def _rows(frame: pd.DataFrame) -> list[Row]:
    """Rows of a table by the names of their columns."""
    return [{str(name): value for name, value in row.items()} for row in _known(frame).to_dict("records")]


def _known(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with None for unknown values."""
    return frame.astype(object).where(frame.notna(), None)


def _value(value: float | None) -> str:
    """A return, rounded as in the README; empty if unknown."""
    return "" if value is None else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _settings(value: Any, depth: int = 0) -> str:
    """Settings as lines of `key: value`, indented by section."""
    if not isinstance(value, dict):
        return str(value)
    lines = []
    for key, inner in sorted(value.items()):
        nested = isinstance(inner, dict) and inner
        lines.append("  " * depth + f"{key}:" + ("\n" if nested else " ") + _settings(inner, depth + 1))
    return "\n".join(lines)
