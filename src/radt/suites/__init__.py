"""The suites of tasks: an engine each. Each is imported when one of its experiments is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.settings import Experiment

if TYPE_CHECKING:
    from radt.suites.base import Suite


def suite_of(experiment: Experiment) -> Suite:
    """The suite of an experiment."""
    from radt.suites.grid.suite import GridSuite

    return GridSuite(experiment)
