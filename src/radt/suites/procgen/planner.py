"""An expert for every game of Procgen, and learning histories of this expert under noise.

The expert plans with the engine itself: it tries random sequences of actions from the present state and does the beginning of the
best (random shooting). What was best before, moved on, is one of them. In a maze it takes the shortest way instead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.seeding import generator
from radt.settings.sources import Expert
from radt.suites.procgen import mazes
from radt.suites.procgen.engine import CHOICES, Level

SAMPLES, KNOTS, HOLD = 16, 24, 4
"""Sequences that are tried, their actions, and the steps for which each of these is held; then follows a new plan."""
REPEAT = 0.5
"""Chance that an action of a sequence is the one before: longer ways are tried than by chance alone."""
DISCOUNT, LOST = 0.99, 1.0
"""Of rewards, by the step; what the end of an episode costs whose level was not completed."""
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
    "heist": EIGHT,
    "jumper": LEAP,
    "leaper": FOUR,
    "maze": FOUR,
    "miner": FOUR,
    "ninja": (*LEAP, 9, 10, 11, 12),
    "plunder": (1, 4, 7, 9),
    "starpilot": (*EIGHT, 9, 10),
}
"""Codes of a game that do different things; nearly always the others do the same as one of these."""


def expert_of(level: Level, random: np.random.Generator) -> Callable[[], int]:
    """Tells the action of an expert in the present state of a level, which stays as it is."""
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
        """The action of a plan; a new one is made where an episode begins, and after `HOLD` steps."""
        if self.level.begins or not self.left:
            self.plan, self.left = self._best(self.plan[: 0 if self.level.begins else None]), HOLD
        self.left -= 1
        return int(self.plan[0])

    def _best(self, before: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sequence of codes [K] that was paid most, of new ones and of what is left of the plan before."""
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
        """What a sequence of codes is worth in a state."""
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
    """The histories of an expert some of whose actions are random, as `radt.suites.searching.imitate`; labels are its actions."""
    expert = expert_of(level, generator(settings.seed, "plans", task))
    actions: list[int] = []
    frames, labels, rewards, starts, terminated = [], [], [], [0], []
    for history in range(settings.histories):
        random = generator(settings.seed, f"expert {task}", history)
        for episode in range(settings.episodes):
            level.reset()
            ended = False
            while not ended and len(actions) < starts[-1] + horizon:
                time = (len(actions) - starts[-1]) / horizon
                frames.append(level.frame.copy())
                labels.append(expert())
                actions.append(int(random.integers(CHOICES)) if settings.at_random(episode, time, random) else labels[-1])
                reward, ended, _ = level.step(actions[-1])
                rewards.append(reward)
            starts.append(len(actions))
            terminated.append(ended)
    episodes = len(terminated)
    return Shard(
        np.stack(frames),
        np.array(actions, np.uint8)[:, None],
        np.array(rewards, np.float32),
        np.array(starts, np.int64),
        np.full(episodes, task, np.int32),
        np.repeat(np.arange(settings.histories, dtype=np.int32), settings.episodes),
        np.array(terminated, np.uint8),
        np.array(labels, np.uint8)[:, None],
    )
