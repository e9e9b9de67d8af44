"""Where the learning histories of each suite come from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.data.trajectories import MANIFEST, Shard, Trajectories, imported
from radt.errors import RadtError
from radt.settings.experiment import Experiment
from radt.settings.sources import Trajectories as Settings
from radt.suites import experiment_spec, part


def histories(experiment: Experiment, settings: Settings, folder: Path | None) -> tuple[dict[str, Any], Iterable[Shard]]:
    """Where the learning histories come from, for the manifest, and the histories themselves, a task or more at a time.

    `folder` is that of the `rl` stage, for sources that learn. A folder to import that has a `manifest.json` holds learning
    histories of radt. Raises `RadtError` for a source that the suite does not have.
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
    """What is to be said of learning histories that were written."""
    own = part(experiment, "sources")
    return own.remark(experiment, data) if hasattr(own, "remark") else None


def learn(experiment: Experiment, settings: Settings, task: int) -> Shard:
    """Learning histories of one training task, by what `trajectories.source` names.

    Raises `RadtError` when the task is not one of the training tasks, or the suite has nothing that learns.
    """
    splits, own = experiment.splits, part(experiment, "rl")
    if own is None:
        raise RadtError(f"trajectories.source is {settings.source!r}, which the suite {experiment.suite!r} does not have")
    if not (0 <= task < len(splits) and splits[task] == "train"):
        allowed = [number for number, split in enumerate(splits) if split == "train"]
        raise RadtError(f"task {task} is not a training task: allowed are {allowed}")
    history: Shard = own.learn_task(experiment, settings, task)
    return history
