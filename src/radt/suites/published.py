"""The published replay buffers of Meta-World and DMControl: one `.npz` file for each task, converted without unpickling.

A file is one stream of steps of one SAC agent: `observations` [N, 1, D], `actions` [N, 1, A], `rewards` and `dones` [N, 1]. It
was made by an older engine, so it cannot be checked by replay; shapes, ranges and lengths of episodes are checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from radt.artifacts import sha256
from radt.data import npz
from radt.data.trajectories import Described, Shard
from radt.errors import RadtError
from radt.settings.robots import RobotExperiment

COLUMNS = ("observations", "actions", "rewards", "dones")
BEYOND = 1e-4
"""Tolerance of the range of actions, for rounding."""


def file_names(experiment: RobotExperiment) -> dict[int, tuple[str, ...]]:
    """The file name of every training task, by task id; raises `RadtError` for several goals per name."""
    if experiment.goals > 1:
        raise RadtError(f"goals is {experiment.goals}, but the published files have one history a name: set goals to 1")
    return {task: (experiment.published(task),) for task, split in enumerate(experiment.splits) if split == "train"}


def checksums(folder: Path, experiment: RobotExperiment) -> dict[str, str]:
    """sha256 of every training task's file in a folder, by name; raises `RadtError` when one is missing."""
    names = [name for (name,) in file_names(experiment).values()]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise RadtError(
            f"{folder} lacks {len(missing)} of {len(names)} files, first {missing[0]!r}: add the files of all training tasks"
        )
    return {name: sha256(folder / name) for name in names}


def histories(folder: Path, suite: Described, unseen: slice) -> Iterator[Shard]:
    """The histories of all training tasks, one task at a time. Numbers `unseen` of observations become 0, as in evaluation."""
    for task, (name,) in file_names(suite.experiment).items():  # type: ignore[arg-type]
        path = folder / name
        columns = npz.read(path, COLUMNS)
        ended = columns.pop("dones")
        shard = npz.shard_of({**columns, "terminated": np.zeros_like(ended), "truncated": ended}, task, suite, str(path))
        if (np.abs(shard.actions) > 1.0 + BEYOND).any():
            raise RadtError(f"{path} has an action of {np.abs(shard.actions).max():g}, allowed is -1 to 1: get it again")
        shard.observations[:, unseen] = 0.0
        shard.actions.clip(-1.0, 1.0, out=shard.actions)
        yield shard
