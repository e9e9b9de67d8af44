"""The game heist on its real engine: its map, its expert, and learners that search a level."""

from importlib.util import find_spec
from itertools import pairwise, product

import numpy as np
import pytest

from radt.settings.parsing import parse
from radt.settings.sources import Generate
from radt.suites.procgen import heist
from radt.suites.procgen.engine import Level
from stages import configuration

pytestmark = pytest.mark.skipif(find_spec("procgen") is None, reason="procgen-mirror has no wheel for this Python")
LEVELS = (0, 2, 5, 7)
"""Levels of mode memory with three, three, two and two keys."""


def settings(**changes):
    own = {"histories": 2, "episodes": 3, "epsilon_first": 0.0, "epsilon_last": 0.0}
    return parse(Generate, {**configuration()["trajectories"]["generate"], **own, **changes})


def walked(level, player, steps=600):
    """The cells that a player enters, one after the other, until it has the gem or the time is over; and whether it has it."""
    cells = [heist.look(level).cell]
    for _ in range(steps):
        _, ended, completed = level.step(player())
        if ended:
            return cells, completed
        cell = heist.look(level).cell
        cells += [cell] if cell != cells[-1] else []
    return cells, False


def distance(seen):
    """Cells on a shortest way to the gem, over all pairs of a cell and a set of keys, by repeated relaxation."""
    count = len(seen.things[heist.KEY])
    left = np.full((*seen.free.shape, 2**count), np.inf)
    gem = next(iter(seen.things[heist.GEM]))
    while True:
        before = left.copy()
        for x, y, keys in product(*map(range, left.shape)):
            door = seen.things[heist.DOOR].get((x, y))
            if not seen.free[x, y] or (door is not None and not keys >> door & 1):
                continue
            own = keys | 1 << seen.things[heist.KEY][x, y] if (x, y) in seen.things[heist.KEY] else keys
            around = [
                left[a, b, own] for a, b in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)) if a < len(left) and b < len(left)
            ]
            left[x, y, keys] = 0 if (x, y) == gem else 1 + min(around)
        if np.array_equal(before, left):
            return left[(*seen.cell, 0)]


@pytest.mark.parametrize("number", LEVELS)
def test_the_expert_takes_a_shortest_way_over_the_keys_to_the_gem(number):
    level = Level("heist", number, "memory")
    seen = heist.look(level)
    assert len(seen.things[heist.KEY]) == len(set(seen.things[heist.DOOR].values())) > 1
    level.step(7)
    before = level.state()
    player = heist.expert(level)
    assert level.state() == before
    level.reset()
    cells, found = walked(level, player)
    assert found
    assert all(seen.free[cell] for cell in cells)
    moved = sum(abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in pairwise(cells))
    shortest = distance(seen)
    assert shortest - 1 - 2 * len(seen.things[heist.KEY]) <= moved <= shortest  # things are reached from the edge of their cells


def test_keys_are_had_and_doors_opened():
    level = Level("heist", 2, "memory")
    player, owned, doors = heist.expert(level), [], []
    for _ in range(400):
        seen = heist.look(level)
        owned.append(len(seen.keys))
        doors.append(len(seen.things[heist.DOOR]))
        assert len(seen.keys) + len(seen.things[heist.KEY]) == 3
        if level.step(player())[1]:
            break
    assert owned[0] == 0 and owned == sorted(owned) and owned[-1] > 0
    assert doors[0] == 3 and doors == sorted(doors, reverse=True) and doors[-1] < 3


def test_a_learner_searches_and_then_remembers():
    """It takes longer than the expert in its first episode, and as long in the end, or nearly: it may not know all short cuts."""
    first, last, best = [], [], []
    for number in LEVELS:
        level = Level("heist", number, "memory")
        played = heist.searched(level, 4, settings(), 600)
        lengths = np.diff(played.episode_start).reshape(2, 3)
        assert (
            (played.returns() == 10).all()
            and (played.episode_task == 4).all()
            and played.episode_history.tolist() == [0, 0, 0, 1, 1, 1]
        )
        level.reset()
        player, steps = heist.expert(level), 1
        while not level.step(player())[1]:
            steps += 1
        assert (lengths >= steps - 3).all()
        first.append(lengths[:, 0].mean())
        last.append(lengths[:, -1].mean())
        best.append(steps)
    assert sum(first) > 1.2 * sum(best)
    assert sum(last) < 1.05 * sum(best)


def test_a_learner_does_not_see_what_is_far_away():
    """Where the gem is hidden from view does not change its way before it gets there."""
    level = Level("heist", 4, "memory")  # without keys, 21 cells wide
    ways = []
    for moved in (False, True):
        learner = heist.Learner(level, heist.SIDES, knows=False)
        gem = next(iter(learner.map.things[heist.GEM]))
        if moved:
            learner.map.things[heist.GEM] = {(0, 0): 0}
        level.reset()
        cells = []
        while not learner.known[gem]:
            cells.append(heist.look(level).cell)
            level.step(learner())
        ways.append(cells)
    assert len(ways[0]) > 20 and ways[0] == ways[1]


def test_histories_are_what_the_game_shows_and_labels_lead_to_the_gem():
    level = Level("heist", 1, "memory")
    played = heist.searched(level, 0, settings(epsilon_first=0.5, epsilon_episodes=3), 120)
    wandered = 0
    for begin, end in pairwise(played.episode_start.tolist()):
        level.reset()
        player = heist.expert(level)
        for step in range(begin, end):
            assert (level.frame == played.observations[step]).all()
            assert player() == played.labels[step, 0]
            wandered += played.actions[step, 0] != played.labels[step, 0]
            assert level.step(int(played.actions[step, 0]))[0] == played.rewards[step]
    again = heist.searched(level, 0, settings(epsilon_first=0.5, epsilon_episodes=3), 120)
    fading = heist.searched(level, 0, settings(episodes=6, epsilon_first=1.0, epsilon_episodes=6), 120)
    agree = np.split((fading.actions == fading.labels)[:, 0], fading.episode_start[1:-1])
    assert np.mean([agree[0].mean(), agree[6].mean()]) < 0.3 and np.mean([agree[5].mean(), agree[11].mean()]) > 0.5
    assert (again.actions == played.actions).all() and wandered > 20
    assert len(played.observations) == played.episode_start[-1] == len(played.labels)
