"""The suites of tasks, a folder each. Nothing lists them: an experiment names its suite, which is imported when it is used.

| module | what it has | needed |
|---|---|---|
| `settings` | `EXPERIMENT`, the class of its experiments | yes; it imports settings alone |
| `spec` | `spec_of(experiment)`, what is seen, done and paid | yes |
| `suite` | `suite_of(experiment)`, the tasks and their environments (`radt.suites.base.Suite`) | yes |
| `sources` | `collect`, and `remark` if there is one to make, see `radt.suites.sources` | no: histories are imported then |
| `rl` | `learn_task`, see `radt.suites.sources.learn` | no: nothing learns them then |
| `registered` | registers environments with Gymnasium when it is imported, for users of `radt.agent` | no |
| `room` | `actions`, `room` and `cells`: what the report draws of an episode | no: it draws rewards then |
| `experience` | `experience` and `recollection`, see `radt.suites.transitions` | no: DPT reads labels then |
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radt.data.trajectories import ExperimentSpec
    from radt.settings.experiment import Experiment
    from radt.suites.base import Suite


def part(experiment: Experiment, name: str) -> Any:
    """A module of the suite of an experiment; None where it has none of this name."""
    module = f"radt.suites.{experiment.suite}.{name}"
    return import_module(module) if find_spec(module) else None


def experiment_spec(experiment: Experiment) -> ExperimentSpec:
    """An experiment and its spec, which is all that a stage needs that plays nothing."""
    from radt.data.trajectories import ExperimentSpec

    return ExperimentSpec(experiment, part(experiment, "spec").spec_of(experiment))


def suite_of(experiment: Experiment) -> Suite:
    """The suite of an experiment."""
    suite: Suite = part(experiment, "suite").suite_of(experiment)
    return suite
