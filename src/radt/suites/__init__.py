"""The suites of tasks: an engine each. Each is imported when one of its experiments is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.errors import RadtError
from radt.settings import Experiment, GridExperiment, GymnasiumExperiment

if TYPE_CHECKING:
    from radt.suites.base import Suite


def suite_of(experiment: Experiment) -> Suite:
    """The suite of an experiment; raises `RadtError` when what it needs is not installed."""
    if isinstance(experiment, GridExperiment):
        from radt.suites.grid.suite import GridSuite

        return GridSuite(experiment)
    if isinstance(experiment, GymnasiumExperiment):
        from radt.suites.gymnasium.suite import GymnasiumSuite

        return GymnasiumSuite(experiment)
    raise RadtError(f"the suite {experiment.suite!r} has no tasks: add it to radt.suites")
