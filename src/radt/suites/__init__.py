"""The suites of tasks, one folder each. There is no list of them: an experiment names its suite, which is then imported.

| module | content | required |
|---|---|---|
| `settings` | `EXPERIMENT`, the class of its experiments | yes; it imports only settings |
| `spec` | `spec_of(experiment)`: observations, actions and rewards | yes |
| `suite` | `suite_of(experiment)`: tasks and their environments (`radt.suites.base.Suite`) | yes |
| `sources` | `collect`, and optionally `remark`, see `radt.suites.sources` | no; without it, histories are imported |
| `rl` | `learn_task`, and optionally `stored`, see `radt.suites.sources` | no; without it, no source learns |
| `registered` | registers environments with Gymnasium at import, for users of `radt.agent` | no |
| `room` | `actions`, `room` and `cells`, which the report draws | no; without it, the report draws rewards |
| `experience` | `experience` and `recollection`, see `radt.suites.transitions` | no; without it, DPT reads labels |
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
    """A module of the suite of an experiment; None if the suite does not have it."""
    module = f"radt.suites.{experiment.suite}.{name}"
    return import_module(module) if find_spec(module) else None


def experiment_spec(experiment: Experiment) -> ExperimentSpec:
    """An experiment and its spec, for stages without environments."""
    from radt.data.trajectories import ExperimentSpec

    return ExperimentSpec(experiment, part(experiment, "spec").spec_of(experiment))


def suite_of(experiment: Experiment) -> Suite:
    """The suite of an experiment."""
    suite: Suite = part(experiment, "suite").suite_of(experiment)
    return suite


def seeing_suite_of(experiment: Experiment, features: Path | None, model: Path | None) -> Suite:
    """The suite of an experiment, with the encoder of images in the folder `features` if the experiment has one.

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
