"""Environments that a user has registered with Gymnasium, as a suite (`radt.suites.base.Suite`)."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from radt.data.trajectories import Task
from radt.errors import RadtError
from radt.settings.experiments import GymnasiumExperiment
from radt.spaces import CODES, Codes, Image, Numbers, Scaled, Spec

Env = gymnasium.Env[Any, Any]


class GymnasiumSuite:
    """Tasks of one environment, whose number is an argument of it."""

    def __init__(self, experiment: GymnasiumExperiment):
        self.experiment = experiment

    @cached_property
    def spec(self) -> Spec:
        """See `Described`: from the spaces of the environment."""
        env, experiment = self._env(0), self.experiment
        seen, done = env.observation_space, env.action_space
        env.close()  # type: ignore[no-untyped-call]
        rewards = Scaled(scale=experiment.reward_scale)
        actions = _actions(done, experiment)
        return Spec(observation=_observation(seen, experiment), rewards=rewards, horizon=experiment.horizon, **actions)

    def tasks(self) -> list[Task]:
        """See `Described`; no returns are known."""
        return [
            Task(number, split, {self.experiment.argument: number}, {}) for number, split in enumerate(self.experiment.splits)
        ]

    def make(self, tasks: NDArray[np.int64]) -> SyncVectorEnv:
        """See `Suite`."""
        made = [partial(self._env, task) for task in tasks.tolist()]
        return SyncVectorEnv(made, autoreset_mode=AutoresetMode.SAME_STEP)

    def seen(self, env: SyncVectorEnv, observations: NDArray[Any]) -> NDArray[Any]:
        """See `Suite`."""
        rows = observations.reshape(env.num_envs, *self.spec.observation.shape)
        return rows.astype(self.spec.dtypes["observations"], copy=False)

    def done(self, codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """See `Suite`."""
        values = self.spec.values(codes)
        return values if self.spec.continuous or len(self.spec.actions) > 1 else values[:, 0]

    def _env(self, task: int) -> Env:
        """The environment of a task; raises `RadtError` when Gymnasium cannot make it."""
        name, horizon = self.experiment.environment, self.experiment.horizon
        try:
            return gymnasium.make(name, max_episode_steps=horizon, disable_env_checker=True, **{self.experiment.argument: task})
        except ModuleNotFoundError as error:
            module = (error.name or name).partition(":")[0].partition(".")[0]
            raise RadtError(f"the environment {name!r} needs {module}, which is not installed: pip install {module}") from None
        except Exception as error:
            reason = next(iter(str(error).strip().splitlines()), "")[:200] or type(error).__name__
            raise RadtError(f"Gymnasium cannot make the environment {name!r} ({reason}): check its id and arguments") from None


def _observation(space: spaces.Space[Any], experiment: GymnasiumExperiment) -> Codes | Numbers | Image:
    """What is seen; raises `RadtError` for a space that is neither numbers, codes nor an image."""
    if isinstance(space, spaces.Discrete) and space.start == 0 and space.n <= CODES:
        return Codes(sizes=(int(space.n),))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1 and not space.start.any() and space.nvec.max() <= CODES:
        return Codes(sizes=tuple(space.nvec.tolist()))
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3:
        return Image(height=space.shape[0], width=space.shape[1], channels=space.shape[2])
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return Numbers(size=space.shape[0])
    allowed = f"Discrete and MultiDiscrete up to {CODES} from 0 on, Box of one dimension, and images"
    raise RadtError(f"{experiment.environment} shows {space}: allowed are {allowed}")


def _actions(space: spaces.Space[Any], experiment: GymnasiumExperiment) -> dict[str, Any]:
    """`actions`, `low` and `high` of the spec; raises `RadtError` for a space that has no codes."""
    if isinstance(space, spaces.Discrete) and space.start == 0 and 2 <= space.n < CODES:
        return {"actions": (int(space.n),)}
    sizes = space.nvec if isinstance(space, spaces.MultiDiscrete) and not space.start.any() else np.zeros(0)
    if sizes.ndim == 1 and len(sizes) and sizes.min() >= 2 and sizes.max() < CODES:
        return {"actions": tuple(sizes.tolist())}
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and np.isfinite([space.low, space.high]).all():
        bounds = {name: tuple(np.asarray(getattr(space, name), np.float64).tolist()) for name in ("low", "high")}
        return {"actions": (experiment.action_codes,) * space.shape[0], **bounds}
    allowed = f"Discrete and MultiDiscrete below {CODES} from 0 on, and Box of one dimension with limits"
    raise RadtError(f"{experiment.environment} takes actions {space}: allowed are {allowed}")
