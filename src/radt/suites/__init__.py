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
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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


def seeing_suite_of(experiment: Experiment, features: Path | None, model: Path | None) -> Suite:
    """The suite of an experiment whose agents see by the encoder of images in the folder `features`, if it has one.

    Raises `RadtError` when the encoder is missing, or the network in the folder `model` was trained with another one.
    """
    suite: Any = suite_of(experiment)
    if not experiment.encoded:
        return cast("Suite", suite)
    from radt.artifacts import read_checked_json
    from radt.data import features as encoders
    from radt.errors import RadtError

    if features is None:
        raise RadtError(
            "--features is missing: the experiment has `numbers_per_frame`, so name the folder that the features stage wrote"
        )
    suite.encoder = encoders.read(features, experiment)
    if model and read_checked_json(model / "config.json").get("inputs", {}).get("features") != suite.encoder.sha256:
        raise RadtError(
            f"{model} was trained with another encoder of images than {features}: train it again with the present one"
        )
    return cast("Suite", suite)
