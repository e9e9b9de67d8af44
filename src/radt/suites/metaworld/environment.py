"""A task of Meta-World as an environment of Gymnasium."""

from __future__ import annotations

import os
import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from radt.errors import RadtError
from radt.suites.metaworld.settings import MetaworldExperiment

Array = NDArray[np.float64]
VERSION = "v3"
"""Version of the environments. Their rewards are those of v2, as in the paper."""
SIZE, DIMENSIONS = 39, 4
"""Sizes of an observation, and of an action: direction of the hand, and grip."""
GOAL = slice(36, 39)
"""Indices of the goal in an observation; 0 where it is hidden."""

SHOWN = 0.6
"""Width of a picture as a share of the camera's image."""


class Robot(gymnasium.Env[Array, Array]):
    """A task of the package: positions of objects and goal are the same in all episodes, as in the benchmark's protocol ML1.

    The goal is hidden, the objects are visible. `info["success"]` tells whether a step reached the goal in one of its steps of
    the simulator.
    """

    def __init__(self, experiment: MetaworldExperiment, task: int):
        """Raises `RadtError` when the package is missing or has no task of this name."""
        self.experiment, self.name = experiment, experiment.name_of(task)
        self.env, self.policy = load(self.name)
        self.env.seed(experiment.goal_seed(task))
        self.env.reset()
        self.env._freeze_rand_vec = True
        self.observation_space = spaces.Box(-np.inf, np.inf, (SIZE,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (DIMENSIONS,))
        self.time = 0

    @property
    def goal(self) -> Array:
        """Position of the goal [3], in m."""
        goal: Array = np.array(self.env._target_pos)
        return goal

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed, options=options)
        self.time = 0
        self.last, _ = self.env.reset()
        return self.last.copy(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Act `action_repeat` times; raises `RadtError` when the simulation fails."""
        total, success = 0.0, False
        own = np.clip(np.asarray(action, np.float32), -1.0, 1.0)
        for _ in range(self.experiment.action_repeat):
            self.last, reward, _, _, told = self.env.step(own)
            if unstable(self.env.data):
                raise RadtError(f"the simulation of {self.name} is not stable at step {self.time}: use a lower action_repeat")
            total += float(reward)
            success |= bool(told["success"])
        self.time += 1
        return self.last.copy(), total, False, self.time >= self.experiment.horizon, {"success": success}

    def picture(self, pixels: int) -> NDArray[np.uint8]:
        """Image [pixels, pixels, 3] of the hand and the table by a camera of the package; the goal is the small ball."""
        import mujoco

        whole = round(pixels / SHOWN)
        renderer = mujoco.Renderer(self.env.model, whole, whole)
        try:
            renderer.update_scene(self.env.data, camera="corner3")
            shown: NDArray[np.uint8] = renderer.render()[-pixels:, whole // 5 :][:, :pixels]
        finally:
            renderer.close()
        return shown

    def towards(self, goal: Array) -> Array:
        """The action [4] of the package's expert for this goal, from the last observation."""
        shown = self.last.copy()
        shown[GOAL] = goal
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that actions are clipped
            action: Array = np.clip(np.asarray(self.policy.get_action(shown), np.float64), -1.0, 1.0)
        return action


def unstable(data: Any) -> bool:
    """Whether MuJoCo met a state that is not finite or far too large; it then resets with a warning, without an error."""
    from mujoco import mjtWarning as kind

    return any(data.warning[number].number for number in (kind.mjWARN_BADQPOS, kind.mjWARN_BADQVEL, kind.mjWARN_BADQACC))


def load(name: str) -> tuple[Any, Any]:
    """A task of the package that hides its goal, and its expert; raises `RadtError` when there is none."""
    os.environ.setdefault("MUJOCO_GL", "disable")  # nothing is drawn, so no display is needed
    try:
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS
        from metaworld.policies import ENV_POLICY_MAP
    except ImportError:
        raise RadtError(
            "the suite 'metaworld' needs an extra that is not installed: run `make setup-robots`, or"
            " `pip install 'radt[metaworld]'`"
        ) from None
    full = f"{name}-{VERSION}"
    if full not in ALL_V3_ENVIRONMENTS:
        known = ", ".join(sorted(own.removesuffix(f"-{VERSION}") for own in ALL_V3_ENVIRONMENTS))
        raise RadtError(f"Meta-World has no task {name!r}: allowed are {known}")
    env = ALL_V3_ENVIRONMENTS[full]()
    env._set_task_called = True
    env.seeded_rand_vec, env._freeze_rand_vec = True, False
    return env, ENV_POLICY_MAP[full]()  # type: ignore[abstract]
