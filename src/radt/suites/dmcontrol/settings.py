"""Experiments of DMControl."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from radt.settings.base import NonNegativeInt
from radt.settings.robots import RobotExperiment

GOALS = ("reacher", "finger", "fish", "swimmer")
"""Robots with a target. A seed decides its position."""
WHOLE = 1000
"""Steps of the simulator in an episode of DMControl."""
PUBLISHED = {
    "ball_in_cup-catch": (0.0, 926.719),
    "cartpole-balance": (350.391, 938.506),
    "cartpole-swingup": (27.414, 766.15),
    "cheetah-run": (3.207, 324.045),
    "finger-spin": (0.2, 834.629),
    "finger-turn_easy": (57.8, 800.645),
    "finger-turn_hard": (40.6, 676.144),
    "fish-upright": (229.406, 547.962),
    "hopper-stand": (1.296, 266.783),
    "pendulum-swingup": (0.0, 614.491),
    "point_mass-easy": (1.341, 779.273),
    "reacher-easy": (33.0, 849.241),
    "reacher-hard": (8.0, 779.947),
    "walker-run": (23.427, 344.794),
    "walker-stand": (134.701, 816.322),
    "walker-walk": (30.193, 773.174),
}
"""Returns that are normalised to 0 and to 1: of random actions, and the mean of the published histories (code of the paper)."""


class DmcontrolExperiment(RobotExperiment):
    """Tasks of DMControl. Names are domain and task, such as `reacher-easy`."""

    suite: Literal["dmcontrol"]
    """`dmcontrol`."""
    start_seed: NonNegativeInt | None = None
    """Seed of the first state, the same in all episodes of all tasks; null: each episode draws its first state."""
    new_goals: bool = False
    """Whether each episode draws a new goal, as published; false: a task keeps its goal."""
    union: bool = False
    """Whether all tasks share 204 observed numbers and 6 action dimensions, as published; false: the package's own."""

    def published(self, task: int) -> str:
        """See `RobotExperiment`."""
        return f"{self.name_of(task).replace('-', '_')}.npz"

    def scale(self, task: int) -> tuple[float, float] | None:
        """See `Experiment`: where episodes are whole, the published constants of data-normalised scores."""
        return PUBLISHED.get(self.name_of(task)) if self.horizon * self.action_repeat == WHOLE else None

    @model_validator(mode="after")
    def _alike(self) -> Self:
        if len(self.names) > 1 and not self.union:
            raise ValueError("union is false, but there are several names: allowed is true, since they see different things")
        if without := [name for name in self.names if self.goals > 1 and name.partition("-")[0] not in GOALS]:
            raise ValueError(f"goals is {self.goals}, but {without[0]} has no target: allowed are {', '.join(GOALS)}, or goals 1")
        if self.new_goals and (self.goals > 1 or self.start_seed is not None):
            given = f"goals is {self.goals}" if self.goals > 1 else f"start_seed is {self.start_seed}"
            raise ValueError(f"new_goals is true, but {given}: allowed are goals 1 and start_seed null, or new_goals false")
        return self


EXPERIMENT = DmcontrolExperiment
