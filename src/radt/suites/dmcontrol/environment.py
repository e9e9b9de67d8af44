"""A task of DMControl as an environment of Gymnasium."""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from radt.errors import RadtError
from radt.suites.dmcontrol.settings import DmcontrolExperiment

Array = NDArray[np.float64]

SLOTS = {
    "orientations": 14,
    "velocity": 27,
    "position": 8,
    "touch": 5,
    "target_position": 2,
    "dist_to_target": 1,
    "joint_angles": 21,
    "upright": 1,
    "target": 3,
    "head_height": 1,
    "extremities": 12,
    "torso_vertical": 3,
    "com_velocity": 3,
    "arm_pos": 16,
    "arm_vel": 8,
    "hand_pos": 4,
    "object_pos": 4,
    "object_vel": 3,
    "target_pos": 4,
    "orientation": 2,
    "to_target": 2,
    "joints": 14,
    "body_velocities": 45,
    "height": 1,
}
"""Size of each part of the published observation, which all tasks share. Parts that a task does not have are 0."""
DIMENSIONS = 6
"""Dimensions of the published action. Those that a task does not have are ignored."""
PLACES = ("geom_pos", "site_pos", "body_pos")
"""Arrays of a model that can hold the position of a target."""
CAMERAS = {"cartpole": 1}
"""Numbers of cameras that follow the robot, for robots that leave the view of camera 0."""


class Robot(gymnasium.Env[Any, Array]):
    """A task of the package. Its goal comes from one seed, or is new in each episode.

    The simulator is called as in `dm_control.rl.control.Environment.step`, which would also compute an observation after each
    repetition of an action. Actions range from -1 to 1.

    `info["paid"]` of a step is the reward of its last simulator step, at most 1.
    """

    def __init__(self, experiment: DmcontrolExperiment, task: int):
        """Raises `RadtError` when the package is missing or has no task of this name."""
        self.experiment, self.name = experiment, experiment.name_of(task)
        loaded = load(self.name)
        self.task, self.physics = loaded.task, loaded.physics
        self.substeps = round(loaded.control_timestep() / self.physics.timestep())
        bounds, parts = loaded.action_spec(), loaded.observation_spec()
        self.low, self.high = bounds.minimum, bounds.maximum
        larger = [name for name, part in parts.items() if np.prod(part.shape, dtype=int) > SLOTS.get(name, 0)]
        if experiment.union and (larger or len(self.low) > DIMENSIONS):
            reason = f"shows {larger[0]}" if larger else f"takes {len(self.low)} actions"
            raise RadtError(
                f"{self.name} {reason}, which the published observation and action have no room for: set union to false"
            )
        self._restart(experiment.goal_seed(task))
        self.goal = {name: getattr(self.physics.model, name).copy() for name in PLACES}
        self.own_space = spaces.Box(-1.0, 1.0, (len(self.low),))
        self.action_space = spaces.Box(-1.0, 1.0, (DIMENSIONS,)) if experiment.union else self.own_space
        self.observation_space = self._space(parts)
        self.time = 0

    def _space(self, parts: Any) -> spaces.Space[Any]:
        """The published union of all observations, or the parts that the package gives."""
        if self.experiment.union:
            return spaces.Box(-np.inf, np.inf, (sum(SLOTS.values()),), np.float64)
        return spaces.Dict({name: spaces.Box(-np.inf, np.inf, part.shape, np.float64) for name, part in parts.items()})

    def _restart(self, seed: int) -> None:
        """Draw the goal and the first state."""
        self.task.random.seed(seed)
        with self.physics.reset_context():
            self.task.initialize_episode(self.physics)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode with the goal of the task, in the state of `start_seed`, else of the generator of the environment.

        With `new_goals` the generator draws the goal, too.
        """
        super().reset(seed=seed, options=options)
        start = self.experiment.start_seed
        self._restart(int(self.np_random.integers(2**31)) if start is None else start)
        if not self.experiment.new_goals:
            for name, places in self.goal.items():
                getattr(self.physics.model, name)[:] = places
        self.physics.forward()
        self.time = 0
        return self.seen(), {}

    def step(self, action: Array) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act `action_repeat` times."""
        own = np.clip(np.asarray(action, np.float64)[: len(self.low)], -1.0, 1.0)
        control = self.low + (own + 1.0) / 2.0 * (self.high - self.low)
        total, paid, ended = 0.0, 0.0, False
        for _ in range(self.experiment.action_repeat):
            self.task.before_step(control, self.physics)
            self._simulate()
            self.task.after_step(self.physics)
            paid = float(self.task.get_reward(self.physics))
            total += paid
            ended = self.task.get_termination(self.physics) is not None
            if ended:
                break
        self.time += 1
        return self.seen(), total, ended, self.time >= self.experiment.horizon, {"paid": paid}

    def _simulate(self) -> None:
        """One control step of the package; raises `RadtError` when the simulation becomes unstable."""
        from dm_control.rl.control import PhysicsError

        try:
            self.physics.step(self.substeps)
        except PhysicsError:
            raise RadtError(
                f"the simulation of {self.name} is not stable at step {self.time}: use a lower action_repeat"
            ) from None

    def picture(self, pixels: int) -> NDArray[np.uint8]:
        """Image [pixels, pixels, 3] by a camera of the package."""
        camera = CAMERAS.get(self.name.partition("-")[0], 0)
        shown: NDArray[np.uint8] = self.physics.render(pixels, pixels, camera_id=camera)
        return shown

    def seen(self) -> Any:
        """The present observation."""
        parts = self.task.get_observation(self.physics)
        if not self.experiment.union:
            return {name: np.asarray(part, np.float64) for name, part in parts.items()}
        slots = {name: np.zeros(size) for name, size in SLOTS.items()}
        for name, part in parts.items():
            slots[name][: np.size(part)] = np.ravel(part)
        return np.concatenate(list(slots.values()))


def load(name: str) -> Any:
    """A task of the package; raises `RadtError` when it is not installed, or has no task of this name."""
    os.environ.setdefault("MUJOCO_GL", "disable")  # nothing is drawn, so no display is needed
    try:
        from dm_control import suite
    except ImportError:
        raise RadtError(
            "the suite 'dmcontrol' needs an extra that is not installed: run `make setup-robots`, or"
            " `pip install 'radt[dmcontrol]'`"
        ) from None
    domain, _, task = name.partition("-")
    if (domain, task) not in suite.ALL_TASKS:
        known = ", ".join(f"{own}-{other}" for own, other in suite.ALL_TASKS)
        raise RadtError(f"DMControl has no task {name!r}: allowed are {known}")
    return suite.load(domain, task, task_kwargs={"random": 0})
