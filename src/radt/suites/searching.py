"""Learning histories of robots: by a learner that searches for a hidden goal, and by an expert with some random actions.

The learner guesses the goal, observes whether it reached it, and remembers. It begins with candidate places, drawn as the package
draws goals, and goes to one of them. A place where the goal was not reached rules out all candidates near it: those at most
`reach` away. Where the goal was reached, only the candidates near that place remain. From then on the learner goes to their mean,
in this episode and all later ones. Each history has a new learner, with its own candidates and its own order.
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
"""Number of candidate places of a learner."""


class Body(Protocol):
    """A robot of one task, whose goal is a place [d]."""

    reach: float
    """Largest distance to the goal at which it counts as reached."""

    @property
    def goal(self) -> Array:
        """The true goal [d], which a learner does not know."""

    def places(self, count: int, random: np.random.Generator) -> Array:
        """Places [count, d] drawn as the package draws goals; raises `RadtError` where the goal is no place."""

    def reset(self, seed: int | None) -> Any:
        """Begin an episode; returns the observation. `seed` seeds random first states, of this and later episodes."""

    def step(self, action: Array) -> tuple[Any, float, bool]:
        """Act; returns the observation, the reward, and whether the goal was reached."""

    def place(self) -> Array:
        """The present position [d] of the part that has to reach the goal."""

    def towards(self, goal: Array) -> Array:
        """The expert's action [A] towards this goal."""


class Belief:
    """Candidate places of the goal."""

    def __init__(self, places: Array, reach: float, random: np.random.Generator):
        self.places, self.reach, self.random = places, reach, random
        self.possible = np.ones(len(places), np.bool_)
        self.paid = False

    def learn(self, place: Array, paid: bool) -> None:
        """Rule out candidates that contradict an observation: the goal was reached (`paid`), or not, at a place."""
        near = np.linalg.norm(self.places - place, axis=1) <= self.reach
        if paid and not self.paid:
            self.possible[:] = True  # candidates that were ruled out near the goal's edge may be right
        if not self.paid or paid:
            left = self.possible & (near if paid else ~near)
            self.possible = left if left.any() else self.possible
        self.paid |= paid

    def guess(self) -> Array:
        """The mean of the possible places once the goal was reached, else one of them at random."""
        possible = self.places[self.possible]
        chosen: Array = possible.mean(axis=0) if self.paid else possible[self.random.integers(len(possible))]
        return chosen


def search(body: Body, view: View, settings: Search, task: int, horizon: int) -> Shard:
    """The histories of a task, by learners that search for its goal."""
    streams = (generator(settings.seed, f"search {task}", history) for history in range(settings.histories))
    return _lived(body, view, (Searcher(body, settings, random) for random in streams), settings, task, horizon)


def imitate(body: Body, view: View, settings: Expert, task: int, horizon: int) -> Shard:
    """The histories of a task, by an expert with some random actions."""
    streams = (generator(settings.seed, f"expert {task}", history) for history in range(settings.histories))
    return _lived(body, view, (Novice(body, settings, horizon, random) for random in streams), settings, task, horizon)


class Learner(Protocol):
    """A learner that plays the episodes of one history."""

    def act(self, episode: int, time: int) -> Array:
        """An action [A]."""

    def learn(self, reached: bool) -> None:
        """Learn whether the goal was reached in this step."""


class Searcher:
    """A learner that searches, as the module describes."""

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
    """An expert with random actions: all of them in the first episode, none in the last."""

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
    """The histories of all learners. The labels are the actions of an expert that knows the goal.

    Raises `RadtError` when the simulation fails, or a reward is not finite.
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
