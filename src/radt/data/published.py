"""The published learning histories: one `.npz` file for each goal, converted without ever unpickling.

A file is one long stream of steps of one task, in the order in which a PPO agent played them: `observations` and
`next_observations` [N, 1, 2] as (y, x), `actions` [N, 1, 1], `rewards` and `dones` [N, 1].
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.artifacts import sha256
from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.settings import Experiment
from radt.tasks.splits import goals, tasks_of

Array = NDArray[Any]
SHAPES = {"observations": (2,), "next_observations": (2,), "actions": (), "rewards": (), "dones": ()}


def file_names(experiment: Experiment) -> dict[int, str]:
    """Published file name of every training task, `[0,0]_[x,y].npz`, by task id; no other file is ever opened."""
    positions = goals(experiment).tolist()
    return {int(task): f"[0,0]_[{positions[task][0]},{positions[task][1]}].npz" for task in tasks_of(experiment, "train")}


def checksums(folder: Path, experiment: Experiment) -> dict[str, str]:
    """sha256 of every training task's file in `folder`, by name; raises `RadtError` when one is missing."""
    if not folder.is_dir():
        raise RadtError(f"{folder} is not a folder: set trajectories.import_folder to the one that holds the .npz files")
    names = file_names(experiment).values()
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise RadtError(
            f"{folder} lacks {len(missing)} of {len(names)} files, first {missing[0]!r}: add the files of all training goals"
        )
    return {name: sha256(folder / name) for name in names}


def convert(folder: Path, experiment: Experiment) -> Iterator[Shard]:
    """The published histories in `folder`, one task at a time; raises `RadtError` when a file does not fit the room."""
    positions = goals(experiment)
    for task, name in file_names(experiment).items():
        path = folder / name
        columns = _load(path)
        ends = np.flatnonzero(columns["dones"]) + 1
        if len(ends) == 0:
            raise RadtError(f"{path} has no finished episode: replace it by the published file")
        columns = {key: values[: ends[-1]] for key, values in columns.items()}
        starts = np.concatenate([[0], ends]).astype(np.int64)
        _check(path, columns, starts, positions[task], experiment)
        yield Shard(
            columns["observations"].astype(np.uint8),
            columns["actions"].astype(np.uint8),
            columns["rewards"].astype(np.float32),
            starts,
            np.full(len(ends), task, np.int32),
        )


def _load(path: Path) -> dict[str, Array]:
    """The five columns of a file, without the axis of its single environment: [N, 2] or [N]."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if missing := SHAPES.keys() - set(file.files):
                raise RadtError(f"{path} has no array {min(missing)!r}: it is not a published trajectory file")
            columns = {key: np.asarray(file[key]) for key in SHAPES}
    except FileNotFoundError:
        raise RadtError(f"{path} is missing: add the files of all training goals") from None
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise RadtError(f"{path} holds pickled objects, which radt never loads: export its arrays as plain .npz") from None
        raise RadtError(f"{path} is damaged (no valid .npz file): get it again") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, AttributeError, TypeError):
        raise RadtError(f"{path} is damaged (no valid .npz file): get it again") from None
    return {key: _flat(path, key, values) for key, values in columns.items()}


def _flat(path: Path, key: str, values: Array) -> Array:
    """`values` as [N, 2] or [N]; axes of length 1 behind the first are dropped."""
    steps, inner = len(values) if values.ndim else 0, SHAPES[key]
    if steps == 0 or values.size != steps * int(np.prod(inner)) or values.ndim > 3 or values.dtype.kind not in "biuf":
        raise RadtError(
            f"{path} has {key} {values.dtype} {list(values.shape)}, allowed are numbers [N, 1{', 2' if inner else ''}]"
        )
    return values.reshape(steps, *inner).astype(np.float64)


def _check(
    path: Path, columns: dict[str, Array], starts: NDArray[np.int64], goal: NDArray[np.int64], experiment: Experiment
) -> None:
    """Raise `RadtError` unless the episodes are possible in the room and pay on the goal only."""
    limits = {"observations": (experiment.height, experiment.width), "actions": 5, "rewards": 2, "dones": 2}
    limits["next_observations"] = limits["observations"]
    for key, limit in limits.items():
        values = columns[key]
        if len(values) != starts[-1]:
            raise RadtError(f"{path} has {len(values)} {key} for {starts[-1]} steps: get it again")
        if not ((values >= 0) & (values < limit) & (values == np.trunc(values))).all():
            raise RadtError(f"{path} has {key} that are not whole numbers below {limit}: it does not belong to this room")
    if (np.diff(starts) != experiment.horizon).any():
        lengths = np.diff(starts)
        wrong = lengths[lengths != experiment.horizon][0]
        raise RadtError(f"{path} has an episode of {wrong} steps, but the horizon of this room is {experiment.horizon}")
    if (columns["next_observations"][columns["rewards"] > 0] != goal[::-1]).any():
        raise RadtError(f"{path} pays outside its goal {goal.tolist()} (x, y): it belongs to another task or room")
