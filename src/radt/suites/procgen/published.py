"""The published histories of Procgen: a folder for each game, an HDF5 file for each episode, JSON files beside them.

`<game>/<number>.hdf5` holds `states`, `actions`, `rewards` and `dones` of an episode of PPO. `<game>/episode_seeds.json` names
the level of each. The episodes of a level, in the order of their numbers, are the history of its task.

Only arrays are read. Links, external storage, virtual data sets and filters other than HDF5's own are refused, because they can
read other files or run code.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from radt.artifacts import read_json, sha256
from radt.data.trajectories import Shard, join
from radt.errors import RadtError, said
from radt.suites.procgen.engine import CHOICES, SIZE
from radt.suites.procgen.settings import ProcgenExperiment

SEEDS = "episode_seeds.json"
NUMBER = re.compile("0|[1-9][0-9]{0,8}")
"""Name of an episode."""
COLUMNS = {"states": (SIZE, SIZE, 3), "actions": (), "rewards": (), "dones": ()}
FIRST = (3, SIZE, SIZE)
"""Shape of a frame with the colour channels first."""
FILTERS = (1, 2, 3)
"""Numbers of HDF5's own filters: deflate, shuffle and checksum."""


def trained(experiment: ProcgenExperiment) -> dict[str, list[int]]:
    """The levels of each game that are trained on."""
    found: dict[str, list[int]] = {}
    for task, split in enumerate(experiment.splits):
        if split == "train":
            game, level = experiment.level_of(task)
            found.setdefault(game, []).append(level)
    return found


def episodes(folder: Path, experiment: ProcgenExperiment) -> dict[int, list[Path]]:
    """The files of every training task, in their order; raises `RadtError` when a level has none, or a file is missing."""
    found: dict[int, list[Path]] = {}
    told = {game: levels(folder / game / SEEDS) for game in trained(experiment)}
    for task, split in enumerate(experiment.splits):
        if split == "train":
            game, level = experiment.level_of(task)
            found[task] = [folder / game / f"{number}.hdf5" for number in told[game].get(level, [])]
            if not found[task]:
                raise RadtError(f"{folder / game} has no episode of level {level}: add its files, or change `levels`")
    if missing := [path for paths in found.values() for path in paths if not path.is_file()]:
        raise RadtError(f"{missing[0]} is missing, one of {len(missing)} files: add all that {SEEDS} names")
    return found


def levels(path: Path) -> dict[int, list[int]]:
    """The episode numbers of each level, in increasing order, from `episode_seeds.json`; raises `RadtError`."""
    told = read_json(path)
    if not isinstance(told, dict) or not all(NUMBER.fullmatch(name) and type(level) is int for name, level in told.items()):
        raise RadtError(f"{path} does not give the level of each episode by its number: get it again")
    found: dict[int, list[int]] = {}
    for number, level in sorted((int(name), level) for name, level in told.items()):
        found.setdefault(level, []).append(number)
    return found


def checksums(folder: Path, experiment: ProcgenExperiment) -> dict[str, str]:
    """A hash of the files of each training task, by game and level."""
    hashes: dict[str, str] = {}
    for task, paths in episodes(folder, experiment).items():
        together = hashlib.sha256("".join(map(sha256, paths)).encode())
        hashes["{}/{}".format(*experiment.level_of(task))] = together.hexdigest()
    return hashes


def histories(folder: Path, experiment: ProcgenExperiment) -> Iterator[Shard]:
    """The histories of all training tasks, one task at a time; raises `RadtError` for a file of another form."""
    for task, paths in episodes(folder, experiment).items():
        yield join([_episode(path, task) for path in paths])


def _episode(path: Path, task: int) -> Shard:
    """One episode."""
    columns = _read(path)
    steps = {len(column) for column in columns.values()}
    if len(steps) != 1 or 0 in steps:
        raise RadtError(f"{path} has columns of different lengths, or no step: get it again")
    actions, (count,) = columns["actions"].reshape(-1), steps
    if actions.dtype.kind not in "iu" or actions.min() < 0 or actions.max() >= CHOICES:
        raise RadtError(f"{path} has an action that is none of 0 to {CHOICES - 1}: get it again")
    none = np.zeros(1, np.int32)
    rewards, ended = columns["rewards"].reshape(-1).astype(np.float32), columns["dones"].reshape(-1)[-1:].astype(np.uint8)
    return Shard(columns["states"], actions[:, None], rewards, np.array([0, count]), none + task, none, ended)


def _read(path: Path) -> dict[str, Any]:
    """The columns of a file, with the colour channels last; raises `RadtError` when it is damaged, or not only arrays."""
    try:
        import h5py
    except ImportError:
        raise RadtError("the published histories are HDF5 files, whose package is not installed: run `make setup-rl`") from None
    try:
        with h5py.File(path, "r") as file:
            columns = {name: _column(path, file, name, shape) for name, shape in COLUMNS.items()}
    except (OSError, KeyError, ValueError, RuntimeError) as error:  # what the library raises for damaged files
        raise RadtError(f"{path} cannot be read ({said(error)}): get it again") from None
    if columns["states"].shape[1:] == FIRST:
        columns["states"] = np.moveaxis(columns["states"], 1, -1)
    return columns


def _column(path: Path, file: Any, name: str, shape: tuple[int, ...]) -> Any:
    """One data set of an open file. Its type is checked before its content is read."""
    import h5py

    link, data = file.get(name, getlink=True), file.get(name)
    if data is None or not isinstance(link, h5py.HardLink) or not isinstance(data, h5py.Dataset):
        raise RadtError(f"{path} has no data set {name}, or a link in its place: get it again")
    made = data.id.get_create_plist()
    filters = [made.get_filter(number)[0] for number in range(made.get_nfilters())]
    if data.external or data.is_virtual or any(one not in FILTERS for one in filters):
        raise RadtError(f"{path} keeps {name} in other files, or by a filter that is not HDF5's own: get it again")
    allowed = [shape, FIRST] if name == "states" else [(), (1,)]
    if data.shape[1:] not in allowed or (name == "states" and data.dtype != np.uint8):
        raise RadtError(f"{path} has {name} {data.dtype} {list(data.shape)}, allowed are steps of {list(shape)}: get it again")
    return data[()]
