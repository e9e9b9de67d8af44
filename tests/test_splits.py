"""Goals, keys, mazes and splits against the lists of the published environment settings."""

import numpy as np
import pytest

from radt.settings.experiment import Experiment
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.splits import goals, keys, maze_seeds, tasks_of
from radt.suites.grid.worlds import optimum

# width, height, horizon, first goals, first held-out goals, mean optimum of the training and of the held-out goals
PUBLISHED = [
    (10, 10, 100, [[2, 0], [0, 2], [1, 5], [2, 2], [5, 7]], [[9, 0], [8, 4], [3, 4], [6, 5], [7, 5]], 91.2, 90.05),
    (20, 20, 400, [[2, 15], [13, 11], [19, 10]], [[16, 12], [9, 15], [1, 6]], 381.7, 377.25),
    (40, 20, 800, [[29, 6], [38, 6], [36, 2]], [[14, 13], [31, 2], [5, 19]], 770.3, 773.2),
]


def experiment(
    width=10, height=10, horizon=100, num_tasks=100, num_held_out=20, num_validation=0, world="darkroom", split_seed=None
) -> Experiment:
    return GridExperiment(
        world=world,
        width=width,
        height=height,
        horizon=horizon,
        num_tasks=num_tasks,
        num_held_out=num_held_out,
        num_validation=num_validation,
        split_seed=split_seed,
    )


@pytest.mark.parametrize(("width", "height", "horizon", "first", "held_out", "train_optimum", "held_out_optimum"), PUBLISHED)
def test_published_lists(width, height, horizon, first, held_out, train_optimum, held_out_optimum):
    room = experiment(width, height, horizon)
    positions = goals(room)
    assert positions.shape == (100, 2) and len(np.unique(positions, axis=0)) == 100
    assert positions[: len(first)].tolist() == first
    assert positions[80 : 80 + len(held_out)].tolist() == held_out
    # The published means count horizon - distance, also for a goal on the start cell, which can be had one step later only.
    distances = positions.sum(axis=1)
    assert (horizon - distances[:80]).mean() == pytest.approx(train_optimum, abs=0.051)
    assert (horizon - distances[80:]).mean() == pytest.approx(held_out_optimum, abs=1e-9)
    np.testing.assert_array_equal(optimum(room), horizon - distances - (distances == 0))


def test_validation_is_cut_from_the_end_of_the_training_goals():
    room = experiment(num_validation=16)
    assert room.splits == ["train"] * 64 + ["validation"] * 16 + ["held_out"] * 20
    assert tasks_of(room, "validation").tolist() == list(range(64, 80))
    assert tasks_of(room, "held_out").tolist() == tasks_of(experiment(), "held_out").tolist()
    np.testing.assert_array_equal(goals(room), goals(experiment()))
    assert tasks_of(experiment(), "validation").size == 0


def test_small_room():
    room = experiment(5, 5, 20, num_tasks=25, num_held_out=5, num_validation=2)
    assert sorted(map(tuple, goals(room).tolist())) == [(x, y) for x in range(5) for y in range(5)]
    assert len(tasks_of(room, "train")) == 18


@pytest.mark.parametrize(("width", "height", "horizon"), [(4, 3, 9), (2, 1, 3), (3, 2, 2), (5, 1, 1)])
def test_optimum_is_what_the_best_policy_gets(width, height, horizon):
    """Dynamic programming over the steps of an episode, with the rules of the room written out once more."""
    room = experiment(width, height, horizon, num_tasks=width * height, num_held_out=1)
    for (goal_x, goal_y), best in zip(goals(room).tolist(), optimum(room), strict=True):
        value = np.zeros((height, width))
        for step in reversed(range(horizon)):
            pay = np.zeros((height, width))
            pay[goal_y, goal_x] = step < horizon - 1
            arrive = np.pad(value + pay, 1, mode="edge")
            value = np.max([arrive[1:-1, 1:-1], arrive[:-2, 1:-1], arrive[2:, 1:-1], arrive[1:-1, :-2], arrive[1:-1, 2:]], axis=0)
        assert value[0, 0] == best


def test_published_keys():
    """Pairs of key and door that are known; at 10x10 one key was moved, which the generator puts on its door."""
    room = experiment(world="keydoor")
    pairs = list(zip(keys(room).tolist(), goals(room).tolist(), strict=True))
    assert pairs[0] == ([8, 3], [2, 0]) and pairs[81] == ([3, 1], [8, 4])
    assert ([0, 0], [7, 9]) in pairs[:80] and ([3, 3], [0, 0]) in pairs[:80]
    assert not [key for key, door in pairs if key == door]
    middle = experiment(20, 20, 400, world="keydoor")
    pairs = list(zip(keys(middle).tolist(), goals(middle).tolist(), strict=True))
    assert ([0, 0], [19, 16]) in pairs and ([5, 1], [0, 0]) in pairs
    large = experiment(40, 20, 800, world="keydoor")
    pairs = list(zip(keys(large).tolist(), goals(large).tolist(), strict=True))
    assert [key for key, door in pairs[:80] if key == door] == [[19, 18]]
    np.testing.assert_array_equal(goals(large), goals(experiment(40, 20, 800)))


def test_other_splits_hold_out_other_tasks():
    """Every cell is a goal once, whatever the seed; no key lies on its door; the same seed gives the same tasks."""
    pairs = {}
    for seed in (None, *range(40)):
        room = experiment(world="keydoor", split_seed=seed)
        pairs[seed] = [*map(tuple, np.hstack([keys(room), goals(room)]).tolist())]
        for chosen in (keys(room), goals(room)):
            assert len({*map(tuple, chosen.tolist())}) == 100 or seed is None  # one published key was moved onto another cell
        assert not (keys(room) == goals(room)).all(1).any()
        np.testing.assert_array_equal(goals(room), goals(experiment(split_seed=seed)))
    held_out = {frozenset(pair[2:] for pair in tasks[80:]) for tasks in pairs.values()}
    assert len(held_out) == 41
    again = experiment(world="keydoor", split_seed=3)
    assert [*map(tuple, np.hstack([keys(again), goals(again)]).tolist())] == pairs[3]


def test_a_published_split_is_not_named_in_the_settings():
    """Records of results that were made before the setting existed stay those of the same settings."""
    assert "split_seed" not in experiment().model_dump(mode="json")
    assert experiment(split_seed=0).model_dump(mode="json")["split_seed"] == 0
    with pytest.raises(ValueError, match="split_seed is 1, allowed is null: mazerunner"):
        experiment(15, 15, 400, num_tasks=119, world="mazerunner", split_seed=1)


def test_published_mazes():
    seeds = maze_seeds(experiment(15, 15, 400, num_tasks=119, world="mazerunner")).tolist()
    assert seeds[:6] == [0, 1, 3, 4, 6, 7] and seeds[98] == 121 and seeds[99:] == list(range(300, 320))
    assert len(set(seeds[:99])) == 99 and not {2, 5, 41, 115} & set(seeds)
    few = maze_seeds(experiment(15, 15, 400, num_tasks=6, num_held_out=2, world="mazerunner"))
    assert few.tolist() == [0, 1, 3, 4, 300, 301]
