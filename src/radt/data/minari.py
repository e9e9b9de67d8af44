"""Learning histories from and to data sets of Minari, one episode at a time. The library is the extra `rl`.

A data set that radt wrote holds all tasks: the options of an episode name its task and its history. Any other data set holds one
task. radt does not store the observation after the last step, so an exported episode repeats its last observation.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from radt.data import trajectories
from radt.data.npz import shard_of
from radt.data.trajectories import Described, Shard, join
from radt.errors import RadtError, said
from radt.spaces import Codes, Image, Numbers, Spec

Array = NDArray[Any]
EXPERIMENT = "radt_experiment"
"""Key of the metadata of a data set that radt wrote."""
Look = Callable[[spaces.Space[Any]], Callable[[Any], Array] | None]
"""From the observation space of a data set to a function from one observation to the agent's; None: the spaces do not fit."""


def export(directory: Path, name: str, suite: Described) -> Path:
    """Write the learning histories of a directory as the data set `name`, in one step; returns its folder.

    Raises `RadtError` when a data set of that name exists, or the extra is missing.
    """
    library, storage = _library()
    data, folder = trajectories.read(directory, suite), Path(library.storage.get_dataset_path(name))
    if folder.exists():
        raise RadtError(f"there is a data set {name} in {folder}: choose another name, or delete it")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "data").mkdir(parents=True)
    try:
        seen, done = space_of(suite.spec), actions_of(suite.spec)
        written = storage.new(partial / "data", seen, done, jpeg_encoding=False)
        written.update_episodes(_buffers(data.shards, suite.spec))
        told = f"learning histories of {data.manifest['experiment']}, written by radt {data.manifest['radt']}"
        own = {"dataset_id": name, "minari_version": library.__version__, "description": told, EXPERIMENT: _experiment(suite)}
        written.update_metadata(own)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _experiment(suite: Described) -> str:
    """The experiment as JSON, stored in a data set so that it is not read for another experiment."""
    return json.dumps(suite.experiment.model_dump(mode="json"), sort_keys=True)


def space_of(spec: Spec) -> spaces.Space[Any]:
    """The observation space of a spec."""
    observation = spec.observation
    if isinstance(observation, Numbers):
        return spaces.Box(-np.inf, np.inf, observation.shape, np.float32)
    if isinstance(observation, Codes):
        return spaces.MultiDiscrete(np.array(observation.sizes))
    return spaces.Box(0, 255, observation.shape, np.uint8)


def actions_of(spec: Spec) -> spaces.Space[Any]:
    """The action space of a spec."""
    if spec.low is not None and spec.high is not None:
        return spaces.Box(np.array(spec.low, np.float32), np.array(spec.high, np.float32))
    return spaces.Discrete(spec.actions[0]) if len(spec.actions) == 1 else spaces.MultiDiscrete(np.array(spec.actions))


def _buffers(shards: list[Shard], spec: Spec) -> Iterator[Any]:
    """Every episode as an `EpisodeBuffer` of Minari."""
    from minari.data_collector import EpisodeBuffer

    flat = not spec.continuous and len(spec.actions) == 1
    for shard in shards:
        for episode, (first, stop) in enumerate(zip(shard.episode_start, shard.episode_start[1:], strict=False)):
            steps = slice(int(first), int(stop))
            ended = np.zeros(stop - first, np.bool_)
            ended[-1] = True
            terminated = ended & (shard.terminated is not None and bool(shard.terminated[episode]))
            place = {"task": int(shard.episode_task[episode]), "history": int(shard.episode_history[episode])}
            known = {"terminated_known": shard.terminated is not None}
            actions, seen = shard.actions[steps], shard.observations[steps]
            labels = None if shard.labels is None else {"label": np.concatenate([shard.labels[steps], shard.labels[steps][-1:]])}
            yield EpisodeBuffer(
                options={**place, **known},
                observations=np.concatenate([seen, seen[-1:]]),
                actions=actions[:, 0] if flat else actions,
                rewards=shard.rewards[steps],
                terminations=terminated,
                truncations=ended & ~terminated,
                infos=labels,
            )


def read(names: list[str], suite: Described, look: Look | None = None) -> Iterator[Shard]:
    """The learning histories of data sets, one task at a time, in the order of their episodes.

    Args:
        names: one data set for each training task, or one that radt wrote, with all tasks.
        suite: the experiment and its spec.
        look: for a data set with larger observations than the agent's.

    Raises `RadtError` when a data set is missing or damaged, has other spaces, or does not say how an episode ended.
    """
    tasks = [task for task, split in enumerate(suite.experiment.splits) if split == "train"]
    if len(names) > 1 and len(names) != len(tasks):
        raise RadtError(
            f"trajectories.minari names {len(names)} data sets, allowed is one for each of the {len(tasks)} training tasks, or"
            " one that `radt export` wrote"
        )
    for place, name in enumerate(names):
        yield from _tasks_of(name, tasks[place] if len(names) > 1 or len(tasks) == 1 else None, suite, look)


def _tasks_of(name: str, task: int | None, suite: Described, look: Look | None) -> Iterator[Shard]:
    """The histories of a data set, all of one `task`; None: of the tasks that its episodes name."""
    library, _ = _library()
    if not Path(library.storage.get_dataset_path(name)).is_dir():
        raise RadtError(
            f"the data set {name} is not on this machine: run `minari download {name}`, or set MINARI_DATASETS_PATH to its folder"
        )
    try:
        dataset = library.load_dataset(name)
        count, storage = int(dataset.total_episodes), dataset.storage
        seen, done = dataset.observation_space, dataset.action_space
        experiment = storage.metadata.get(EXPERIMENT)
    except Exception as error:  # errors of damaged folders have no common class
        raise RadtError(f"the data set {name} cannot be read ({said(error)}): download it again") from None
    if experiment not in (None, _experiment(suite)):
        raise RadtError(f"the data set {name} was written for the experiment {experiment}: name another one")
    shown = _fitting(name, seen, done, suite.spec, look)
    for _, group in groupby(_episodes(name, storage, count, task), key=lambda episode: episode.task):
        yield join([_shard(name, episode, shown, suite) for episode in group])


@dataclass(frozen=True)
class Episode:
    """An episode of a data set."""

    task: int
    history: int
    terminated_known: bool
    """Whether its source said if it was terminated or truncated."""
    columns: dict[str, Any]


def _episodes(name: str, storage: Any, count: int, task: int | None) -> Iterator[Episode]:
    """Every episode; raises `RadtError` when one is missing."""
    both = zip(storage.get_episode_metadata(range(count)), storage.get_episodes(range(count)), strict=True)
    for number in range(count):
        try:
            told, columns = next(both)
        except Exception as error:  # a missing key, or any error of HDF5
            raise RadtError(f"the data set {name} has no whole episode {number} ({said(error)}): download it again") from None
        options = told.get("options", {})
        if task is None and "terminated_known" not in options:
            raise RadtError(f"the data set {name} does not say which task its episodes are of: name one data set for each task")
        ours = "terminated_known" in options
        if ours and task is not None and int(options["task"]) != task:
            raise RadtError(f"episode {number} of the data set {name} is of task {options['task']}, not {task}: mend the order")
        own = int(options["task"]) if task is None else task
        yield Episode(own, int(options["history"]) if ours else 0, not ours or bool(options["terminated_known"]), columns)


def _shard(name: str, given: Episode, shown: Callable[[Any], Array], suite: Described) -> Shard:
    """One episode as a shard; raises `RadtError` when its columns do not fit each other, or it does not end."""
    episode = given.columns
    rewards = np.asarray(episode["rewards"])
    origin = f"episode {episode['id']} of the data set {name}"
    steps = len(rewards)
    terminated, truncated = (np.asarray(episode[key]).astype(bool) for key in ("terminations", "truncations"))
    if not steps or len(terminated) != steps or not (terminated[-1] or truncated[-1]):
        raise RadtError(f"{origin} does not say how it ended: its last step must be terminated or truncated")
    if (terminated | truncated)[:-1].any():
        raise RadtError(f"{origin} goes on after its end: mend it")
    columns = {
        "observations": shown(episode["observations"])[:steps],
        "actions": np.asarray(episode["actions"]),
        "rewards": rewards,
        "terminated": terminated,
        "truncated": truncated,
        "history": np.full(steps, given.history),
    }
    infos = episode.get("infos") or {}
    labels = {"labels": np.asarray(infos["label"])[:steps]} if "label" in infos else {}
    shard = shard_of({**columns, **labels}, given.task, suite, origin)
    return shard if given.terminated_known else replace(shard, terminated=None)


def _fitting(
    name: str, seen: spaces.Space[Any], done: spaces.Space[Any], spec: Spec, look: Look | None
) -> Callable[[Any], Array]:
    """A function to the agent's observations [T + 1, *shape]; raises `RadtError` for spaces that do not fit the spec."""
    allowed = actions_of(spec)
    if not _same_actions(done, allowed):
        raise RadtError(f"the data set {name} has actions {done}, but the environment takes {allowed}: name another one")
    if _same_numbers(seen, spec.observation):
        return np.asarray
    if one := look and look(seen):
        return lambda observations: np.stack([one(row) for row in _rows(observations)])
    raise RadtError(f"the data set {name} shows {seen}, but the environment {space_of(spec)}: name another one")


def _same_actions(done: spaces.Space[Any], allowed: spaces.Space[Any]) -> bool:
    """Whether two spaces have the same actions; limits may be rounded."""
    if isinstance(done, spaces.Box) and isinstance(allowed, spaces.Box):
        return done.shape == allowed.shape and np.allclose(done.low, allowed.low) and np.allclose(done.high, allowed.high)
    return done == allowed


def _same_numbers(seen: spaces.Space[Any], observation: Codes | Numbers | Image) -> bool:
    """Whether a space is the observation space of an agent."""
    if isinstance(observation, Codes):
        sizes = [seen.n] if isinstance(seen, spaces.Discrete) else getattr(seen, "nvec", np.zeros(0)).tolist()
        return sizes == list(observation.sizes)
    kind = np.uint8 if isinstance(observation, Image) else None
    return isinstance(seen, spaces.Box) and seen.shape == observation.shape and (seen.dtype == np.uint8) == (kind is not None)


def _rows(observations: Any) -> Iterator[Any]:
    """Single observations of an array or of a dictionary of arrays."""
    if isinstance(observations, dict):
        for number in range(len(next(iter(observations.values())))):
            yield {key: values[number] for key, values in observations.items()}
    else:
        yield from observations


def _library() -> tuple[Any, Any]:
    """Minari and its storage; raises `RadtError` when the extra is missing."""
    try:
        import minari
        from minari.dataset.minari_storage import MinariStorage
    except ImportError:
        raise RadtError("Minari is not installed, the extra rl: run `make setup-rl`, or `pip install 'radt[rl]'`") from None
    import minari.storage

    return minari, MinariStorage
