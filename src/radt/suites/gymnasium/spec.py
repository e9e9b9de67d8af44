"""Observations, actions and rewards of an environment that a user has registered with Gymnasium."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pydantic import ValidationError

from radt.errors import RadtError
from radt.spaces import CODES, Scaled, Spec
from radt.suites.gymnasium.environment import Env, make, view_of
from radt.suites.gymnasium.settings import GymnasiumExperiment


def spec_of(experiment: GymnasiumExperiment) -> Spec:
    """The spec, from the spaces of the environment of the first task."""
    env = make(experiment, 0)
    try:
        return spec_from(experiment, env)
    finally:
        env.close()  # type: ignore[no-untyped-call]


def spec_from(experiment: Any, env: Env) -> Spec:
    """The spec, from the spaces of one environment; raises `RadtError` for spaces that are not supported."""
    try:
        view, actions = view_of(experiment, env.observation_space), _actions(env.action_space, experiment)
        rewards = Scaled(scale=experiment.reward_scale)
        return Spec(observation=view.observation, rewards=rewards, horizon=experiment.horizon, **actions)
    except ValidationError as error:
        given, reason = f"shows {env.observation_space} and takes {env.action_space}", error.errors()[0]["msg"]
        raise RadtError(f"{experiment.environment} {given}, which has no form here ({reason}): change its spaces") from None


def _actions(space: spaces.Space[Any], experiment: Any) -> dict[str, Any]:
    """`actions`, `low` and `high` of the spec; raises `RadtError` for an unsupported space."""
    if isinstance(space, spaces.Discrete) and space.start == 0 and 2 <= space.n < CODES:
        return {"actions": (int(space.n),)}
    sizes = space.nvec if isinstance(space, spaces.MultiDiscrete) and not space.start.any() else np.zeros(0)
    if sizes.ndim == 1 and len(sizes) and sizes.min() >= 2 and sizes.max() < CODES:
        return {"actions": tuple(sizes.tolist())}
    floating = isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)
    if isinstance(space, spaces.Box) and floating and len(space.shape) == 1 and np.isfinite([space.low, space.high]).all():
        bounds = {name: tuple(np.asarray(getattr(space, name), np.float64).tolist()) for name in ("low", "high")}
        return {"actions": (experiment.action_codes,) * space.shape[0], **bounds}
    allowed = f"Discrete and MultiDiscrete below {CODES} from 0 on, and Box of real numbers, of one dimension, with limits"
    raise RadtError(f"{experiment.environment} takes actions {space}: allowed are {allowed}")
