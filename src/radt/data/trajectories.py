"""Learning histories on disk: a manifest and safetensors shards. Only this module reads or writes them (docs/formats.md)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from radt import spaces
from radt.artifacts import check_finite, read_json, read_tensors, sha256, tensor_parts, write_bytes, write_json
from radt.errors import RadtError
from radt.settings.experiment import Experiment
from radt.settings.renamed import with_new_names
from radt.spaces import Codes, Counts, Numbers, Spec

FORMAT, MANIFEST = "radt-trajectories", "manifest.json"
VERSION = 4
CODED = 3
"""Version of the former format, whose observations and actions are codes, and whose manifest has no spec."""
SHARD_STEPS = 2**24  # a shard holds whole tasks, up to this many steps: Dark-Room is one shard
SUMMARY_EPISODES = 10
SHARDS = r"tasks_[0-9a-f]{16}\.safetensors|\.tasks_[0-9a-f]{16}\.safetensors\.partial"
"""Names of shards, also of unfinished ones."""
AGAIN = "run the trajectories stage again"
TABLES = {"rewards": "float32", "episode_start": "int64", "episode_task": "int32", "episode_history": "int32"}
OPTIONAL = ("terminated", "labels")
"""Columns that a shard need not have."""
BLOCK = 2**22
"""Steps that are checked at once."""
COLUMNS = 8
"""Numbers of an observation that are summed at once."""
ROUNDING = 1e-12
"""Variance relative to 1 + mean^2 below which it counts as rounding."""


class Entry(BaseModel):
    """Entry of a shard in the manifest."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    file: Annotated[str, Field(pattern=r"^tasks_[0-9a-f]{16}\.safetensors$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    episodes: Annotated[int, Field(ge=1)]
    steps: Annotated[int, Field(ge=1)]


class Manifest(BaseModel):
    """The fields of a manifest that are read."""

    model_config = ConfigDict(strict=True, frozen=True)

    experiment: str
    room: dict[str, Any]
    source: dict[str, Any]
    episodes: int
    steps: int
    shards: Annotated[list[Entry], Field(min_length=1)]


@dataclass(frozen=True)
class Task:
    """A task of a suite."""

    id: int
    """Its number in the experiment."""
    split: str
    """`train`, `validation`, `held_out`, or in Procgen `unseen`."""
    description: dict[str, object]
    """Its parameters, such as the goal, for the manifest."""
    references: dict[str, float]
    """Known returns, such as `optimum`, which no episode exceeds."""


class Described(Protocol):
    """The part of a suite that reading needs."""

    @property
    def experiment(self) -> Experiment:
        """The settings of the experiment."""

    @property
    def spec(self) -> Spec:
        """Observations, actions and rewards."""


@dataclass(frozen=True)
class ExperimentSpec:
    """An experiment and its spec."""

    experiment: Experiment
    spec: Spec


class Listed(Described, Protocol):
    """The part of a suite that writing needs (`radt.suites.base.Suite`)."""

    def tasks(self) -> list[Task]:
        """All tasks, in the order of their ids."""


@dataclass(frozen=True)
class Shard:
    """Learning histories of one or more tasks: N steps in E episodes. The episodes of a history are consecutive and in learning
    order, the histories of a task are consecutive."""

    observations: NDArray[Any]
    """[N, *shape] observation before the action, in the dtype and the shape of the spec."""
    actions: NDArray[Any]
    """[N, A] codes or real numbers."""
    rewards: NDArray[np.float32]
    """[N] reward of the action."""
    episode_start: NDArray[np.int64]
    """[E + 1] first step of every episode, and N."""
    episode_task: NDArray[np.int32]
    """[E] task id."""
    episode_history: NDArray[np.int32]
    """[E] number of the learning history among those of its task, from 0."""
    terminated: NDArray[np.uint8] | None = None
    """[E] 1: terminated, 0: truncated; None where the source does not say."""
    labels: NDArray[Any] | None = None
    """[N, A] actions of an expert in the same states, like `actions`; None without an expert."""

    def returns(self) -> NDArray[np.float64]:
        """Return [E] of every episode."""
        return np.add.reduceat(self.rewards, self.episode_start[:-1], dtype=np.float64)

    def history_start(self) -> NDArray[np.int64]:
        """First episode [H + 1] of every learning history, and E."""
        new = (np.diff(self.episode_task) != 0) | (np.diff(self.episode_history) != 0)
        return np.concatenate([[0], np.flatnonzero(new) + 1, [len(self.episode_task)]])


@dataclass(frozen=True)
class Trajectories:
    """The learning histories of a directory."""

    shards: list[Shard]
    """In the order of the manifest; the arrays are read-only views of memory-mapped files."""
    manifest: dict[str, Any]
    """Content of `manifest.json`."""
    spec: Spec
    """Observations, actions and rewards."""

    @property
    def statistics(self) -> Statistics | None:
        """Statistics of observations that are numbers; None for other observations."""
        if not isinstance(self.spec.observation, Numbers):
            return None
        values = self.manifest["statistics"]
        return Statistics(tuple(values["mean"]), tuple(values["deviation"]))


@dataclass(frozen=True)
class Statistics:
    """Mean [D] and standard deviation [D] of all observations of the training data; networks standardise with them."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def columns(spec: Spec, *optional: str) -> dict[str, str]:
    """Dtype of every column of a shard, with the columns of `OPTIONAL` that `optional` names."""
    types = {**spec.dtypes, **TABLES, "terminated": "uint8", "labels": spec.dtypes["actions"]}
    return {name: dtype for name, dtype in types.items() if name not in OPTIONAL or name in optional}


def join(shards: list[Shard]) -> Shard:
    """One shard with the episodes of all `shards`."""
    if len(shards) == 1:
        return shards[0]
    offsets = np.cumsum([0] + [len(shard.actions) for shard in shards])
    starts = [shard.episode_start[:-1] + offset for shard, offset in zip(shards, offsets, strict=False)]
    names = [field.name for field in fields(Shard) if field.name != "episode_start"]
    parts = {name: [getattr(shard, name) for shard in shards] for name in names}
    joined = {name: None if any(part is None for part in own) else np.concatenate(own) for name, own in parts.items()}
    return Shard(**joined, episode_start=np.concatenate([*starts, offsets[-1:]]))  # type: ignore[arg-type]


def write(
    directory: Path,
    name: str,
    suite: Listed,
    source: dict[str, Any],
    shards: Iterable[Shard],
    shard_steps: int = SHARD_STEPS,
) -> None:
    """Write `shards` (of any number of tasks each) of experiment `name` to `directory`; `source` says how they were made.

    File names contain hashes, and the manifest is replaced last, so a failure before that leaves the old data intact. Raises
    `RadtError` when a task is no training task, occurs twice, or does not fit the experiment.
    """
    written: list[Path] = []
    entries: list[dict[str, Any]] = []
    moments: list[Moments] = []
    tasks: dict[int, dict[str, Any]] = {}
    try:
        for shard in _grouped(shards, shard_steps):
            _check(shard, suite, "the source", AGAIN)
            summaries = _summaries(shard)
            if twice := sorted(tasks.keys() & summaries.keys()):
                raise RadtError(f"the source gives task {twice[0]} twice")
            tasks |= summaries
            moments += _moments(shard, suite.spec)
            entries.append(_write_shard(directory, shard, suite.spec, written))
        write_json(directory / MANIFEST, _manifest(name, suite, source, entries, tasks, moments))
    except BaseException:
        manifest = directory / MANIFEST
        named = manifest.read_text(encoding="utf-8") if manifest.exists() else ""
        for path in written:
            if path.name not in named:
                path.unlink(missing_ok=True)
        raise
    names = {entry["file"] for entry in entries}
    for path in directory.iterdir():
        if re.fullmatch(SHARDS, path.name) and path.name not in names:
            path.unlink()


def read(directory: Path, suite: Described) -> Trajectories:
    """The learning histories in `directory`, memory-mapped; the sha256 of every shard is compared with the manifest.

    Raises `RadtError` when the manifest or a shard is missing or damaged, belongs to another experiment, holds a task that is no
    training task, or values that do not fit the spec.
    """
    path = directory / MANIFEST
    manifest = read_json(path)
    entries = _check_manifest(manifest, path, suite)
    shards = [_read_entry(directory, entry, suite) for entry in entries]
    tasks = np.concatenate([np.unique(shard.episode_task) for shard in shards])
    if len(np.unique(tasks)) != len(tasks):
        raise RadtError(f"{path} names two shards with episodes of one task: {AGAIN}")
    return Trajectories(shards, manifest, suite.spec)


def imported(directory: Path, suite: Described) -> tuple[dict[str, Any], list[Shard]]:
    """Learning histories in a directory, to be imported: the `source` for the new manifest, and the histories."""
    data = read(directory, suite)
    return {"name": "import", "files": {entry["file"]: entry["sha256"] for entry in data.manifest["shards"]}}, data.shards


def _grouped(shards: Iterable[Shard], limit: int) -> Iterator[Shard]:
    """`shards`, of which consecutive ones are joined up to `limit` steps."""
    group: list[Shard] = []
    for shard in shards:
        if group and sum(len(member.actions) for member in [*group, shard]) > limit:
            yield join(group)
            group = []
        group.append(shard)
    if not group:
        raise RadtError("the source gives no trajectories: at least one training task is needed")
    yield join(group)


def tensors(shard: Shard, spec: Spec) -> dict[str, NDArray[Any]]:
    """The columns of a shard in stored form: actions and labels of one dimension are [N] instead of [N, 1]."""
    present = [name for name in OPTIONAL if getattr(shard, name) is not None]
    stored = {name: getattr(shard, name).astype(dtype, copy=False) for name, dtype in columns(spec, *present).items()}
    flat = ("actions", "labels") if len(spec.actions) == 1 else ()
    return {name: values[:, 0] if name in flat else values for name, values in stored.items()}


def _write_shard(directory: Path, shard: Shard, spec: Spec, written: list[Path]) -> dict[str, Any]:
    """Write one shard, unless the same file exists; append a new file to `written`, and return the entry for the manifest."""
    content = tensor_parts(tensors(shard, spec))
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
    """Number of episodes, and mean returns of the first and last `SUMMARY_EPISODES`, by task id."""
    returns, result = shard.returns(), {}
    for task in np.unique(shard.episode_task).tolist():
        own = returns[shard.episode_task == task]
        first, last = own[:SUMMARY_EPISODES].mean(), own[-SUMMARY_EPISODES:].mean()
        result[task] = {"episodes": len(own), "return_first_10": round(float(first), 4), "return_last_10": round(float(last), 4)}
    return result


class Moments(NamedTuple):
    """Sums over the observations of a shard, in double precision."""

    steps: int
    total: NDArray[np.float64]
    """[D]"""
    squares: NDArray[np.float64]
    """[D]"""


def _moments(shard: Shard, spec: Spec) -> list[Moments]:
    """Moments of every block of a shard whose observations are numbers; an empty list for other observations."""
    if not isinstance(spec.observation, Numbers):
        return []
    blocks = (shard.observations[first : first + BLOCK] for first in range(0, len(shard.observations), BLOCK))
    return [Moments(len(block), *_sums(block)) for block in blocks]


def _sums(block: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums [D] of observations [N, D] and of their squares: a few columns at a time, since double precision needs memory."""
    groups = np.array_split(block, -(-block.shape[1] // COLUMNS), axis=1)
    sums = [(exact.sum(0), (exact**2).sum(0)) for exact in (group.astype(np.float64) for group in groups)]
    total, squares = zip(*sums, strict=True)
    return np.concatenate(total), np.concatenate(squares)


def _statistics(moments: list[Moments]) -> dict[str, list[float]]:
    """Mean and standard deviation of all observations; a deviation of 0 becomes 1, because networks divide by it."""
    count = sum(part.steps for part in moments)
    mean = np.sum([part.total for part in moments], axis=0) / count
    variance = (np.sum([part.squares for part in moments], axis=0) / count - mean**2).clip(0.0)
    deviation = np.where(variance > ROUNDING * (1.0 + mean**2), np.sqrt(variance), 1.0)
    return {"mean": mean.tolist(), "deviation": deviation.tolist()}


def _row(task: Task, statistics: dict[str, Any]) -> dict[str, Any]:
    """Row of a task in the manifest; `statistics` are those of its histories."""
    return {"task": task.id, **task.description, "split": task.split, **task.references, **statistics}


def _manifest(
    name: str,
    suite: Listed,
    source: dict[str, Any],
    entries: list[dict[str, Any]],
    tasks: dict[int, dict[str, Any]],
    moments: list[Moments],
) -> dict[str, Any]:
    """The manifest; its fields are explained in docs/formats.md."""
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "experiment": name,
        "room": suite.experiment.model_dump(mode="json"),
        "spec": suite.spec.model_dump(mode="json"),
        "source": source,
        "tasks": [_row(task, tasks.get(task.id, {"episodes": 0})) for task in suite.tasks()],
        "columns": columns(suite.spec),
        **({"statistics": _statistics(moments)} if moments else {}),
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


def _check_manifest(manifest: Any, path: Path, suite: Described) -> list[Entry]:
    """Entries of the shards in a manifest; raises `RadtError` unless format, version, checksum and experiment are right."""
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise RadtError(f"{path} does not describe trajectories: {AGAIN}")
    if manifest.get("version") not in (CODED, VERSION):
        raise RadtError(f"{path} has format version {manifest.get('version')}, this radt reads {CODED} and {VERSION}: {AGAIN}")
    if manifest.get("checksum") != _checksum(manifest):
        raise RadtError(f"{path} is damaged, its content does not match its checksum: {AGAIN}")
    try:
        known = Manifest.model_validate(manifest)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise RadtError(f"{path} has no valid {place}: {AGAIN}") from None
    room = with_new_names({"experiment": known.room})["experiment"]
    for key, value in suite.experiment.model_dump(mode="json").items():
        if (stored := room.get(key)) != value:
            raise RadtError(f"{path} was made with experiments.{known.experiment}.{key} {stored}, now it is {value}: {AGAIN}")
    _check_spec(manifest, path, suite.spec)
    if len({entry.file for entry in known.shards}) != len(known.shards):
        raise RadtError(f"{path} names a shard twice: {AGAIN}")
    if any(sum(getattr(entry, name) for entry in known.shards) != getattr(known, name) for name in ("episodes", "steps")):
        raise RadtError(f"{path} has other numbers of episodes or steps than its shards: {AGAIN}")
    return known.shards


def _check_spec(manifest: dict[str, Any], path: Path, spec: Spec) -> None:
    """Raise `RadtError` unless a manifest has the spec of the experiment."""
    if manifest["version"] == CODED:
        if not isinstance(spec.observation, Codes) or spec.continuous or len(spec.actions) > 1:
            raise RadtError(f"{path} has format version {CODED}, which holds codes and one action dimension only: {AGAIN}")
        return
    if (stored := spaces.read(manifest.get("spec"), str(path), AGAIN)) != spec:
        name = next(name for name in Spec.model_fields if getattr(stored, name) != getattr(spec, name))
        raise RadtError(f"{path} was made with {name} {getattr(stored, name)}, now it is {getattr(spec, name)}: {AGAIN}")
    if isinstance(spec.observation, Numbers):
        _check_statistics(manifest.get("statistics"), path, spec.observation.size)


def _check_statistics(values: Any, path: Path, size: int) -> None:
    """Raise `RadtError` unless a manifest holds finite means [size] and deviations [size] above 0."""
    try:
        mean, deviation = (np.array(values[name], np.float64) for name in ("mean", "deviation"))
    except (TypeError, KeyError, ValueError, OverflowError):
        mean = deviation = np.zeros(0)
    whole = mean.shape == deviation.shape == (size,)
    if not whole or not np.isfinite([mean, deviation]).all() or deviation.min() <= 0.0:
        raise RadtError(f"{path} has no valid statistics, a mean and a deviation above 0 of {size} numbers: {AGAIN}")


def _read_entry(directory: Path, entry: Entry, suite: Described) -> Shard:
    """One verified, memory-mapped shard; raises `RadtError` when it does not fit its entry in the manifest."""
    path = directory / entry.file
    shard = read_shard(path, entry.sha256, suite, AGAIN)
    if (entry.episodes, entry.steps) != (len(shard.episode_task), len(shard.actions)):
        raise RadtError(f"{path} has other numbers of episodes or steps than the manifest says: {AGAIN}")
    return shard


def read_shard(path: Path, digest: str, suite: Described, again: str) -> Shard:
    """One memory-mapped shard; raises `RadtError`, with the remedy `again`, unless it has sha256 `digest` and fits `suite`."""
    if not path.is_file():
        raise RadtError(f"{path} is missing: {again}")
    if sha256(path) != digest:
        raise RadtError(f"{path} is damaged, its sha256 is not the manifest's: {again}")
    arrays = read_tensors(path)
    _check_columns(arrays, suite.spec, path, again)
    for name in ("actions", "labels") if len(suite.spec.actions) == 1 else ():
        if name in arrays:
            arrays[name] = arrays[name][..., None]
    shard = Shard(**arrays)
    _check(shard, suite, str(path), again)
    return shard


def _check_columns(arrays: dict[str, NDArray[Any]], spec: Spec, path: Path, again: str) -> None:
    """Raise `RadtError` unless a file has the columns of a shard, in the dtypes of the spec."""
    wanted = columns(spec, *arrays)
    if arrays.keys() != wanted.keys():
        raise RadtError(f"{path} does not hold the columns {sorted(columns(spec))}: {again}")
    for name, dtype in wanted.items():
        if str(arrays[name].dtype) != dtype:
            raise RadtError(f"{path} has {name} of type {arrays[name].dtype}, but the experiment has {dtype}: {again}")


def _check(shard: Shard, suite: Described, origin: str, again: str) -> None:
    """Raise `RadtError` unless the shard is consistent, fits the experiment and holds training tasks only."""
    _check_shapes(shard, suite.spec, origin, again)
    _check_tasks(shard, suite.experiment.splits, origin, again)
    _check_order(shard, origin)
    spec, lengths = suite.spec, np.diff(shard.episode_start)
    if lengths.max() > spec.horizon:
        raise RadtError(
            f"{origin} has an episode of {lengths.max()} steps, but the experiment has horizon {spec.horizon}: {again}"
        )
    _check_observations(shard, spec, origin, again)
    _check_actions(shard.actions, "action", spec, origin, again)
    if shard.labels is not None:
        _check_actions(shard.labels, "label", spec, origin, again)
    _check_rewards(shard, spec, origin, again)


def _check_shapes(shard: Shard, spec: Spec, origin: str, again: str) -> None:
    """Raise `RadtError` unless dimensions and lengths of all columns agree with each other and with the spec."""
    inner = {"observations": spec.observation.shape, "actions": (len(spec.actions),), "labels": (len(spec.actions),)}
    present = {field.name: getattr(shard, field.name) for field in fields(Shard) if getattr(shard, field.name) is not None}
    if any(array.ndim != 1 + len(inner.get(name, ())) for name, array in present.items()):
        raise RadtError(f"{origin} has columns whose dimensions are not those of its observations and actions: {again}")
    steps, episodes, starts = len(shard.actions), len(shard.episode_task), shard.episode_start
    lengths = {"episode_start": episodes + 1} | dict.fromkeys(("episode_task", "episode_history", "terminated"), episodes)
    shapes = {name: (lengths.get(name, steps), *inner.get(name, ())) for name in present}
    whole = episodes > 0 and all(array.shape == shapes[name] for name, array in present.items())
    if not whole or starts[0] != 0 or starts[-1] != steps or np.diff(starts).min() < 1:
        raise RadtError(f"{origin} has columns whose lengths do not agree: {again}")


def _check_tasks(shard: Shard, splits: list[str], origin: str, again: str) -> None:
    """Raise `RadtError` for a task that is no training task of the experiment."""
    for task in np.unique(shard.episode_task).tolist():
        if not 0 <= task < len(splits):
            raise RadtError(f"{origin} holds task {task}, but the experiment has tasks 0 to {len(splits) - 1}: {again}")
        if splits[task] != "train":
            raise RadtError(f"{origin} holds the {splits[task]} task {task}, which must never be trained on: {again}")


def _check_order(shard: Shard, origin: str) -> None:
    """Raise `RadtError` unless the episodes of each task and of each history are consecutive."""
    if (np.diff(shard.episode_task) != 0).sum() + 1 != len(np.unique(shard.episode_task)):
        raise RadtError(f"{origin} mixes the episodes of different tasks: those of a task must follow each other")
    begins = np.append(True, np.diff(shard.episode_task) != 0)
    steps_of = np.diff(shard.episode_history, prepend=0)
    if (shard.episode_history[begins] != 0).any() or not np.isin(steps_of[~begins], (0, 1)).all():
        raise RadtError(f"{origin} mixes learning histories: those of a task must follow each other, counted from 0")


def _check_observations(shard: Shard, spec: Spec, origin: str, again: str) -> None:
    """Raise `RadtError` unless observations fit the spec."""
    if isinstance(spec.observation, Numbers):
        check_finite(origin, {"observations": shard.observations}, again)
    elif isinstance(spec.observation, Codes):
        most = shard.observations.max(axis=0)
        if (beyond := most >= np.array(spec.observation.sizes)).any():
            number = int(beyond.argmax())
            raise RadtError(
                f"{origin} has {most[number]} as number {number} of an observation, allowed are 0 to"
                f" {spec.observation.sizes[number] - 1}: {again}"
            )


def _check_actions(actions: NDArray[Any], name: str, spec: Spec, origin: str, again: str) -> None:
    """Raise `RadtError` unless actions [N, A], or labels, fit the spec; `name` is for messages."""
    low, high = (np.zeros(1), np.array(spec.actions) - 1) if spec.low is None else (np.array(spec.low), np.array(spec.high))
    check_finite(origin, {f"{name}s": actions} if spec.continuous else {}, again)
    least, most = (np.array([find(column) for column in actions.T]) for find in (np.min, np.max))
    edge = 1e-6 * (high - low)  # tolerance for limits that were rounded to single precision
    if (beyond := (least < low - edge) | (most > high + edge)).any():
        number = int(beyond.argmax())
        value = most[number] if (most > high + edge)[number] else least[number]
        where = f" in dimension {number}" if len(spec.actions) > 1 else ""
        allowed = f"{np.broadcast_to(low, high.shape)[number]:g} to {high[number]:g}"
        raise RadtError(f"{origin} has {name} {value:g}{where}, allowed are {allowed}: {again}")


def _check_rewards(shard: Shard, spec: Spec, origin: str, again: str) -> None:
    """Raise `RadtError` unless rewards and returns fit the spec."""
    check_finite(origin, {"rewards": shard.rewards}, again)
    if not isinstance(spec.rewards, Counts):
        return
    most, highest = spec.rewards.most, spec.rewards.highest
    blocks = (shard.rewards[first : first + BLOCK] for first in range(0, len(shard.rewards), BLOCK))
    if shard.rewards.min() < 0 or shard.rewards.max() > most or any((block != np.rint(block)).any() for block in blocks):
        raise RadtError(f"{origin} has rewards that are not whole numbers from 0 to {most}: {again}")
    if (best := shard.returns().max()) > highest:
        raise RadtError(f"{origin} has a return of {best:g}, but no episode exceeds {highest}: {again}")
