"""What every suite gives to the stages, whatever its engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Listed

VectorEnv = gymnasium.vector.VectorEnv[Any, Any, Any]


class Suite(Listed, Protocol):
    """The tasks of an experiment, and the environments in which they are played.

    Where its learning histories come from is in `radt.suites.sources`, what DPT learns from in `radt.suites.transitions`.
    """

    def make(self, tasks: NDArray[np.int64]) -> VectorEnv:
        """Environments of `tasks` [n] (ids, none twice) with same-step autoreset; same seed and actions give the same bytes."""

    def environment(self, task: int) -> gymnasium.Env[Any, Any]:
        """The environment of one task."""

    def seen(self, observations: Any) -> NDArray[Any]:
        """What is stored [n, *shape] of `observations` [n, ...] of an environment of `make`, or of one like it.

        Raises `RadtError` when they are not those of such an environment.
        """

    def done(self, codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Actions [n, ...] that an environment of `make` takes, of codes [n, A]."""


@runtime_checkable
class WithExpert(Protocol):
    """A suite that knows how to do its tasks."""

    def expert(self, env: Any, seed: int) -> Callable[[], NDArray[Any]]:
        """A function that gives the actions [n, A] of experts, which know what is hidden, in the present states of an environment
        of `make`; the seed is of what they draw.
        """


@runtime_checkable
class WithPictures(Suite, Protocol):
    """A suite whose environments can be looked at."""

    def picture(self, env: Any, seen: NDArray[Any]) -> NDArray[np.uint8]:
        """The present state [height, width, 3] of an environment of `make` with one task, of whose present episode `seen`
        [t, *shape] was stored.
        """
