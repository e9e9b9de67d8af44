"""Experiments of Procgen."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from radt.settings.base import NonNegativeInt, PositiveFloat, PositiveInt
from radt.settings.experiment import Experiment

Game = Literal[
    "bigfish",
    "bossfight",
    "caveflyer",
    "chaser",
    "climber",
    "coinrun",
    "dodgeball",
    "fruitbot",
    "heist",
    "jumper",
    "leaper",
    "maze",
    "miner",
    "ninja",
    "plunder",
    "starpilot",
]
HUMAN: dict[Game, tuple[float, float]] = {
    "bigfish": (1.0, 40.0),
    "bossfight": (0.5, 13.0),
    "caveflyer": (3.5, 12.0),
    "chaser": (0.5, 13.0),
    "climber": (2.0, 12.6),
    "coinrun": (5.0, 10.0),
    "dodgeball": (1.5, 19.0),
    "fruitbot": (-1.5, 32.4),
    "heist": (3.5, 10.0),
    "jumper": (3.0, 10.0),
    "leaper": (3.0, 10.0),
    "maze": (5.0, 10.0),
    "miner": (1.5, 13.0),
    "ninja": (3.5, 10.0),
    "plunder": (4.5, 30.0),
    "starpilot": (2.5, 64.0),
}
"""Returns that are normalised to 0 and to 1 in mode `easy` (Cobbe et al., 2020, arXiv 1912.01588, appendix C)."""
MEMORY = ("caveflyer", "dodgeball", "heist", "jumper", "maze", "miner")
"""Games that have the mode `memory`: larger levels, of which only a part around the player is seen."""


class ProcgenExperiment(Experiment):
    """Levels of games of Procgen. A task is one level, which all of its episodes play."""

    suite: Literal["procgen"]
    """`procgen`."""
    games: Annotated[list[Game], Field(min_length=1)]
    """Games, in the order of the split."""
    levels: PositiveInt
    """Levels of each game; each level is a task."""
    unseen_levels: NonNegativeInt = 0
    """Further levels of each training game; each is a task that is only evaluated on (split `unseen`)."""
    first_level: NonNegativeInt = 0
    """Seed of the first level of each game; the others follow."""
    mode: Literal["easy", "hard", "memory"] = "easy"
    """Difficulty; `memory` shows a part of a larger level."""
    numbers_per_frame: PositiveInt | None = None
    """Numbers into which a frame is encoded; the encoder is learned first (section `features`). null: networks read frames."""
    reward_scale: PositiveFloat = 1.0
    """Divisor of rewards and returns, in tokens only."""

    @property
    def environment(self) -> str:
        """Name in messages."""
        return self.games[0] if len(self.games) == 1 else self.suite

    @property
    def hidden(self) -> list[int]:
        """Parts of an observation that agents do not see: none."""
        return []

    @property
    def title(self) -> str:
        """See `Experiment`."""
        return f"{self.environment.capitalize()}, {self.mode}"

    def caption(self, task: int) -> str:
        """See `Experiment`."""
        game, level = self.level_of(task)
        return f"{game.capitalize()}, level {level}"

    @property
    def kind(self) -> str:
        """See `Experiment`."""
        return f"procgen {self.environment}"

    @property
    def step_bytes(self) -> int:
        """See `Experiment`: a frame or its encoding, and the action."""
        return 2 * self.numbers_per_frame + 1 if self.numbers_per_frame else 64 * 64 * 3 + 1

    @property
    def encoded(self) -> int | None:
        """See `Experiment`."""
        return self.numbers_per_frame

    @property
    def raw(self) -> ProcgenExperiment:
        """See `Experiment`."""
        return self.model_copy(update={"numbers_per_frame": None})

    @property
    def sizes(self) -> dict[str, int]:
        """See `Experiment`; unseen levels come last."""
        unseen = self.unseen_levels * (len(self.games) - self.num_held_out // self.levels)
        sizes = super().sizes
        return {**sizes, "train": sizes["train"] - unseen, "unseen": unseen}

    def scale(self, task: int) -> tuple[float, float] | None:
        """See `Experiment`: in mode `easy`, the published constants of human-normalised scores."""
        return HUMAN[self.level_of(task)[0]] if self.mode == "easy" else None

    def level_of(self, task: int) -> tuple[Game, int]:
        """Game and level of a task."""
        rest = task - len(self.games) * self.levels
        game, number = divmod(task, self.levels) if rest < 0 else divmod(rest, self.unseen_levels)
        return self.games[game], self.first_level + number + (self.levels if rest >= 0 else 0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.unseen_levels and self.num_held_out % self.levels:
            given = f"num_held_out is {self.num_held_out} and levels {self.levels}"
            raise ValueError(f"unseen_levels is {self.unseen_levels}, but {given}: whole games must be held out")
        own = len(self.games) * self.levels
        if self.num_tasks != (allowed := own + self.sizes["unseen"]):
            given = f"{len(self.games)} games with {self.levels} levels each and {self.sizes['unseen']} unseen levels"
            raise ValueError(f"num_tasks is {self.num_tasks}, but there are {given}: allowed is {allowed}")
        if len(set(self.games)) < len(self.games):
            twice = next(name for name in self.games if self.games.count(name) > 1)
            raise ValueError(f"{twice} is named twice, allowed is once: set levels to have more tasks of it")
        if self.first_level + self.levels + self.unseen_levels > 2**31 - 1:
            raise ValueError(f"first_level is {self.first_level}, allowed are levels below {2**31 - 1}")
        if self.mode == "memory" and (without := [name for name in self.games if name not in MEMORY]):
            raise ValueError(f"{without[0]} has no mode memory, allowed are {', '.join(MEMORY)}")
        return self


EXPERIMENT = ProcgenExperiment
