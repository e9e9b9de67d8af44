"""The game heist as a map of cells: an expert, and learners that search a level and remember it.

The player looks for a gem behind locked doors. A key opens the doors of its color. Passages are one cell wide, but the player has
a speed and can be anywhere in them, so there are too many frames for a table (compare `mazes`). The map is read from the engine's
state.

A learner knows the cells that it has seen, in this episode and in earlier ones. It takes a shortest way to the gem through cells
that it knows. If there is none, it goes to the nearest cell that it has not seen. The expert is a learner that knows all cells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.seeding import generator
from radt.settings.sources import Generate
from radt.suites.grid.qlearning import epsilon
from radt.suites.procgen.engine import CHOICES, Level
from radt.suites.procgen.played import Act, played
from radt.suites.procgen.settings import ProcgenExperiment

WALL, DOOR, KEY, GEM = 51, 1, 2, 9
"""The engine's numbers of things."""
SIGHT = 3.5
"""A cell is seen when its center is at most so far from the player on both axes; a frame of mode memory shows 8 x 8."""
CENTERED = 0.1
"""Largest distance to the middle of a passage at which the player fits through, in cells (with some room: 0.125)."""
Cell = tuple[int, int]
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))


@dataclass(frozen=True)
class Seen:
    """What the engine's state says of a level."""

    free: NDArray[np.bool_]
    """[width, height] whether a cell is no wall"""
    things: dict[int, dict[Cell, int]]
    """the color of each door, key and gem, by its cell"""
    place: tuple[float, float]
    """the player's position, in cells"""
    keys: frozenset[int]
    """colors of the keys that the player has"""

    @property
    def cell(self) -> Cell:
        """The player's cell."""
        return int(self.place[0]), int(self.place[1])


class _Reader:
    """Reads numbers of four bytes, one after the other, from a state of the engine."""

    def __init__(self, state: bytes):
        self.state, self.at = state, 0

    def numbers(self, count: int) -> NDArray[np.int32]:
        """The next integers."""
        self.at += 4 * count
        return np.frombuffer(self.state, "<i4", count, self.at - 4 * count)

    def number(self) -> int:
        """The next integer."""
        return int(self.numbers(1)[0])

    def text(self) -> None:
        """Skip a text."""
        size = self.number()
        self.at += size


def look(level: Level) -> Seen:
    """What the present state of a level of heist says. Source of the form: `serialize` of openai/procgen, in heist.cpp, game.cpp,
    basic-abstract-game.cpp, entity.cpp and grid.h.
    """
    reader = _Reader(level.state())
    reader.numbers(1)  # version
    reader.text()  # name of the game
    reader.numbers(17)  # settings
    for _ in range(2):  # random generators
        reader.numbers(1)
        reader.text()
    reader.numbers(16)  # reward, action, seeds and times
    count = reader.number()
    entities = reader.numbers(31 * count).reshape(count, 31)  # x, y, four more floats, type, picture, color, and 22 more
    reader.numbers(20)  # background, movement and its random numbers
    reader.text()
    reader.numbers(9)  # sizes
    width, height, cells = (reader.number() for _ in range(3))
    grid = reader.numbers(cells).reshape(height, width).T
    reader.numbers(2)  # keys of the level, size of the level
    has = reader.numbers(reader.number())
    places = np.ascontiguousarray(entities[:, :2]).view("<f4")
    things: dict[int, dict[Cell, int]] = {DOOR: {}, KEY: {}, GEM: {}}
    for (x, y), kind, color in zip(places.tolist(), entities[:, 6].tolist(), entities[:, 8].tolist(), strict=True):
        if kind in things:
            things[kind][int(x), int(y)] = color
    x, y = places[0].tolist()  # the player is the first
    return Seen(grid != WALL, things, (x, y), frozenset(np.flatnonzero(has).tolist()))


class Learner:
    """Goes to the gem through cells that it knows, or to the nearest one that it does not know.

    `sides` are the four neighbors of a cell, in the order in which the learner prefers them among equally long ways. `knows` says
    whether it knows all cells at the beginning.
    """

    def __init__(self, level: Level, sides: Sequence[Cell], knows: bool):
        level.reset()
        self.level, self.sides, self.map = level, sides, look(level)
        self.known: NDArray[np.bool_] = np.full_like(self.map.free, knows)
        self._next: dict[tuple[Cell, frozenset[int]], Cell] = {}

    def __call__(self) -> int:
        """An action code in the present state of the level, which does not change."""
        seen = look(self.level)
        self._see(seen.place)
        at = (seen.cell, seen.keys)
        if at not in self._next:
            self._plan(*at)
        (x, y), (to_x, to_y) = seen.place, self._next[at]
        return 3 * (_side(to_x + 0.5 - x) + 1) + _side(to_y + 0.5 - y) + 1  # the engine's code of a move on both axes

    def _see(self, place: tuple[float, float]) -> None:
        """Get to know the cells around a place. Plans are forgotten if one is new."""
        spans = [slice(max(0, int(part - SIGHT)), int(part + SIGHT + 1)) for part in place]
        if not self.known[spans[0], spans[1]].all():
            self.known[spans[0], spans[1]] = True
            self._next.clear()

    def _plan(self, cell: Cell, keys: frozenset[int]) -> None:
        """Find the next cells on the way from a cell with some keys, by breadth-first search."""
        start = end = (cell, keys)
        before, ahead, unknown = {start: start}, deque([start]), False
        while ahead:
            here = ahead.popleft()
            if not self.known[here[0]]:
                end = end if unknown else here
                unknown = True
                continue
            if here[0] in self.map.things[GEM]:
                end = here
                break
            for there in self._around(*here):
                if there not in before:
                    before[there] = here
                    ahead.append(there)
        self._next[start] = cell
        while end != start:
            self._next[before[end]] = end[0]
            end = before[end]

    def _around(self, cell: Cell, keys: frozenset[int]) -> Iterator[tuple[Cell, frozenset[int]]]:
        """The cells beside one that can be entered as far as the learner knows, and the keys that it has then."""
        width, height = self.known.shape
        for x, y in ((cell[0] + side[0], cell[1] + side[1]) for side in self.sides):
            if not (0 <= x < width and 0 <= y < height):
                continue
            if not self.known[x, y]:
                yield (x, y), keys
            elif self.map.free[x, y] and self.map.things[DOOR].get((x, y)) in {None, *keys}:
                yield (x, y), keys | {self.map.things[KEY][x, y]} if (x, y) in self.map.things[KEY] else keys


def _side(distance: float) -> int:
    """The direction of a move on one axis: -1, 0 or 1."""
    return 0 if abs(distance) < CENTERED else int(np.sign(distance))


def expert(level: Level) -> Learner:
    """A learner that knows the level. The state of the level is restored."""
    kept = level.state()
    found = Learner(level, SIDES, knows=True)
    level.restore(kept)
    return found


def histories(experiment: ProcgenExperiment, settings: Generate) -> Iterator[Shard]:
    """Learning histories in all training levels, one level after the other. Of the settings, learners have `seed`, `histories`,
    `episodes` and the chance of random actions.
    """
    for task, split in enumerate(experiment.splits):
        if split == "train":
            yield searched(Level(*experiment.level_of(task), experiment.mode), task, settings, experiment.horizon)


def searched(level: Level, task: int, settings: Generate, horizon: int) -> Shard:
    """The learning histories of one level, each by a new learner. Labels are the expert's actions."""

    def learner(history: int) -> Act:
        random = generator(settings.seed, f"heist {task}", history)
        own = Learner(level, [SIDES[side] for side in random.permutation(len(SIDES))], knows=False)

        def act(episode: int, time: float, label: int) -> int:
            wanted = own()
            return int(random.integers(CHOICES)) if random.random() < epsilon(episode, settings) else wanted

        return act

    return played(level, expert(level), learner, settings.histories, settings.episodes, task, horizon)
