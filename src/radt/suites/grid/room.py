"""Data of a grid world for the report: walls, hidden goals, and the way of an agent. Cells are numbered row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.suites.grid import darkroom, mazerunner, worlds
from radt.suites.grid.settings import GridExperiment

NAMES = {(-1, 0): "north", (0, 1): "east", (1, 0): "south", (0, -1): "west", (0, 0): "stay"}
"""Actions by how they move (rows, columns)."""


def actions(experiment: GridExperiment) -> list[str]:
    """Names of the actions, by their codes."""
    moves = mazerunner.MOVES if experiment.world == "mazerunner" else darkroom.MOVES.values()
    return [NAMES[move] for move in moves]


def room(experiment: GridExperiment, task: int) -> dict[str, Any]:
    """Size and walls of a task's world, and its marks: names and cells of hidden goals."""
    size = {"width": experiment.width, "height": experiment.height}
    told: dict[str, Any] = worlds.descriptions(experiment)[task]
    if experiment.world != "mazerunner":
        marks = [(name, y * experiment.width + x) for name, (x, y) in told.items()]
        return {**size, "walls": [], "marks": marks}
    walls, goals = mazerunner.maze(told["seed"])
    marks = [(f"goal {number}", row * experiment.width + column) for number, (row, column) in enumerate(goals, 1)]
    return {**size, "walls": np.flatnonzero(walls).tolist(), "marks": marks}


def cells(experiment: GridExperiment, task: int, observations: NDArray[np.uint8], codes: NDArray[np.uint8]) -> list[int]:
    """Cells of an episode: one for each observation [t, D], and the one to which the last of its actions [t, 1] leads."""
    way = observations[:, :2].astype(int) @ [experiment.width, 1]
    following = worlds.make(experiment, np.array([task])).tables.following[0]
    last = int(following[way[-1], codes[-1, 0]]) % (experiment.width * experiment.height)
    return [*way.tolist(), last]
