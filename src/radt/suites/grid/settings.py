"""Experiments of the grid worlds."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from radt.settings.base import NonNegativeInt, PositiveInt
from radt.settings.experiment import Experiment

WORLDS = {"darkroom": "Dark-Room", "keydoor": "Dark Key-Door", "mazerunner": "MazeRunner"}
MAZE_SIZE, MAZE_TRAINING = 15, 99


class GridExperiment(Experiment):
    """One benchmark: the grid world, its tasks and their split (paper, Section 4)."""

    suite: Annotated[Literal["grid"], Field(exclude_if=lambda suite: suite == "grid")] = "grid"
    """`grid`, which need not be named."""
    world: Literal["darkroom", "keydoor", "mazerunner"]
    """`darkroom`: an unseen goal cell; `keydoor`: an unseen key, then an unseen door; `mazerunner`: a maze with unseen goals."""
    width: Annotated[int, Field(ge=1, le=256)]
    """Columns."""
    height: Annotated[int, Field(ge=1, le=256)]
    """Rows."""
    horizon: PositiveInt
    """Most steps of an episode; only a maze ends earlier, with its last goal."""
    num_tasks: PositiveInt
    """Number of tasks: goals (and keys) drawn from the cells of the room, or mazes."""

    split_seed: Annotated[NonNegativeInt | None, Field(exclude_if=lambda seed: seed is None)] = None
    """Seed with which goals, keys and doors are drawn from the cells of a room, so that others are held out; null: the published
    split."""

    @property
    def title(self) -> str:
        """See `Experiment`."""
        return f"{WORLDS[self.world]} {self.width}x{self.height}"

    @property
    def kind(self) -> str:
        """See `Experiment`."""
        return self.world

    @property
    def order(self) -> tuple[float, int]:
        """See `Experiment`."""
        return [*WORLDS].index(self.world), self.width * self.height

    @property
    def cells(self) -> int:
        """See `Experiment`."""
        return self.width * self.height

    @property
    def step_bytes(self) -> int:
        """See `Experiment`: a byte for each number of an observation, and the action."""
        return 7 if self.world == "mazerunner" else 3

    @property
    def farthest(self) -> int:
        """See `Experiment`: the way to the goal, or in a maze to the first one."""
        if self.world == "mazerunner":
            return self.cells
        across = self.width + self.height - 2
        return 2 * across if self.world == "keydoor" else across

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.world == "mazerunner":
            if self.split_seed is not None:
                raise ValueError(f"split_seed is {self.split_seed}, allowed is null: mazerunner has the published mazes")
            if (self.width, self.height) != (MAZE_SIZE, MAZE_SIZE):
                raise ValueError(f"a maze is {self.width}x{self.height}, allowed is {MAZE_SIZE}x{MAZE_SIZE}, as published")
            if self.num_tasks - self.num_held_out > MAZE_TRAINING:
                raise ValueError(
                    f"num_tasks is {self.num_tasks}, allowed are {MAZE_TRAINING} published training mazes + num_held_out"
                )
        elif self.num_tasks > self.cells:
            raise ValueError(f"num_tasks is {self.num_tasks}, but a {self.width}x{self.height} room has {self.cells} cells")
        return self


EXPERIMENT = GridExperiment
