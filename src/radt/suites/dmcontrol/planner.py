"""An expert for any task of DMControl: it plans with the simulator itself (model predictive path integral control, MPPI).

Before an action it tries sequences of actions from the present state, weights them by what they were paid, and does the first
action of their mean (Williams et al., 2017, arXiv 1509.01149). The next plan begins with what is left of this mean. Sequences are
piecewise constant, which explores further than noise that is new in every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.errors import RadtError
from radt.suites.dmcontrol.environment import Robot

Array = NDArray[np.float64]
SAMPLES, KNOTS, HOLD = 24, 20, 5
"""Sequences that are tried, their actions, and the steps of the simulator for which each of these is held."""
SPREAD, TEMPERATURE = 0.5, 0.05
"""Standard deviation of actions around the mean, and by what share of the range better sequences count more."""


class Planner:
    """See `radt.suites.searching.Body`: the expert plans, the goal is what the task pays for."""

    reach = 0.0

    def __init__(self, robot: Robot, random: np.random.Generator):
        self.robot, self.goal = robot, np.zeros(0)
        self.random = random
        self.dimensions = len(robot.low)
        self.mean = np.zeros((KNOTS, self.dimensions))
        self.planned = -1

    def places(self, count: int, random: np.random.Generator) -> Array:
        """There are none: raises `RadtError`."""
        raise RadtError(f"trajectories.source is 'search', which {self.robot.name} does not have: set it to expert, sac or ppo")

    def place(self) -> Array:
        """Nowhere."""
        return self.goal

    def reset(self, seed: int | None) -> Any:
        """See `Body`."""
        self.planned = -1
        if seed is not None:
            self.random = np.random.default_rng(seed)
        return self.robot.reset(seed=seed)[0]

    def step(self, action: Array) -> tuple[Any, float, bool]:
        """See `Body`."""
        seen, reward, _, _, _ = self.robot.step(action)
        return seen, reward, False

    def towards(self, goal: Array) -> Array:
        """The action [A] of a plan that is made once for each step."""
        if self.planned != self.robot.time:
            self._plan()
            self.planned = self.robot.time
        action = np.zeros(self.robot.action_space.shape or (0,))
        action[: self.dimensions] = self.mean[0]
        return action

    def _plan(self) -> None:
        """Improve the mean of the last plan, moved on by the steps that have passed since."""
        repeat = self.robot.experiment.action_repeat
        time = (np.arange(KNOTS) * HOLD + repeat) / HOLD  # knots of the last plan at which those of this one stand
        left = np.clip(time, 0, KNOTS - 1).astype(np.int64)
        mean = self.mean[left] if self.robot.time else np.zeros_like(self.mean)  # each episode begins anew
        noise = self.random.normal(size=(SAMPLES, KNOTS, self.dimensions)) * SPREAD
        noise[0] = 0.0
        tried = np.clip(mean + noise, -1.0, 1.0)
        paid = self._paid(tried)
        spread = paid.max() - paid.min()
        weight = np.exp((paid - paid.max()) / (TEMPERATURE * spread)) if spread > 0 else np.ones(SAMPLES)
        self.mean = np.einsum("s,skd->kd", weight / weight.sum(), tried)

    def _paid(self, tried: Array) -> Array:
        """What sequences of actions [S, K, A] from the present state are paid at the end of each action, summed [S].

        The present state is put back.
        """
        import mujoco
        from dm_control.rl.control import PhysicsError

        robot, physics = self.robot, self.robot.physics
        model, data, kind = physics.model.ptr, physics.data.ptr, mujoco.mjtState.mjSTATE_INTEGRATION
        kept = np.empty(mujoco.mj_stateSize(model, kind))
        mujoco.mj_getState(model, data, kept, kind)
        paid = np.zeros(len(tried))
        for number, sequence in enumerate(tried):
            mujoco.mj_setState(model, data, kept, kind)
            physics.forward()  # what follows from the state, which a step of the package begins with
            try:
                for control in robot.low + (sequence + 1.0) / 2.0 * (robot.high - robot.low):
                    robot.task.before_step(control, physics)
                    physics.step(robot.substeps * HOLD)
                    paid[number] += robot.task.get_reward(physics)
            except PhysicsError:
                paid[number] = 0.0  # a sequence that is not stable is worth nothing
        mujoco.mj_setState(model, data, kept, kind)
        physics.forward()
        return paid
