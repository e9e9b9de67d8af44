"""Experiments of environments that a user has registered with Gymnasium."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from radt.settings.base import PositiveFloat
from radt.settings.experiment import Experiment


class GymnasiumExperiment(Experiment):
    """Tasks of any environment that is registered with Gymnasium; the user writes its learning histories (docs/formats.md)."""

    suite: Literal["gymnasium"]
    """`gymnasium`."""
    environment: Annotated[str, Field(min_length=1)]
    """Id for `gymnasium.make`; `module:name-v0` imports the module first."""
    argument: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")] = "task"
    """Keyword of the environment that takes the number of a task, from 0 on."""
    action_codes: Annotated[int, Field(ge=2, le=255)] = 11
    """Codes of each dimension of a continuous action: equally distant values from its least to its largest."""
    reward_scale: PositiveFloat = 1.0
    """What rewards and returns are divided by, in tokens alone."""

    @property
    def title(self) -> str:
        """See `Experiment`."""
        return self.environment.rpartition(":")[2]

    @property
    def kind(self) -> str:
        """See `Experiment`."""
        return self.environment


EXPERIMENT = GymnasiumExperiment
