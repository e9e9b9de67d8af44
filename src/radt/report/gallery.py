"""The format of recorded episodes of trained agents, `episodes/*.json`, which the page shows step by step.

`python -m radt episodes` writes them (docs/formats.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from radt import artifacts
from radt.errors import RadtError
from radt.pipeline import provenance
from radt.spaces import Count, Finite, Form

FOLDER = "episodes"
LARGEST = 2**20
"""Bytes of a file."""
Whole = Annotated[int, Field(ge=0)]
Number = int | Finite
"""Whole ones are written without a point."""
Part = tuple[Whole, Whole, Whole, Finite, Finite]
"""A part of an earlier episode that is read: its number from 0, first step, exclusive end, similarity, score."""


class Room(Form):
    """A grid world. Cells count row by row."""

    width: Count
    height: Count
    walls: list[Whole]
    marks: list[tuple[str, Whole]]
    """Names and cells of hidden goals."""

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.width * self.height

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if any(cell >= self.cells for cell in [*self.walls, *(cell for _, cell in self.marks)]):
            raise ValueError("a cell is outside of the room")
        return self


class Episode(Form):
    """The steps of an episode. An episode that is only read by others has either `cells` or `rewards`, which are drawn."""

    rewards: list[Number]
    actions: list[list[Number]]
    cells: list[Whole]
    """Cell of the agent before each step, and at the end; empty without a room."""
    read: list[tuple[Whole, list[Part]]]
    """Steps at which the read parts change, and the parts that are read from there on."""

    @property
    def steps(self) -> int:
        """Number of steps."""
        return max(len(self.rewards), len(self.cells) - 1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        wrong = len(self.cells) not in (0, self.steps + 1) or len(self.rewards) not in (0, self.steps)
        if wrong or not self.steps:
            raise ValueError("not every step has a reward, or a cell")
        return self


class Task(Form):
    """Episodes of one task."""

    task: Whole
    split: str
    returns: list[Number]
    """Returns of all its episodes."""
    room: Room | None
    shown: Annotated[list[Whole], Field(min_length=1)]
    """Episodes to choose from; the others are what these read."""
    episodes: dict[Whole, Episode]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        shown = [self.episodes[number] for number in self.shown]
        parts = [part for episode in shown for _, read in episode.read for part in read]
        if any(number >= len(self.returns) for number in self.episodes) or any(
            not first < end <= self.episodes[number].steps for number, first, end, *_ in parts
        ):
            raise ValueError("it reads what there is not")
        if any(len(part) != episode.steps for episode in shown for part in (episode.actions, episode.rewards)):
            raise ValueError("not every step has an action and a reward")
        most, last = self.room.cells if self.room else 0, [max(one.cells, default=-1) for one in self.episodes.values()]
        if any(cell >= most or (self.room and cell < 0) for cell in last):
            raise ValueError("a way leads out of the room")
        return self


class Recorded(Form):
    """Episodes of a trained agent in some tasks of its evaluation."""

    format: Literal[1]
    experiment: str
    method: str
    seed: int
    as_evaluated: bool
    """Whether all returns are those of the evaluation, to the digit."""
    actions: list[str]
    """Names of the actions, by their codes; empty where they have none."""
    tasks: Annotated[list[Task], Field(min_length=1)]


def recorded(folder: Path, experiment: str, methods: set[str], remedy: str) -> list[Recorded]:
    """The recorded episodes in the folder of an experiment, by method and seed.

    Raises `RadtError`, which ends with `remedy`, when a file is damaged, of another experiment or of a method without a curve.
    """
    paths = [path for path in (folder / FOLDER).glob("*.json") if not provenance.is_record(path)]
    found = [_read(path, remedy) for path in paths]
    for one in found:
        if one.experiment != experiment or one.method not in methods:
            told = f"{one.method} of {one.experiment}"
            raise RadtError(f"{folder / FOLDER} has episodes of {told}, which has no curve here: {remedy}")
    return sorted(found, key=lambda one: (one.method, one.seed))


def _read(path: Path, remedy: str) -> Recorded:
    """One file, compared with its record if it has one."""
    content = artifacts.read_bytes(path, LARGEST, remedy)
    record = path.with_name(f"{path.stem}.{provenance.FILE}")
    if artifacts.is_there(record) and provenance.read(record).outputs.get(path.name) != artifacts.sha256(path):
        raise RadtError(f"{path} is not the file that was recorded: {remedy}")
    try:
        artifacts.parse_json(content)  # refuses duplicate keys and invalid Unicode
        return Recorded.model_validate_json(content)
    except (ValidationError, ValueError, KeyError, RecursionError, MemoryError):
        raise RadtError(f"{path} holds no episodes: {remedy}") from None
