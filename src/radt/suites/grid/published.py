"""The published learning histories: one `.npz` file for each task, converted without unpickling.

A file is one stream of steps of one task, in the order in which a PPO agent played them: `observations` and `next_observations`
[N, 1, D], `actions` [N, 1, 1], `rewards` and `dones` [N, 1]. Its actions are replayed in the world; observations and rewards must
be those of the world.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt import artifacts
from radt.artifacts import sha256
from radt.data import npz
from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.suites.grid import worlds
from radt.suites.grid.engine import ACTIONS, GridVectorEnv
from radt.suites.grid.mazerunner import SIZE
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.spec import sizes_of
from radt.suites.grid.splits import goals, keys, maze_seeds, tasks_of

Array = NDArray[Any]
COLUMNS = ("actions", "dones", "next_observations", "observations", "rewards")
SEEN = ("observations", "next_observations")
ROUNDING = 1e-3  # a maze's observations are whole numbers divided by 15, in single precision


def file_names(experiment: GridExperiment) -> dict[int, tuple[str, ...]]:
    """Names that the published file of every training task may have, by task id; no other file is ever opened.

    Of Key-Door, the data card puts the key first, the published code the door: the content decides. A maze has its seed.
    """
    tasks = tasks_of(experiment, "train").tolist()
    if experiment.world == "mazerunner":
        seeds = maze_seeds(experiment).tolist()
        return {task: (f"{seeds[task]}.npz",) for task in tasks}
    doors = [f"[{x},{y}]" for x, y in goals(experiment).tolist()]
    if experiment.world == "darkroom":
        return {task: (f"[0,0]_{doors[task]}.npz",) for task in tasks}
    places = [(f"[{x},{y}]", door) for (x, y), door in zip(keys(experiment).tolist(), doors, strict=True)]
    return {
        task: tuple(dict.fromkeys(f"[0,0]_{'_'.join(pair)}.npz" for pair in (places[task], places[task][::-1]))) for task in tasks
    }


def checksums(folder: Path, experiment: GridExperiment) -> dict[str, str]:
    """sha256 of every training task's file in `folder`, by name; raises `RadtError` when one is missing."""
    if not folder.is_dir():
        raise RadtError(f"{folder} is not a folder: set trajectories.import_folder to the one that holds the .npz files")
    names = file_names(experiment).values()
    if missing := [options for options in names if not any((folder / name).is_file() for name in options)]:
        first = " or ".join(repr(name) for name in missing[0])
        raise RadtError(
            f"{folder} lacks {len(missing)} of {len(names)} files, first {first}: add the files of all training tasks"
        )
    return {name: sha256(folder / name) for options in names for name in options if (folder / name).is_file()}


def convert(folder: Path, experiment: GridExperiment) -> Iterator[Shard]:
    """The published histories in `folder`, one task at a time; raises `RadtError` when a file does not fit its task.

    Rewards are the world's, because published rewards at the time limit of a maze include PPO's expected return. Key-Door
    histories in which the key stays taken after it was first picked up (a defect of the published engine) are kept as they are.
    """
    for task, names in file_names(experiment).items():
        paths = [folder / name for name in names if (folder / name).is_file()] or [folder / names[0]]
        yield _fitting(paths, experiment, task)


def key_stays(shards: list[Shard], experiment: GridExperiment) -> list[int]:
    """Tasks of Key-Door whose histories pay as if a key that was picked up once stayed taken in all later episodes."""
    found = []
    for shard in shards if experiment.world == "keydoor" else []:
        for task in np.unique(shard.episode_task).tolist():
            own = np.flatnonzero(shard.episode_task == task)
            starts = shard.episode_start[own[0] : own[-1] + 2]
            steps = slice(starts[0], starts[-1])
            starts = starts - starts[0]
            env = worlds.make(experiment, np.array([task]))
            first = _states(env, shard.observations[steps][starts[:-1]])
            if (_replay(env, first, shard.actions[steps, 0], starts).rewards != shard.rewards[steps]).any():
                found.append(task)
    return found


def _fitting(paths: list[Path], experiment: GridExperiment, task: int) -> Shard:
    """The history of `task` from the first file that fits; if none fits, raises the `RadtError` of the last."""
    for path in paths[:-1]:
        try:
            return _history(path, experiment, task)
        except RadtError:
            continue
    return _history(paths[-1], experiment, task)


def _history(path: Path, experiment: GridExperiment, task: int) -> Shard:
    """The finished episodes of a file; raises `RadtError` when it is not of this task."""
    columns = _load(path, experiment)
    ends = np.flatnonzero(columns["dones"]) + 1
    if len(ends) == 0:
        raise RadtError(f"{path} has no finished episode: replace it by the published file")
    starts = np.concatenate([[0], ends]).astype(np.int64)
    columns = {key: values[: ends[-1]] for key, values in columns.items()}
    _check_numbers(path, columns, starts, experiment)
    codes = {key: columns[key].round().astype(np.uint8) for key in SEEN}
    env, actions = worlds.make(experiment, np.array([task])), columns["actions"].astype(np.uint8)
    first = _states(env, codes["observations"][starts[:-1]])
    anywhere = experiment.world != "mazerunner" and not goals(experiment)[task].any()
    if not anywhere and (first != env.tables.start[env.rows[0]]).any():
        raise RadtError(f"{path} has an episode that does not begin at the start: it belongs to another task or world")
    replay = _replay(env, first, actions, starts)
    _check_way(path, codes, replay, env, starts)
    if (wrong := _unpaid(columns["rewards"], replay)) is not None and experiment.world == "keydoor":
        replay = _replay(env, _with_key(first, replay, starts, experiment), actions, starts)
        wrong = None if _unpaid(columns["rewards"], replay) is None else wrong
    if wrong is not None:
        raise RadtError(
            f"{path} pays {columns['rewards'][wrong]:g} at {_place(wrong, starts)}, where {worlds.descriptions(experiment)[task]}"
            " does not: it belongs to another task or room"
        )
    task_column = np.full(len(ends), task, np.int32)
    return Shard(codes["observations"], actions[:, None], replay.rewards, starts, task_column, np.zeros_like(task_column))


def _load(path: Path, experiment: GridExperiment) -> dict[str, Array]:
    """The five columns of a file, without the axis of its single environment: [N, D] or [N]; a maze's observations times 15."""
    columns, numbers = npz.read(path, COLUMNS), len(sizes_of(experiment))
    flat = {key: _flat(path, key, values, (numbers,) if key in SEEN else ()) for key, values in columns.items()}
    steps = len(flat["actions"])
    if other := [key for key in COLUMNS if len(flat[key]) != steps]:
        raise RadtError(f"{path} has {len(flat[other[0]])} {other[0]} for {steps} actions: get it again")
    scale = SIZE if experiment.world == "mazerunner" else 1
    return {key: values * scale if key in SEEN else values for key, values in flat.items()}


def _flat(path: Path, key: str, values: Array, inner: tuple[int, ...]) -> Array:
    """`values` as [N, *inner]; axes of length 1 after the first are dropped."""
    steps = len(values) if values.ndim else 0
    if steps == 0 or values.size != steps * prod(inner) or values.ndim > 3 or values.dtype.kind not in "biuf":
        wanted = ", ".join(["N", "1", *map(str, inner)])
        raise RadtError(f"{path} has {key} {values.dtype} {list(values.shape)}, allowed are numbers [{wanted}]: get it again")
    return values.reshape(steps, *inner).astype(np.float64)


def _check_numbers(path: Path, columns: dict[str, Array], starts: NDArray[np.int64], experiment: GridExperiment) -> None:
    """Raise `RadtError` unless all columns are in range, and no episode is too long."""
    sizes = sizes_of(experiment)
    for key, limit in {"observations": sizes, "next_observations": sizes, "actions": ACTIONS, "dones": 2}.items():
        values = columns[key]
        with np.errstate(invalid="ignore"):
            whole = np.abs(values - values.round()) < ROUNDING
        if not (whole & (values > -ROUNDING) & (values.round() < limit)).all():
            raise RadtError(f"{path} has {key} that are not whole numbers below {limit}: it does not belong to this world")
    artifacts.check_finite(path, {"rewards": columns["rewards"]}, "get it again")
    if (longest := np.diff(starts).max()) > experiment.horizon:
        raise RadtError(
            f"{path} has an episode of {longest} steps, but the horizon is {experiment.horizon}: it is of another world"
        )


@dataclass(frozen=True)
class _Replay:
    """The replay of a file's N actions in the world."""

    states: NDArray[np.int64]
    """[N] true state before the action."""
    following: NDArray[np.int64]
    """[N] true state after it."""
    rewards: NDArray[np.float32]
    """[N]"""
    ends: NDArray[np.bool_]
    """[N] whether the world ends the episode with it."""
    cut_off: NDArray[np.bool_]
    """[N] whether it is the horizon that ends the episode, in a world whose last step pays."""


def _replay(env: GridVectorEnv, first: NDArray[np.int64], actions: NDArray[np.uint8], starts: NDArray[np.int64]) -> _Replay:
    """Play `actions` [N] of the one task of `env`, with episodes at `starts` [E + 1] from the states `first` [E]."""
    following, reward, ends = (table[env.rows[0]] for table in (env.tables.following, env.tables.reward, env.tables.ends))
    states, state, lengths = np.empty(len(actions), np.int64), first.copy(), np.diff(starts)
    for step in range(lengths.max()):
        running = np.flatnonzero(lengths > step)
        at = starts[running] + step
        states[at] = state[running]
        state[running] = following[state[running], actions[at]]
    rewards, ended = reward[states, actions], ends[states, actions]
    last = np.zeros(len(actions), np.bool_)
    last[starts[1:][lengths == env.horizon] - 1] = True
    last &= ~ended
    if not env.last_step_pays:
        rewards[last] = 0.0
    return _Replay(states, following[states, actions].astype(np.int64), rewards, ended, last & env.last_step_pays)


def _states(env: GridVectorEnv, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """First state [n] with observation `codes` [n, D], in which no goal has been reached; -1 for none."""
    seen = (codes[:, None] == env.tables.codes[env.rows[0]]).all(axis=-1)
    states: NDArray[np.int64] = np.where(seen.any(axis=1), seen.argmax(axis=1), -1)
    return states


def _with_key(
    first: NDArray[np.int64], replay: _Replay, starts: NDArray[np.int64], experiment: GridExperiment
) -> NDArray[np.int64]:
    """First states [E] where the key stays taken from the first episode on that held it before its last action."""
    cells = experiment.width * experiment.height
    held = replay.states[starts[1:] - 1] >= cells
    since = int(held.argmax()) if held.any() else len(held)
    return first + cells * (np.arange(len(first)) > since)


def _check_way(
    path: Path, codes: dict[str, NDArray[np.uint8]], replay: _Replay, env: GridVectorEnv, starts: NDArray[np.int64]
) -> None:
    """Raise `RadtError` unless the actions lead where the file says, and episodes end where they end in the world.

    The observation after the last step of an episode may be its last or the first of the next; it is not stored.
    """
    seen, last = env.tables.codes[env.rows[0]], np.zeros(starts[-1], np.bool_)
    last[starts[1:] - 1] = True
    wrong = (codes["observations"] != seen[replay.states]).any(axis=1)
    wrong |= (codes["next_observations"] != seen[replay.following]).any(axis=1) & ~last
    if wrong.any():
        raise RadtError(
            f"{path} is not where its actions lead, at {_place(wrong.argmax(), starts)}: it belongs to another task or world"
        )
    due = replay.ends.copy()
    due[starts[1:][np.diff(starts) == env.horizon] - 1] = True
    if (wrong := due != last).any():
        place = wrong.argmax()
        length = int(np.diff(starts)[np.searchsorted(starts, place, "right") - 1])
        raise RadtError(
            f"{path} has an episode of {length} steps, but the horizon is {env.horizon} and only the last goal of a maze ends"
            " one: it belongs to another task or world"
        )


def _unpaid(rewards: Array, replay: _Replay) -> int | None:
    """First step whose reward is not the world's; None for none. At a time limit any reward is accepted (see `convert`)."""
    wrong = (np.abs(rewards - replay.rewards) > ROUNDING) & ~replay.cut_off
    return int(wrong.argmax()) if wrong.any() else None


def _place(step: int | np.integer[Any], starts: NDArray[np.int64]) -> str:
    """Episode and step of a row of the file, in words."""
    episode = int(np.searchsorted(starts, step, "right")) - 1
    return f"step {step - starts[episode]} of episode {episode}"
