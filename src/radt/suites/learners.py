"""Learning histories of Stable-Baselines3: PPO, SAC or DQN learns each training task in its own job; all transitions are kept.

The library is the extra `rl`. Rewards are those of the environment: they are recorded before the library adds the expected future
return at a time limit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from radt.artifacts import read_json, tensor_parts, write_bytes, write_json
from radt.data.trajectories import Described, Shard, read_shard, tensors
from radt.errors import RadtError, said
from radt.seeding import generator
from radt.settings.sources import ALGORITHMS, Dqn, Expert, Ppo, Sac, Search
from radt.settings.sources import Trajectories as Settings

AGAIN = "delete it and run the rl stage again"


def of(settings: Settings) -> Ppo | Sac | Dqn:
    """The settings of the library's learner; raises `RadtError` for any other source."""
    if settings.learner is None or isinstance(settings.learner, Search | Expert):
        allowed = ", ".join(ALGORITHMS)
        raise RadtError(f"trajectories.source is {settings.source!r}, which does not learn here: allowed are {allowed}")
    return settings.learner


def fit(settings: Settings, env: gymnasium.Env[Any, Any], task: int, done: Callable[[], bool]) -> Any:
    """Train the learner on a task until `done()` is true; returns it. Other hyperparameters are the library's defaults.

    Seeded by (seed, task). The library seeds the global generators of torch, NumPy and Python. Runs on one thread.
    Raises `RadtError` when the extra is missing, or the library refuses settings or spaces.
    """
    learner, name = of(settings), settings.source.upper()
    try:
        import stable_baselines3 as library
    except ImportError:
        raise RadtError(
            f"trajectories.source is {settings.source!r}, but its extra is not installed: run `make setup-rl`, or"
            " `pip install 'radt[rl]'`"
        ) from None
    if settings.source == "sac" and not isinstance(env.action_space, gymnasium.spaces.Box):
        raise RadtError(f"SAC needs continuous actions, not {env.action_space}: set trajectories.source to ppo or dqn")
    if settings.source == "dqn" and not isinstance(env.action_space, gymnasium.spaces.Discrete):
        raise RadtError(f"DQN needs one action of codes, not {env.action_space}: set trajectories.source to ppo")
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seed = int(generator(learner.seed, settings.source, task).integers(2**31))
        image = env.observation_space.dtype == np.uint8 and len(env.observation_space.shape or ()) == 3
        policy = "CnnPolicy" if image else "MlpPolicy"
        model = getattr(library, name)(policy, env, seed=seed, device="cpu", **_keywords(learner))
        model.learn(learner.steps, callback=lambda _locals, _globals: not done())
    except (AssertionError, ValueError) as error:  # the library's checks of its settings, and of a policy that is not finite
        raise RadtError(
            f"{name} cannot learn with these settings ({said(error)}): change trajectories.{settings.source}, as to a lower"
            " learning_rate or a larger batch_size"
        ) from None
    finally:
        torch.set_num_threads(threads)
    return model


def _keywords(learner: Ppo | Sac | Dqn) -> dict[str, Any]:
    """The settings of a learner as keywords of the library."""
    common = {"learning_rate": learner.learning_rate, "batch_size": learner.batch_size, "gamma": learner.discount}
    if isinstance(learner, Ppo):
        return {**common, "n_steps": learner.rollout, "n_epochs": learner.epochs, "ent_coef": learner.entropy}
    replayed = {
        **common,
        "buffer_size": learner.steps,
        "learning_starts": learner.begin,
        "train_freq": learner.train_every,
        "gradient_steps": learner.train_every,
        "policy_kwargs": {"net_arch": [learner.width, learner.width]},
    }
    if isinstance(learner, Sac):
        return replayed
    exploring = {"exploration_fraction": learner.explore, "exploration_final_eps": learner.epsilon_last}
    return {**replayed, **exploring, "target_update_interval": learner.target_every}


def write(path: Path, suite: Described, settings: Settings, history: Shard) -> None:
    """Write the history of one task to `path` (safetensors, docs/formats.md), and its settings and sha256 beside it (`.json`)."""
    parts = tensor_parts(tensors(history, suite.spec))
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part)
    path.with_suffix(".json").unlink(missing_ok=True)
    write_bytes(path, *parts)
    write_json(path.with_suffix(".json"), {**_origin(suite, settings), "sha256": hashed.hexdigest()})


def read(folder: Path | None, suite: Described, settings: Settings) -> Iterator[Shard]:
    """The histories of all training tasks in `folder`, `task0.safetensors` and so on, one at a time.

    Raises `RadtError` when the folder or a task is missing, damaged, of another task, or was made with other settings.
    """
    if folder is None:
        raise RadtError(
            f"trajectories.source is {settings.source!r}, but --histories is not given: name the folder that the rl stage wrote"
        )
    origin = _origin(suite, settings)
    for task in [number for number, split in enumerate(suite.experiment.splits) if split == "train"]:
        path = folder / f"task{task}.safetensors"
        manifest = read_json(path.with_suffix(".json"))
        if not isinstance(manifest, dict) or {key: manifest.get(key) for key in origin} != origin:
            raise RadtError(
                f"{path} was made with other settings of the experiment or of trajectories.{settings.source}: {AGAIN}"
            )
        shard = read_shard(path, str(manifest.get("sha256")), suite, AGAIN)
        if (shard.episode_task != task).any():
            raise RadtError(f"{path} holds another task: {AGAIN}")
        yield shard


def _origin(suite: Described, settings: Settings) -> dict[str, Any]:
    """Experiment and settings for the manifest of a task."""
    learner = {"algorithm": settings.source, **_chosen(settings)}
    return {"experiment": suite.experiment.model_dump(mode="json"), "settings": learner}


def told(settings: Settings) -> dict[str, Any]:
    """The `source` of the histories for the manifest."""
    return {"name": settings.source, "algorithm": settings.source, **_chosen(settings)}


def _chosen(settings: Settings) -> dict[str, Any]:
    """The settings of the source's learner, as plain values."""
    return settings.learner.model_dump(mode="json") if settings.learner else {}
