"""Experiments: one class for each suite, with its tasks and their split."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from radt.settings.base import NonNegativeInt, PositiveFloat, PositiveInt, Section

WORLDS = {"darkroom": "Dark-Room", "keydoor": "Dark Key-Door", "mazerunner": "MazeRunner"}
MAZE_SIZE, MAZE_TRAINING = 15, 99


class Experiment(Section):
    """What every experiment has, whatever its suite: tasks and their split."""

    suite: str
    """The suite."""
    horizon: PositiveInt
    """Most steps of an episode."""
    num_tasks: PositiveInt
    """Number of tasks."""
    num_held_out: PositiveInt
    """How many of them, counted from the end, are only ever evaluated on."""
    num_validation: NonNegativeInt
    """How many training tasks, counted from the end, are kept from training to choose settings on."""

    @property
    def splits(self) -> list[str]:
        """Split of every task: first `train`, then `validation`, then `held_out`."""
        train = self.num_tasks - self.num_held_out - self.num_validation
        return ["train"] * train + ["validation"] * self.num_validation + ["held_out"] * self.num_held_out

    @property
    def title(self) -> str:
        """Name in figures."""
        return self.suite

    @property
    def kind(self) -> str:
        """What the time of a step depends on."""
        return self.suite

    @property
    def order(self) -> tuple[int, int]:
        """Place among others in figures."""
        return len(WORLDS), 0

    @model_validator(mode="after")
    def _split(self) -> Self:
        if self.num_held_out + self.num_validation >= self.num_tasks:
            split = f"num_held_out {self.num_held_out} + num_validation {self.num_validation}"
            raise ValueError(f"{split} leave none of the {self.num_tasks} tasks to train on")
        return self


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

    @property
    def title(self) -> str:
        """See `Experiment`."""
        return f"{WORLDS[self.world]} {self.width}x{self.height}"

    @property
    def kind(self) -> str:
        """See `Experiment`."""
        return self.world

    @property
    def order(self) -> tuple[int, int]:
        """See `Experiment`."""
        return [*WORLDS].index(self.world), self.width * self.height

    @model_validator(mode="after")
    def _fits(self) -> Self:
        cells = self.width * self.height
        if self.world == "mazerunner":
            if (self.width, self.height) != (MAZE_SIZE, MAZE_SIZE):
                raise ValueError(f"a maze is {self.width}x{self.height}, allowed is {MAZE_SIZE}x{MAZE_SIZE}, as published")
            if self.num_tasks - self.num_held_out > MAZE_TRAINING:
                raise ValueError(
                    f"num_tasks is {self.num_tasks}, allowed are {MAZE_TRAINING} published training mazes + num_held_out"
                )
        elif self.num_tasks > cells:
            raise ValueError(f"num_tasks is {self.num_tasks}, but a {self.width}x{self.height} room has {cells} cells")
        return self


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


SUITES: dict[str, type[Experiment]] = {"grid": GridExperiment, "gymnasium": GymnasiumExperiment}


def _suite(values: Any) -> str | None:
    """The suite that an experiment names: the grid's where it has only a world; None where it has neither."""
    if not isinstance(values, dict):
        return getattr(values, "suite", None)
    return str(values["suite"]) if "suite" in values else "grid" if "world" in values else None


AnyExperiment = Annotated[
    Annotated[GridExperiment, Tag("grid")] | Annotated[GymnasiumExperiment, Tag("gymnasium")], Discriminator(_suite)
]
"""An experiment of one of the suites."""
