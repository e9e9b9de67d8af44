"""Sources of learning histories in all suites."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.data.trajectories import MANIFEST, ExperimentSpec, Shard, Trajectories, imported
from radt.errors import RadtError
from radt.settings.experiment import Experiment
from radt.settings.sources import Trajectories as Settings
from radt.suites import experiment_spec, part


def histories(experiment: Experiment, settings: Settings, folder: Path | None) -> tuple[dict[str, Any], Iterable[Shard]]:
    """The `source` for the manifest, and the learning histories, one or more tasks at a time.

    `folder` is the output of the `rl` stage, for sources that learn each task in a job. An imported folder with a `manifest.json`
    holds learning histories of radt. Raises `RadtError` for a source that the suite does not have.
    """
    place = Path(str(settings.import_folder))
    if settings.source == "import" and (place / MANIFEST).is_file():
        return imported(place, experiment_spec(experiment))
    if own := part(experiment, "sources"):
        collected: tuple[dict[str, Any], Iterable[Shard]] = own.collect(experiment, settings, folder)
        return collected
    if settings.source != "import":
        raise RadtError(
            f"trajectories.source is {settings.source!r}, which the suite {experiment.suite!r} does not have: write learning"
            " histories with radt.data.trajectories.write (docs/formats.md), and set it to import"
        )
    return imported(place, experiment_spec(experiment))


def remark(experiment: Experiment, data: Trajectories) -> str | None:
    """A remark on written learning histories for the log; None without one."""
    own = part(experiment, "sources")
    return own.remark(experiment, data) if hasattr(own, "remark") else None


def learn(experiment: Experiment, settings: Settings, task: int) -> Shard:
    """Learning histories of one training task, from the learner that `trajectories.source` names.

    Raises `RadtError` when the task is no training task, or the suite has no such learner.
    """
    splits, own = experiment.splits, part(experiment, "rl")
    if own is None:
        raise RadtError(f"trajectories.source is {settings.source!r}, which the suite {experiment.suite!r} does not have")
    if not (0 <= task < len(splits) and splits[task] == "train"):
        allowed = [number for number, split in enumerate(splits) if split == "train"]
        raise RadtError(f"task {task} is not a training task: allowed are {allowed}")
    history: Shard = own.learn_task(experiment, settings, task)
    return history


def learned_spec(experiment: Experiment) -> ExperimentSpec:
    """An experiment and the spec of what `learn` returns: the suite may have a smaller form of observations (`stored`)."""
    own = part(experiment, "rl")
    spec: ExperimentSpec = own.stored(experiment) if hasattr(own, "stored") else experiment_spec(experiment)
    return spec
