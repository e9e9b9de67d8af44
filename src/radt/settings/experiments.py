"""Experiments of all suites: one class for each folder of `radt.suites`. There is no other list."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Discriminator, Tag

from radt.settings.experiment import Experiment

FOLDER = Path(__file__).parents[1] / "suites"
SUITES: dict[str, type[Experiment]] = {
    path.parent.name: import_module(f"radt.suites.{path.parent.name}.settings").EXPERIMENT
    for path in sorted(FOLDER.glob("*/settings.py"))
}


def _suite(values: Any) -> str | None:
    """The suite of an experiment: its `suite`, or `grid` if it has a `world`; else None."""
    if not isinstance(values, dict):
        return getattr(values, "suite", None)
    return str(values["suite"]) if "suite" in values else "grid" if "world" in values else None


if TYPE_CHECKING:
    AnyExperiment = Experiment
else:
    AnyExperiment = Annotated[
        Union[tuple(Annotated[kind, Tag(name)] for name, kind in SUITES.items())],  # noqa: UP007
        Discriminator(_suite),
    ]
    """An experiment of one of the suites."""
