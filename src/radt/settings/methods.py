"""Description of a method, without torch: each file of `radt.methods` has one `METHOD` and one `THEME`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from radt.settings.base import Section

GREY = "#666666"


@dataclass(frozen=True)
class Theme:
    """Name and style of a method in figures. Methods that share weights take the colours and markers in turn."""

    order: int
    """Position in figures and tables."""
    name: str
    colours: tuple[str, str]
    dashes: tuple[float, ...]
    markers: str
    note: str = ""
    """Text after its name in the overview."""
    reference: bool = False
    """Whether it is drawn as a thin line, because it has no network."""


@dataclass(frozen=True)
class Method:
    """Facts about a method for settings, workflow and cost estimates."""

    targets: tuple[str, ...] = ("none",)
    """Kinds of `target_return` that it can use."""
    stage: str = ""
    """The stage that trains it; section, rule and log folder have the same name. Empty without weights."""
    section: type[Section] | None = None
    """The class of that section, if `radt.settings.stages` does not have it."""
    folder: str = ""
    """Folder of its weights, below the results of a run."""
    encoder: str = ""
    """The encoder with which it retrieves: a file of `radt.encoders`. Empty without retrieval."""
    vectors: tuple[str, ...] = ()
    """Sections that determine the vectors of that encoder, besides `trajectories`."""
    needs_expert: bool = False
    """Whether it needs an expert. Suites without one leave it out, so `methods` may name it for all experiments."""
    work: Callable[[Any, str], Any] | None = None
    """Cost of its training (`radt.pipeline.costs.Demand`), from all sections and its name."""
