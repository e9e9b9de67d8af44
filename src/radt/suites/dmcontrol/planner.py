"""An expert for any task of DMControl: it plans with the simulator itself (model predictive path integral control, MPPI).

Before an action it simulates action sequences from the present state, weights them by their returns, and takes the first action
of their mean (Williams et al., 2017, arXiv 1509.01149). The next plan starts from the rest of this mean. Sequences are piecewise
constant, which explores farther than new noise in every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.errors import RadtError
from radt.suites.dmcontrol.environment import Robot

Array = NDArray[np.float64]
SAMPLES, KNOTS, HOLD = 24, 20, 5
"""Number of sequences, of their actions, and of the simulator steps for which each action is held."""
SPREAD, TEMPERATURE = 0.5, 0.05
"""Standard deviation of actions around the mean. Temperature of the weights, as a share of the range of returns."""


class Planner:
    """See `radt.suites.searching.Body`. The expert plans for the rewards of the task; there is no goal position."""

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
        """Empty: there is no goal position."""
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
        """The first action [A] of the plan, which is made once in each step. `goal` is ignored."""
        if self.planned != self.robot.time:
            self._plan()
            self.planned = self.robot.time
        action = np.zeros(self.robot.action_space.shape or (0,))
        action[: self.dimensions] = self.mean[0]
        return action

    def _plan(self) -> None:
        """Improve the mean of the last plan, shifted by the simulator steps since then."""
        repeat = self.robot.experiment.action_repeat
        time = (np.arange(KNOTS) * HOLD + repeat) / HOLD  # of the new knots, in knots of the last plan
        left = np.clip(time, 0, KNOTS - 1).astype(np.int64)
        mean = self.mean[left] if self.robot.time else np.zeros_like(self.mean)  # no plan is kept from the episode before
        noise = self.random.normal(size=(SAMPLES, KNOTS, self.dimensions)) * SPREAD
        noise[0] = 0.0
        tried = np.clip(mean + noise, -1.0, 1.0)
        paid = self._paid(tried)
        spread = paid.max() - paid.min()
        weight = np.exp((paid - paid.max()) / (TEMPERATURE * spread)) if spread > 0 else np.ones(SAMPLES)
        self.mean = np.einsum("s,skd->kd", weight / weight.sum(), tried)

    def _paid(self, tried: Array) -> Array:
        """Returns [S] of action sequences [S, K, A] from the present state: rewards at the end of each held action, summed.

        The present state is restored.
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
            physics.forward()  # computes what follows from the state, as a step of the package expects
            try:
                for control in robot.low + (sequence + 1.0) / 2.0 * (robot.high - robot.low):
                    robot.task.before_step(control, physics)
                    physics.step(robot.substeps * HOLD)
                    paid[number] += robot.task.get_reward(physics)
            except PhysicsError:
                paid[number] = 0.0  # an unstable sequence has a return of 0
        mujoco.mj_setState(model, data, kept, kind)
        physics.forward()
        return paid
