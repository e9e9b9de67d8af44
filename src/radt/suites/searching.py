"""Learning histories of a learner that searches for a hidden goal: it guesses, sees whether that pays, and remembers.

The learner begins with places where the goal may be, drawn from those that the package draws goals from. It goes to one of
them; a place from which it was not paid is ruled out with all that is as near as the goal reaches. Once it was paid, it rules
out what does not reach there, and goes to the middle of what is left, in this episode and all later ones. Each history is of a
new learner, which draws its own places and its own order.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.seeding import generator
from radt.settings.sources import Search
from radt.suites.gymnasium.environment import View

Array = NDArray[np.float64]
PLACES = 2000
"""Places where a learner thinks that the goal may be."""


class Body(Protocol):
    """A robot of one task, whose goal is a place [d]."""

    reach: float
    """How far from the goal it is paid."""

    @property
    def goal(self) -> Array:
        """The true goal [d], which a learner does not know."""

    def places(self, count: int, random: np.random.Generator) -> Array:
        """Places [count, d] drawn as the package draws goals."""

    def reset(self) -> Any:
        """Begin an episode: the observation."""

    def step(self, action: Array) -> tuple[Any, float, bool]:
        """Act: the observation, the reward, and whether the goal was reached."""

    def place(self) -> Array:
        """Where what is to reach the goal is now [d]."""

    def towards(self, goal: Array) -> Array:
        """The action [A] of an expert whose goal is this place."""


class Belief:
    """Where the goal may be."""

    def __init__(self, places: Array, reach: float, random: np.random.Generator):
        self.places, self.reach, self.random = places, reach, random
        self.possible = np.ones(len(places), np.bool_)
        self.paid = False

    def learn(self, place: Array, paid: bool) -> None:
        """Rule out what does not agree with being paid, or not, at a place."""
        near = np.linalg.norm(self.places - place, axis=1) <= self.reach
        if paid and not self.paid:
            self.possible[:] = True  # what was ruled out at the edge of the goal may have been right
        if not self.paid or paid:
            left = self.possible & (near if paid else ~near)
            self.possible = left if left.any() else self.possible
        self.paid |= paid

    def guess(self) -> Array:
        """The middle of what is possible once the goal was found, else one of the possible places."""
        possible = self.places[self.possible]
        chosen: Array = possible.mean(axis=0) if self.paid else possible[self.random.integers(len(possible))]
        return chosen


def learn(body: Body, view: View, settings: Search, task: int, horizon: int) -> Shard:
    """The histories of one task, with what an expert that knows the goal would have done as labels."""
    observations, actions, labels, rewards = [], [], [], []
    for history in range(settings.histories):
        random = generator(settings.seed, f"search {task}", history)
        belief = Belief(body.places(PLACES, random), body.reach, random)
        for _ in range(settings.episodes):
            seen, goal = body.reset(), belief.guess()
            for time in range(horizon):
                if belief.paid or (time and time % settings.patience == 0):
                    goal = belief.guess()
                wanted, noise = body.towards(goal), random.normal(size=len(body.towards(goal))) * settings.noise
                action = np.clip(wanted + noise, -1.0, 1.0)
                observations.append(view(seen))
                labels.append(body.towards(body.goal))
                actions.append(action)
                seen, reward, reached = body.step(action)
                rewards.append(reward)
                belief.learn(body.place(), reached)
    episodes = settings.histories * settings.episodes
    return Shard(
        np.stack(observations),
        np.stack(actions).astype(np.float32),
        np.array(rewards, np.float32),
        np.arange(0, episodes * horizon + 1, horizon, dtype=np.int64),
        np.full(episodes, task, np.int32),
        np.repeat(np.arange(settings.histories, dtype=np.int32), settings.episodes),
        np.zeros(episodes, np.uint8),
        np.stack(labels).astype(np.float32),
    )
