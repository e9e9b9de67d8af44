"""Gymnasium's CartPole and Pendulum with hidden constants that differ between tasks."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.pendulum import PendulumEnv


class CartPole(CartPoleEnv):
    """A pole on a cart. A negative `force` swaps the actions."""

    def __init__(self, gravity: float = 9.8, length: float = 0.5, force: float = 10.0):
        """`length` is half the length of the pole, as in Gymnasium."""
        super().__init__()
        self.gravity, self.length, self.force_mag = gravity, length, force
        self.polemass_length = self.masspole * length


class Pendulum(PendulumEnv):
    """A pendulum. `sign` -1 inverts the torque."""

    def __init__(self, gravity: float = 10.0, sign: int = 1):
        super().__init__(g=gravity)
        self.sign = sign

    def step(self, u: Any) -> Any:
        """See Gymnasium's."""
        return super().step(self.sign * np.asarray(u))  # type: ignore[no-untyped-call]


for _name, _kind in {"CartPole": CartPole, "Pendulum": Pendulum}.items():
    gymnasium.register(id=f"radt/{_name}-v0", entry_point=f"{__name__}:{_kind.__name__}")
