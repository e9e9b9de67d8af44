"""Learning histories of robots, made on the spot: of a learner that searches for a hidden goal, and of an expert under noise.

The learner guesses, sees whether that pays, and remembers. It begins with places where the goal may be, drawn from those that
the package draws goals from. It goes to one of them; a place from which it was not paid is ruled out with all that is as near as
the goal reaches. Once it was paid, it rules out what does not reach there, and goes to the middle of what is left, in this
episode and all later ones. Each history is of a new learner, which draws its own places and its own order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.seeding import generator
from radt.settings.sources import Expert, Search
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
        """Places [count, d] drawn as the package draws goals; raises `RadtError` where the goal is no place."""

    def reset(self, seed: int | None) -> Any:
        """Begin an episode: the observation. A seed decides where this one and those after it begin, unless all begin alike."""

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


def search(body: Body, view: View, settings: Search, task: int, horizon: int) -> Shard:
    """The histories of a task whose goal is searched."""
    streams = (generator(settings.seed, f"search {task}", history) for history in range(settings.histories))
    return _lived(body, view, (Searcher(body, settings, random) for random in streams), settings, task, horizon)


def imitate(body: Body, view: View, settings: Expert, task: int, horizon: int) -> Shard:
    """The histories of an expert some of whose actions are random."""
    streams = (generator(settings.seed, f"expert {task}", history) for history in range(settings.histories))
    return _lived(body, view, (Novice(body, settings, horizon, random) for random in streams), settings, task, horizon)


class Learner(Protocol):
    """What lives through the episodes of one history."""

    def act(self, episode: int, time: int) -> Array:
        """An action [A]."""

    def learn(self, reached: bool) -> None:
        """Take in whether it reached the goal."""


class Searcher:
    """See the module."""

    def __init__(self, body: Body, settings: Search, random: np.random.Generator):
        self.body, self.settings, self.random = body, settings, random
        self.belief = Belief(body.places(PLACES, random), body.reach, random)
        self.goal = np.zeros(0)

    def act(self, episode: int, time: int) -> Array:
        """See `Learner`."""
        if self.belief.paid or time % self.settings.patience == 0:
            self.goal = self.belief.guess()
        wanted = self.body.towards(self.goal)
        action: Array = np.clip(wanted + self.random.normal(size=len(wanted)) * self.settings.noise, -1.0, 1.0)
        return action

    def learn(self, reached: bool) -> None:
        """See `Learner`."""
        self.belief.learn(self.body.place(), reached)


class Novice:
    """An expert whose actions are random, all of them in the first episode, none in the last."""

    def __init__(self, body: Body, settings: Expert, horizon: int, random: np.random.Generator):
        self.body, self.settings, self.horizon, self.random = body, settings, horizon, random

    def act(self, episode: int, time: int) -> Array:
        """See `Learner`."""
        wanted = self.body.towards(self.body.goal)
        drawn = self.random.uniform(-1.0, 1.0, len(wanted))
        return drawn if self.settings.at_random(episode, time / self.horizon, self.random) else wanted

    def learn(self, reached: bool) -> None:
        """See `Learner`: it learns nothing."""


def _lived(body: Body, view: View, learners: Iterable[Learner], settings: Search | Expert, task: int, horizon: int) -> Shard:
    """The histories of all learners; the labels are what an expert that knows the goal would have done.

    Raises `RadtError` when the simulation fails, or pays what is not finite.
    """
    observations, actions, labels, rewards, count = [], [], [], [], settings.episodes
    for history, learner in enumerate(learners):
        start = int(generator(settings.seed, f"start {task}", history).integers(2**31))
        for episode in range(count):
            seen = body.reset(None if episode else start)
            for time in range(horizon):
                action = learner.act(episode, time)
                observations.append(view(seen))
                labels.append(body.towards(body.goal))
                actions.append(action)
                seen, reward, reached = body.step(action)
                if not np.isfinite(reward):
                    raise RadtError(f"{view.name} pays {reward} in task {task}, which is not finite: use a lower action_repeat")
                rewards.append(reward)
                learner.learn(reached)
    episodes = settings.histories * count
    return Shard(
        np.stack(observations),
        np.stack(actions).astype(np.float32),
        np.array(rewards, np.float32),
        np.arange(0, episodes * horizon + 1, horizon, dtype=np.int64),
        np.full(episodes, task, np.int32),
        np.repeat(np.arange(settings.histories, dtype=np.int32), count),
        np.zeros(episodes, np.uint8),
        np.stack(labels).astype(np.float32),
    )
