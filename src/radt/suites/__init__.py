"""The suites of tasks: an engine each. Each is imported when one of its experiments is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.data.trajectories import ExperimentSpec
from radt.errors import RadtError
from radt.settings.experiments import Experiment, GridExperiment, GymnasiumExperiment

if TYPE_CHECKING:
    from radt.suites.base import Suite


def experiment_spec(experiment: Experiment) -> ExperimentSpec:
    """An experiment and its spec, which is all that a stage needs that plays nothing."""
    if isinstance(experiment, GridExperiment):
        from radt.suites.grid.spec import spec_of

        return ExperimentSpec(experiment, spec_of(experiment))
    return ExperimentSpec(experiment, suite_of(experiment).spec)


def suite_of(experiment: Experiment) -> Suite:
    """The suite of an experiment."""
    if isinstance(experiment, GridExperiment):
        from radt.suites.grid.suite import GridSuite

        return GridSuite(experiment)
    if isinstance(experiment, GymnasiumExperiment):
        from radt.suites.gymnasium.suite import GymnasiumSuite

        return GymnasiumSuite(experiment)
    raise RadtError(f"the suite {experiment.suite!r} has no tasks: add it to radt.suites")
