"""What every suite gives to the stages, whatever its engine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Described, Shard, Trajectories
from radt.settings import Trajectories as TrajectorySettings

if TYPE_CHECKING:  # what makes histories needs no torch, which takes seconds to import
    from radt.data.episodes import EpisodeBuffer
    from radt.data.transitions import Experience, Recollection

VectorEnv = gymnasium.vector.VectorEnv[Any, Any, Any]


class Suite(Described, Protocol):
    """The tasks of an experiment, and the environments in which they are played."""

    def make(self, tasks: NDArray[np.int64]) -> VectorEnv:
        """Environments of `tasks` [n] (ids, none twice) with same-step autoreset; same seed and actions give the same bytes."""

    def histories(self, settings: TrajectorySettings, folder: Path | None) -> tuple[dict[str, Any], Iterable[Shard]]:
        """Where the learning histories come from, for the manifest, and the histories themselves, a task or more at a time.

        `folder` is that of the `ppo` stage, for `source: ppo`. Raises `RadtError` for a source that the suite does not have.
        """

    def remark(self, data: Trajectories) -> str | None:
        """What is to be said of learning histories that were written."""

    def seen(self, env: Any, observations: NDArray[Any]) -> NDArray[Any]:
        """What is stored [n, *shape] of the present `observations` [n, ...] of an environment of `make`."""

    def done(self, codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Actions [n, ...] that an environment of `make` takes, of codes [n, A]."""

    def experience(self, data: Trajectories) -> Experience:
        """What DPT is trained on; raises `RadtError` when nothing says what an expert would have done."""

    def recollection(self, buffer: EpisodeBuffer) -> Recollection:
        """What DPT reads of the episodes that it has played."""
