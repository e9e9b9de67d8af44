"""What the rest of radt knows of a method, without torch: each file of `radt.methods` has one `METHOD` and one `THEME`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from radt.settings.base import Section

GREY = "#666666"


@dataclass(frozen=True)
class Theme:
    """How a method is called and drawn. Methods that share weights take the colours and markers in turn."""

    order: int
    """Its place in figures and tables."""
    name: str
    colours: tuple[str, str]
    dashes: tuple[float, ...]
    markers: str
    note: str = ""
    """What the overview adds to its name."""
    reference: bool = False
    """Whether it is drawn as a thin line, because it has no network."""


@dataclass(frozen=True)
class Method:
    """What the settings, the workflow and the estimates need."""

    targets: tuple[str, ...] = ("none",)
    """The kinds of `target_return` that it reads."""
    stage: str = ""
    """The stage that trains it, which is also its section, its rule and the folder of its logs; none without weights."""
    section: type[Section] | None = None
    """The class of that section, where `radt.settings.stages` does not have it."""
    folder: str = ""
    """Where its weights are, below the results of a run."""
    encoder: str = ""
    """What embeds for it, where it retrieves: a file of `radt.encoders`."""
    vectors: tuple[str, ...] = ()
    """The sections behind the vectors of that encoder, besides `trajectories`."""
    needs_expert: bool = False
    """Whether it asks an expert of the suite, which few suites have: `methods` may name it for all experiments."""
    work: Callable[[Any, str], Any] | None = None
    """What its training takes (`radt.pipeline.costs.Demand`), from all sections and its name."""
