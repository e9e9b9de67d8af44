"""Learning histories made as the published ones were: PPO of Stable-Baselines3 on every training task alone (paper, Section 4).

The library is the extra `ppo`. Every transition that the learner makes is kept, in order. Rewards are those of the world: they
are written down before the library adds, at a time limit, what it expects to come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from radt.artifacts import read_json, tensor_parts, write_bytes, write_json
from radt.data.trajectories import ExperimentSpec, Shard, read_shard, tensors
from radt.errors import RadtError
from radt.seeding import generator
from radt.settings.sources import Ppo
from radt.suites.grid import worlds
from radt.suites.grid.engine import GridVectorEnv
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.spec import spec_of
from radt.suites.grid.splits import tasks_of

AGAIN = "delete it and run the ppo stage again"


class Recorder(gymnasium.Env[NDArray[np.float32], np.int64]):
    """One task as an environment that writes down its first `steps` transitions.

    Observations are float32 [D], those of the world as they are, as published. The end of an episode is told as the published
    engines tell it: in a room, whose last step never pays, as an end like any other (terminated); in a maze as a time limit
    (truncated).
    """

    def __init__(self, batch: GridVectorEnv, steps: int):
        """`batch` holds one task."""
        space = batch.single_observation_space
        self._batch = batch
        self.observation_space = spaces.Box(space.low.astype(np.float32), space.high.astype(np.float32))
        self.action_space = batch.single_action_space
        self.observations = np.zeros((steps, batch.tables.codes.shape[-1]), np.uint8)
        self.actions, self.rewards = np.zeros(steps, np.uint8), np.zeros(steps, np.float32)
        self.ends: list[int] = []
        self.recorded = 0

    @property
    def full(self) -> bool:
        """Whether all transitions that were asked for are there."""
        return self.recorded == len(self.actions)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a new episode."""
        super().reset(seed=seed, options=options)
        return self._batch.reset()[0][0].astype(np.float32), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Move and write the transition down; the observation of the last step is that of the ended episode."""
        before = self._batch.codes[0]
        observations, rewards, terminated, truncated, infos = self._batch.step(np.array([action], np.int64))
        ended = bool(terminated[0] | truncated[0])
        if not self.full:
            row = self.recorded
            self.observations[row], self.actions[row], self.rewards[row] = before, action, rewards[0]
            self.recorded += 1
            self.ends += [self.recorded] * ended
        limit = bool(truncated[0]) and self._batch.last_step_pays
        seen = infos.get("final_obs", observations)[0].astype(np.float32)
        return seen, float(rewards[0]), ended and not limit, limit, {}

    def history(self, task: int) -> Shard:
        """All finished episodes; raises `RadtError` when there are none."""
        if not self.ends:
            raise RadtError(
                f"trajectories.ppo.steps is {len(self.actions)}, in which task {task} finishes no episode: allowed are at least"
                f" the {self._batch.horizon} steps of one"
            )
        steps = self.ends[-1]
        return Shard(
            self.observations[:steps],
            self.actions[:steps, None],
            self.rewards[:steps],
            np.array([0, *self.ends], np.int64),
            np.full(len(self.ends), task, np.int32),
            np.zeros(len(self.ends), np.int32),
        )


def learn_task(experiment: GridExperiment, settings: Ppo, task: int) -> Shard:
    """Learning history of one training task, `settings.steps` steps less an unfinished episode; seeded by (seed, task).

    Raises `RadtError` when the task is not one of the training tasks or the extra is missing. Seeds torch's, NumPy's and Python's
    global generators, as the library does, and computes with one thread.
    """
    splits = experiment.splits
    if not (0 <= task < len(splits) and splits[task] == "train"):
        raise RadtError(f"task {task} is not a training task: allowed are {tasks_of(experiment, 'train').tolist()}")
    recorder = Recorder(worlds.make(experiment, np.array([task])), settings.steps)
    _train(recorder, settings, int(generator(settings.seed, "ppo", task).integers(2**31)))
    return recorder.history(task)


def _train(recorder: Recorder, settings: Ppo, seed: int) -> None:
    """Let PPO learn until the recorder is full; what is no setting is the library's default, as published."""
    try:
        from stable_baselines3 import PPO
    except ImportError:
        raise RadtError(
            "trajectories.source is 'ppo', but its extra is not installed: run `make setup-ppo`, or `pip install 'radt[ppo]'`"
        ) from None
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        learner = PPO(
            "MlpPolicy",
            recorder,
            learning_rate=settings.learning_rate,
            n_steps=settings.rollout,
            batch_size=settings.batch_size,
            n_epochs=settings.epochs,
            gamma=settings.discount,
            ent_coef=settings.entropy,
            seed=seed,
            device="cpu",
        )
        learner.learn(settings.steps, callback=lambda _locals, _globals: not recorder.full)
    except (AssertionError, ValueError) as error:  # the library's checks of its settings, and of a policy that is not finite
        reason = next(iter(str(error).strip().splitlines()), "")[:200]
        raise RadtError(
            f"PPO cannot learn with these settings ({reason}): change trajectories.ppo, as to a lower learning_rate or a larger"
            " batch_size"
        ) from None
    finally:
        torch.set_num_threads(threads)


def write(path: Path, experiment: GridExperiment, settings: Ppo, history: Shard) -> None:
    """Write the history of one task to `path` (safetensors, docs/formats.md), and how it was made beside it (`.json`)."""
    parts = tensor_parts(tensors(history, spec_of(experiment)))
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part)
    path.with_suffix(".json").unlink(missing_ok=True)
    write_bytes(path, *parts)
    write_json(path.with_suffix(".json"), {**_origin(experiment, settings), "sha256": hashed.hexdigest()})


def read(folder: Path, experiment: GridExperiment, settings: Ppo) -> Iterator[Shard]:
    """The histories of all training tasks in `folder`, `task0.safetensors` and so on, one at a time.

    Raises `RadtError` when one is missing, damaged, of another task, or was made with other settings.
    """
    origin = _origin(experiment, settings)
    for task in tasks_of(experiment, "train").tolist():
        path = folder / f"task{task}.safetensors"
        manifest = read_json(path.with_suffix(".json"))
        if not isinstance(manifest, dict) or {key: manifest.get(key) for key in origin} != origin:
            raise RadtError(f"{path} was made with other settings of the experiment or of trajectories.ppo: {AGAIN}")
        shard = read_shard(path, str(manifest.get("sha256")), ExperimentSpec(experiment, spec_of(experiment)), AGAIN)
        if (shard.episode_task != task).any():
            raise RadtError(f"{path} holds another task: {AGAIN}")
        yield shard


def _origin(experiment: GridExperiment, settings: Ppo) -> dict[str, Any]:
    """What the manifest of a task says about its making."""
    return {"room": experiment.model_dump(mode="json"), "settings": settings.model_dump(mode="json")}
