"""An expert for every game of Procgen, and learning histories of this expert with random actions among its own.

The expert plans with the engine (random shooting): it simulates random action sequences from the present state and starts the
best one. The rest of the previous plan is one of the sequences. In maze and heist the expert takes the shortest way instead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.seeding import generator
from radt.settings.sources import Expert
from radt.suites.procgen import heist, mazes
from radt.suites.procgen.engine import CHOICES, Level
from radt.suites.procgen.played import Act, played

SAMPLES, KNOTS, HOLD = 16, 24, 4
"""Number of sequences, of their actions, and of the steps for which each action is held. A new plan follows each held action."""
REPEAT = 0.5
"""Chance that an action of a sequence repeats the one before: such sequences lead farther than independent actions."""
DISCOUNT, LOST = 0.99, 1.0
"""Discount of rewards per step. Cost of an end of the episode without completing the level."""
EIGHT, FOUR, LEAP = tuple(range(9)), (1, 3, 4, 5, 7), (1, 2, 4, 5, 7, 8)
DIFFERENT = {
    "bigfish": EIGHT,
    "bossfight": (*EIGHT, 9),
    "caveflyer": (*EIGHT, 9),
    "chaser": EIGHT,
    "climber": LEAP,
    "coinrun": LEAP,
    "dodgeball": (*EIGHT, 9),
    "fruitbot": (1, 4, 7, 9),
    "jumper": LEAP,
    "leaper": FOUR,
    "miner": FOUR,
    "ninja": (*LEAP, 9, 10, 11, 12),
    "plunder": (1, 4, 7, 9),
    "starpilot": (*EIGHT, 9, 10),
}
"""Action codes of each game that have different effects; the others nearly always do the same as one of these. Maze and heist
have experts of their own."""


def expert_of(level: Level, random: np.random.Generator) -> Callable[[], int]:
    """A function that returns the expert's action in the present state of a level. It does not change that state."""
    if level.game == "heist":
        return heist.expert(level)
    if level.game != "maze":
        return Planner(level, random)
    way, wait = mazes.ways(level), int(mazes.MOVES[-1])
    return lambda: way.get(level.frame.tobytes(), wait)  # in large mazes the search may miss a state that looks like another


class Planner:
    """See the module."""

    def __init__(self, level: Level, random: np.random.Generator):
        self.level, self.random = level, random
        self.codes = np.array(DIFFERENT[level.game])
        self.plan = np.zeros(0, np.int64)
        self.left = 0

    def __call__(self) -> int:
        """The action of the present plan. A new plan is made when an episode begins, and after `HOLD` steps."""
        if self.level.begins or not self.left:
            self.plan, self.left = self._best(self.plan[: 0 if self.level.begins else None]), HOLD
        self.left -= 1
        return int(self.plan[0])

    def _best(self, before: NDArray[np.int64]) -> NDArray[np.int64]:
        """The best sequence of codes [K], among random ones and the rest of the plan `before`."""
        tried = self.random.choice(self.codes, (SAMPLES, KNOTS))
        repeated = self.random.random((SAMPLES, KNOTS)) < REPEAT
        for knot in range(1, KNOTS):
            tried[:, knot] = np.where(repeated[:, knot], tried[:, knot - 1], tried[:, knot])
        tried[0, : max(len(before) - 1, 0)] = before[1:]
        kept = self.level.state()
        paid = [self._paid(sequence, kept) for sequence in tried]
        self.level.restore(kept)
        chosen: NDArray[np.int64] = tried[int(np.argmax(paid))]
        return chosen

    def _paid(self, sequence: NDArray[np.int64], state: bytes) -> float:
        """The discounted return of a sequence of codes [K] from a state; `LOST` is subtracted for an end without completion."""
        self.level.restore(state)
        total, share = 0.0, 1.0
        for code in np.repeat(sequence, HOLD).tolist():
            reward, ended, completed = self.level.step(code)
            total += share * reward
            share *= DISCOUNT
            if ended:
                return total if completed else total - share * LOST
        return total


def imitate(level: Level, settings: Expert, task: int, horizon: int) -> Shard:
    """The histories of an expert with some random actions, as `radt.suites.searching.imitate`. Labels are its actions."""

    def learner(history: int) -> Act:
        random = generator(settings.seed, f"expert {task}", history)

        def act(episode: int, time: float, label: int) -> int:
            return int(random.integers(CHOICES)) if settings.at_random(episode, time, random) else label

        return act

    expert = expert_of(level, generator(settings.seed, "plans", task))
    return played(level, expert, learner, settings.histories, settings.episodes, task, horizon)
