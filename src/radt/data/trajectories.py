"""Learning histories on disk: a manifest and safetensors shards. The only module that reads or writes them (docs/formats.md)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from radt.artifacts import check_finite, read_json, read_tensors, sha256, tensor_parts, write_bytes, write_json
from radt.errors import RadtError
from radt.settings import Experiment
from radt.suites.grid.engine import ACTIONS
from radt.suites.grid.splits import split_of
from radt.suites.grid.worlds import descriptions, optimum

FORMAT = "radt-trajectories"
VERSION = 3
SHARD_STEPS = 2**24  # a shard holds whole tasks, up to this many steps: Dark-Room is one shard
SUMMARY_EPISODES = 10
SHARDS = r"tasks_[0-9a-f]{16}\.safetensors|\.tasks_[0-9a-f]{16}\.safetensors\.partial"
"""Names of shards, also of one whose writing was cut off."""
AGAIN = "run the trajectories stage again"
COLUMNS = {
    "observations": "uint8",
    "actions": "uint8",
    "rewards": "float32",
    "episode_start": "int64",
    "episode_task": "int32",
    "episode_history": "int32",
}


MOST_PAID = {"keydoor": 2}
"""Most that a step pays, where it is more than 1: key and door in one cell."""
BLOCK = 2**22
"""Steps that are checked at once."""


class Entry(BaseModel):
    """What the manifest says of a shard."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    file: Annotated[str, Field(pattern=r"^tasks_[0-9a-f]{16}\.safetensors$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    episodes: Annotated[int, Field(ge=1)]
    steps: Annotated[int, Field(ge=1)]


class Manifest(BaseModel):
    """What is read of a manifest."""

    model_config = ConfigDict(strict=True, frozen=True)

    experiment: str
    room: dict[str, Any]
    source: dict[str, Any]
    episodes: int
    steps: int
    shards: Annotated[list[Entry], Field(min_length=1)]


@dataclass(frozen=True)
class Shard:
    """Learning histories of one or more tasks; those of a task follow each other, each with its episodes in learning order."""

    observations: NDArray[np.uint8]
    """[N, D] what was seen before the action, as whole numbers (`GridVectorEnv.codes`)."""
    actions: NDArray[np.uint8]
    """[N]"""
    rewards: NDArray[np.float32]
    """[N] reward of the action."""
    episode_start: NDArray[np.int64]
    """[E + 1] first step of every episode, and N."""
    episode_task: NDArray[np.int32]
    """[E] task id."""
    episode_history: NDArray[np.int32]
    """[E] which of the task's learning histories, from 0 on; all 0 where there is one."""

    def returns(self) -> NDArray[np.float64]:
        """Return [E] of every episode."""
        return np.add.reduceat(self.rewards, self.episode_start[:-1], dtype=np.float64)


@dataclass(frozen=True)
class Trajectories:
    """The learning histories of a directory."""

    shards: list[Shard]
    """In the order of the manifest; the arrays are read-only views of the mapped files, whatever their size."""
    manifest: dict[str, Any]
    """What `manifest.json` says."""


def join(shards: list[Shard]) -> Shard:
    """One shard with the episodes of all `shards`; one alone is returned as it is."""
    if len(shards) == 1:
        return shards[0]
    offsets = np.cumsum([0] + [len(shard.actions) for shard in shards])
    starts = [shard.episode_start[:-1] + offset for shard, offset in zip(shards, offsets, strict=False)]
    return Shard(
        np.concatenate([shard.observations for shard in shards]),
        np.concatenate([shard.actions for shard in shards]),
        np.concatenate([shard.rewards for shard in shards]),
        np.concatenate([*starts, offsets[-1:]]),
        np.concatenate([shard.episode_task for shard in shards]),
        np.concatenate([shard.episode_history for shard in shards]),
    )


def write(
    directory: Path,
    name: str,
    experiment: Experiment,
    source: dict[str, Any],
    shards: Iterable[Shard],
    shard_steps: int = SHARD_STEPS,
) -> None:
    """Write `shards` (any number of tasks each) of experiment `name` to `directory`, made by `source`.

    The names of the files contain their hash and the manifest is replaced last, so whatever fails before leaves the old data as
    they were. Raises `RadtError` when a task is not one of the training tasks, occurs twice, or does not fit the room.
    """
    written: list[Path] = []
    entries: list[dict[str, Any]] = []
    tasks: dict[int, dict[str, Any]] = {}
    try:
        for shard in _grouped(shards, shard_steps):
            _check(shard, experiment, "the source")
            summaries = _summaries(shard)
            if twice := sorted(tasks.keys() & summaries.keys()):
                raise RadtError(f"the source gives task {twice[0]} twice")
            tasks |= summaries
            entries.append(_write_shard(directory, shard, written))
        write_json(directory / "manifest.json", _manifest(name, experiment, source, entries, tasks))
    except BaseException:
        manifest = directory / "manifest.json"
        named = manifest.read_text(encoding="utf-8") if manifest.exists() else ""
        for path in written:
            if path.name not in named:
                path.unlink(missing_ok=True)
        raise
    names = {entry["file"] for entry in entries}
    for path in directory.iterdir():
        if re.fullmatch(SHARDS, path.name) and path.name not in names:
            path.unlink()


def read(directory: Path, experiment: Experiment) -> Trajectories:
    """The learning histories in `directory`, after every shard's sha256 was compared with the manifest.

    Raises `RadtError` when the manifest or a shard is missing or damaged, belongs to another grid world, holds a task that must
    not be trained on, or anything that the world does not have.
    """
    path = directory / "manifest.json"
    manifest = read_json(path)
    entries = _check_manifest(manifest, path, experiment)
    shards = [_read_entry(directory, entry, experiment) for entry in entries]
    tasks = np.concatenate([np.unique(shard.episode_task) for shard in shards])
    if len(np.unique(tasks)) != len(tasks):
        raise RadtError(f"{path} names two shards with episodes of one task: {AGAIN}")
    return Trajectories(shards, manifest)


def _grouped(shards: Iterable[Shard], limit: int) -> Iterator[Shard]:
    """`shards` joined into as few as hold at most `limit` steps."""
    group: list[Shard] = []
    for shard in shards:
        if group and sum(len(member.actions) for member in [*group, shard]) > limit:
            yield join(group)
            group = []
        group.append(shard)
    if not group:
        raise RadtError("the source gives no trajectories: at least one training task is needed")
    yield join(group)


def _write_shard(directory: Path, shard: Shard, written: list[Path]) -> dict[str, Any]:
    """Write one shard, unless the very same is there; append a new file to `written` and return the manifest's entry."""
    content = tensor_parts({column: getattr(shard, column).astype(dtype, copy=False) for column, dtype in COLUMNS.items()})
    hashed = hashlib.sha256()
    for part in content:
        hashed.update(part)
    digest = hashed.hexdigest()
    path = directory / f"tasks_{digest[:16]}.safetensors"
    if not path.exists() or sha256(path) != digest:
        written.append(path)
        write_bytes(path, *content)
    return {"file": path.name, "sha256": digest, "episodes": len(shard.episode_task), "steps": len(shard.actions)}


def _summaries(shard: Shard) -> dict[int, dict[str, Any]]:
    """Episodes, and mean return of the first and last ones, by task id."""
    returns, result = shard.returns(), {}
    for task in np.unique(shard.episode_task).tolist():
        own = returns[shard.episode_task == task]
        first, last = own[:SUMMARY_EPISODES].mean(), own[-SUMMARY_EPISODES:].mean()
        result[task] = {"episodes": len(own), "return_first_10": round(float(first), 4), "return_last_10": round(float(last), 4)}
    return result


def _manifest(
    name: str, experiment: Experiment, source: dict[str, Any], entries: list[dict[str, Any]], tasks: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    """The manifest; its fields are explained in docs/formats.md."""
    table = zip(descriptions(experiment), split_of(experiment), optimum(experiment).tolist(), strict=True)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "experiment": name,
        "room": experiment.model_dump(mode="json"),
        "source": source,
        "tasks": [
            {"task": task, **description, "split": split, "optimum": best, **tasks.get(task, {"episodes": 0})}
            for task, (description, split, best) in enumerate(table)
        ],
        "columns": COLUMNS,
        "episodes": sum(entry["episodes"] for entry in entries),
        "steps": sum(entry["steps"] for entry in entries),
        "shards": entries,
        "radt": version("radt"),
    }
    return manifest | {"checksum": _checksum(manifest)}


def _checksum(manifest: dict[str, Any]) -> str:
    """sha256 of the manifest without its own `checksum`."""
    fields = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _check_manifest(manifest: Any, path: Path, experiment: Experiment) -> list[Entry]:
    """The shards that a manifest names; raises `RadtError` unless it is of this format, version and grid world."""
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise RadtError(f"{path} does not describe trajectories: {AGAIN}")
    if manifest.get("version") != VERSION:
        raise RadtError(f"{path} has format version {manifest.get('version')}, this radt reads {VERSION}: {AGAIN}")
    if manifest.get("checksum") != _checksum(manifest):
        raise RadtError(f"{path} is damaged, its content does not match its checksum: {AGAIN}")
    try:
        known = Manifest.model_validate(manifest)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise RadtError(f"{path} has no valid {place}: {AGAIN}") from None
    for key, value in experiment.model_dump(mode="json").items():
        if (stored := known.room.get(key)) != value:
            raise RadtError(f"{path} was made with experiments.{known.experiment}.{key} {stored}, now it is {value}: {AGAIN}")
    if len({entry.file for entry in known.shards}) != len(known.shards):
        raise RadtError(f"{path} names a shard twice: {AGAIN}")
    if any(sum(getattr(entry, name) for entry in known.shards) != getattr(known, name) for name in ("episodes", "steps")):
        raise RadtError(f"{path} has other numbers of episodes or steps than its shards: {AGAIN}")
    return known.shards


def _read_entry(directory: Path, entry: Entry, experiment: Experiment) -> Shard:
    """One verified, memory-mapped shard of a manifest."""
    path = directory / entry.file
    shard = read_shard(path, entry.sha256, experiment, AGAIN)
    if (entry.episodes, entry.steps) != (len(shard.episode_task), len(shard.actions)):
        raise RadtError(f"{path} has other numbers of episodes or steps than the manifest says: {AGAIN}")
    return shard


def read_shard(path: Path, digest: str, experiment: Experiment, again: str) -> Shard:
    """One memory-mapped shard with the sha256 `digest`; raises `RadtError`, with the remedy `again`, for anything else."""
    if not path.is_file():
        raise RadtError(f"{path} is missing: {again}")
    if sha256(path) != digest:
        raise RadtError(f"{path} is damaged, its sha256 is not the manifest's: {again}")
    arrays = read_tensors(path)
    if {column: str(array.dtype) for column, array in arrays.items()} != COLUMNS:
        raise RadtError(f"{path} does not hold the columns {sorted(COLUMNS)}: {again}")
    shard = Shard(**arrays)
    _check(shard, experiment, str(path))
    return shard


def _check(shard: Shard, experiment: Experiment, origin: str) -> None:
    """Raise `RadtError` unless the shard is consistent, fits the room and holds training tasks only."""
    if any(getattr(shard, column).ndim != 1 + (column == "observations") for column in COLUMNS):
        raise RadtError(f"{origin} has columns whose dimensions are not [N, D] for observations and [N] for others: {AGAIN}")
    splits = split_of(experiment)
    for task in np.unique(shard.episode_task).tolist():
        if not 0 <= task < len(splits):
            raise RadtError(f"{origin} holds task {task}, but the experiment has tasks 0 to {len(splits) - 1}: {AGAIN}")
        if splits[task] != "train":
            raise RadtError(f"{origin} holds the {splits[task]} task {task}, which must never be trained on: {AGAIN}")
    steps, episodes, starts = len(shard.actions), len(shard.episode_task), shard.episode_start
    sizes = np.array(experiment.observation_sizes)
    shapes = shard.observations.shape, shard.rewards.shape, starts.shape, shard.episode_history.shape
    lengths = np.diff(starts)
    if (
        shapes != ((steps, len(sizes)), (steps,), (episodes + 1,), (episodes,))
        or episodes == 0
        or starts[0] != 0
        or starts[-1] != steps
        or lengths.min() < 1
    ):
        raise RadtError(f"{origin} has columns whose lengths do not agree: {AGAIN}")
    if (np.diff(shard.episode_task) != 0).sum() + 1 != len(np.unique(shard.episode_task)):
        raise RadtError(f"{origin} mixes the episodes of different tasks: those of a task must follow each other")
    begins = np.append(True, np.diff(shard.episode_task) != 0)
    steps_of = np.diff(shard.episode_history, prepend=0)
    if (shard.episode_history[begins] != 0).any() or not np.isin(steps_of[~begins], (0, 1)).all():
        raise RadtError(f"{origin} mixes learning histories: those of a task must follow each other, counted from 0")
    if lengths.max() > experiment.horizon or (shard.observations.max(axis=0) >= sizes).any():
        raise RadtError(
            f"{origin} does not fit a {experiment.width}x{experiment.height} room with horizon {experiment.horizon}: {AGAIN}"
        )
    _check_values(shard, experiment, origin)


def _check_values(shard: Shard, experiment: Experiment, origin: str) -> None:
    """Raise `RadtError` unless actions, rewards and returns are such as the world has."""
    most = MOST_PAID.get(experiment.world, 1)
    if shard.actions.max() >= ACTIONS:
        raise RadtError(f"{origin} has action {shard.actions.max()}, allowed are 0 to {ACTIONS - 1}: {AGAIN}")
    check_finite(origin, {"rewards": shard.rewards}, AGAIN)
    blocks = (shard.rewards[first : first + BLOCK] for first in range(0, len(shard.rewards), BLOCK))
    if shard.rewards.min() < 0 or shard.rewards.max() > most or any((block != np.rint(block)).any() for block in blocks):
        raise RadtError(f"{origin} has rewards that are not whole numbers from 0 to {most}: {AGAIN}")
    if (best := shard.returns().max()) > experiment.best_possible:
        raise RadtError(f"{origin} has a return of {best:g}, but no episode exceeds {experiment.best_possible}: {AGAIN}")
