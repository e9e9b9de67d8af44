"""What is seen, done and paid in an environment that a user has registered with Gymnasium."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from radt.errors import RadtError
from radt.spaces import CODES, Codes, Image, Numbers, Scaled, Spec
from radt.suites.gymnasium.settings import GymnasiumExperiment

Env = gymnasium.Env[Any, Any]


def spec_of(experiment: GymnasiumExperiment) -> Spec:
    """From the spaces of the environment of the first task."""
    env = make(experiment, 0)
    seen, done = env.observation_space, env.action_space
    env.close()  # type: ignore[no-untyped-call]
    rewards = Scaled(scale=experiment.reward_scale)
    actions = _actions(done, experiment)
    return Spec(observation=_observation(seen, experiment), rewards=rewards, horizon=experiment.horizon, **actions)


def make(experiment: GymnasiumExperiment, task: int) -> Env:
    """The environment of a task; raises `RadtError` when Gymnasium cannot make it."""
    name, horizon = experiment.environment, experiment.horizon
    try:
        return gymnasium.make(name, max_episode_steps=horizon, disable_env_checker=True, **{experiment.argument: task})
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
