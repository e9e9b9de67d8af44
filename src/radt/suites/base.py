"""The interface of suites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Listed

VectorEnv = gymnasium.vector.VectorEnv[Any, Any, Any]


class Suite(Listed, Protocol):
    """The tasks of an experiment, and their environments.

    See `radt.suites.sources` for learning histories, and `radt.suites.transitions` for the data of DPT.
    """

    def make(self, tasks: NDArray[np.int64]) -> VectorEnv:
        """Environments of `tasks` [n] (distinct ids) with same-step autoreset; same seed and actions give the same bytes."""

    def environment(self, task: int) -> gymnasium.Env[Any, Any]:
        """The environment of one task."""

    def seen(self, observations: Any) -> NDArray[Any]:
        """Stored form [n, *shape] of `observations` [n, ...] of an environment of `make`, or of a similar one.

        Raises `RadtError` when they do not fit.
        """

    def done(self, codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Actions [n, ...] for an environment of `make`, from codes [n, A]."""


@runtime_checkable
class WithExpert(Protocol):
    """A suite with an expert."""

    def expert(self, env: Any, seed: int) -> Callable[[], NDArray[Any]]:
        """A function that returns the actions [n, A] of experts in the present states of an environment of `make`.

        Experts know the hidden task. `seed` is for their random numbers.
        """


@runtime_checkable
class WithPictures(Suite, Protocol):
    """A suite whose environments can be drawn."""

    def picture(self, env: Any, seen: NDArray[Any]) -> NDArray[np.uint8]:
        """A picture [height, width, 3] of the present state of an environment of `make` with one task; `seen` [t, *shape] are the
        stored observations of its present episode.
        """
