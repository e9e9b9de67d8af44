"""Means, interquartile means and bootstrap intervals against slow twins and closed forms."""

import numpy as np
import pytest

from radt.evaluation import statistics
from radt.seeding import generator


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_mean_is_over_seeds_and_tasks():
    scores = normal(0, 3, 4, 5)
    slow = [sum(scores[s, t, e] for s in range(3) for t in range(4)) / 12 for e in range(5)]
    np.testing.assert_allclose(statistics.mean(scores), slow)


def test_interquartile_mean_by_hand():
    # 10 values: rliable cuts int(2.5) = 2 at each end
    scores = np.array([[100.0, 3, 4, 5, -100], [6, 7, 8, 50, -50]])
    assert statistics.interquartile_mean(scores) == pytest.approx((3 + 4 + 5 + 6 + 7 + 8) / 6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 20), (7, 13)])
def test_interquartile_mean_cuts_a_quarter_at_each_end(shape: tuple[int, int]):
    scores = normal(5, *shape)
    values = sorted(scores.ravel())
    cut = len(values) // 4
    assert statistics.interquartile_mean(scores) == pytest.approx(np.mean(values[cut : len(values) - cut]))


def wins(ours: np.ndarray, others: np.ndarray) -> float:
    """Share of won pairs of runs, ties as half, pair by pair and task by task."""
    tasks = range(ours.shape[1])
    return np.mean([np.mean([(a > b) + (a == b) / 2 for a in ours[:, t] for b in others[:, t]]) for t in tasks])


@pytest.mark.parametrize(("seeds", "other_seeds", "tasks"), [(3, 3, 20), (1, 4, 7), (5, 2, 1)])
def test_probability_of_improvement_counts_won_pairs(seeds: int, other_seeds: int, tasks: int):
    random = np.random.default_rng(6)
    ours, others = (random.integers(4, size=(n, tasks)).astype(float) for n in (seeds, other_seeds))  # many ties
    found = statistics.probability_of_improvement(ours, others)
    assert found == pytest.approx(wins(ours, others))
    assert found + statistics.probability_of_improvement(others, ours) == pytest.approx(1.0)


def test_probability_of_improvement_of_equals_and_of_dominance():
    scores = normal(7, 3, 20)
    assert statistics.probability_of_improvement(np.full((3, 5), 2.0), np.full((3, 5), 2.0)) == 0.5
    assert statistics.probability_of_improvement(scores + 100, scores) == 1.0
    assert statistics.improvement_interval(scores + 100, scores, 50, 0.95, generator(0, "bootstrap")) == (1.0, 1.0)


def test_improvement_interval_equals_a_slow_loop_over_the_same_draws():
    ours, others = normal(8, 3, 6), normal(9, 4, 6)
    random = generator(3, "bootstrap")
    first, second = random.integers(3, size=(200, 3)), random.integers(4, size=(200, 4))
    tasks = random.integers(6, size=(200, 1, 6))
    slow = [wins(ours[a][:, t[0]], others[b][:, t[0]]) for a, b, t in zip(first, second, tasks, strict=True)]
    found = statistics.improvement_interval(ours, others, 200, 0.9, generator(3, "bootstrap"))
    np.testing.assert_allclose(found, np.quantile(slow, [0.05, 0.95]))


def test_bootstrap_equals_a_slow_loop_over_the_same_draws():
    scores = normal(1, 3, 5, 4)
    fast = statistics.bootstrap_means(scores, 50, generator(0, "bootstrap"))
    random = generator(0, "bootstrap")
    drawn_seeds, drawn_tasks = random.integers(3, size=(50, 3, 1)), random.integers(5, size=(50, 3, 5))
    for sample in range(50):
        total = np.zeros(4)
        for place in range(3):
            for task in drawn_tasks[sample, place]:
                total += scores[drawn_seeds[sample, place, 0], task]
        np.testing.assert_allclose(fast[sample], total / 15)


def test_bootstrap_spread_has_its_closed_form():
    # variance of a two-stage resample: between seeds / S + mean variance within seeds / (S T)
    scores = normal(2, 4, 10) + 2.0 * normal(3, 4, 1)
    means = statistics.bootstrap_means(scores, 40_000, generator(0, "bootstrap"))
    variance = scores.mean(axis=1).var() / 4 + scores.var(axis=1).mean() / 40
    assert means.mean() == pytest.approx(scores.mean(), abs=5 * np.sqrt(variance / 40_000))
    assert means.var() == pytest.approx(variance, rel=0.03)
    low, high = statistics.interval(scores, 40_000, 0.95, generator(0, "bootstrap"))
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.05)


def test_interval_covers_the_mean_of_a_simulated_normal():
    random, hits = generator(0, "simulation"), 0
    for _ in range(300):
        scores = 1.0 + 0.3 * random.normal(size=(10, 1)) + random.normal(size=(10, 20))
        low, high = statistics.interval(scores, 400, 0.95, random)
        hits += bool(low <= 1.0 <= high)
    assert 0.90 <= hits / 300 <= 0.99


def test_interval_of_many_episodes_equals_that_of_each():
    scores = normal(4, 3, 6, 7)
    low, high = statistics.interval(scores, 200, 0.9, generator(1, "bootstrap"))
    for episode in range(7):
        alone = statistics.interval(scores[:, :, episode], 200, 0.9, generator(1, "bootstrap"))
        np.testing.assert_allclose([low[episode], high[episode]], alone)


def test_resample_draws_whole_seeds_then_tasks_of_each():
    drawn = statistics.resample(seeds=3, tasks=4, samples=500, generator=generator(0, "bootstrap")).reshape(500, 3, 4)
    assert (drawn // 4 == drawn[:, :, :1] // 4).all()
    assert set((drawn // 4).ravel()) == {0, 1, 2} and set((drawn % 4).ravel()) == {0, 1, 2, 3}


def test_constant_scores_have_an_interval_of_no_width():
    low, high = statistics.interval(np.full((2, 5), 7.0), 100, 0.95, generator(0, "bootstrap"))
    assert low == pytest.approx(7.0) and high == pytest.approx(7.0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (5, 1), (1, 4, 3), (3, 1, 2)])
def test_fewer_than_two_seeds_or_tasks_have_no_interval(shape: tuple[int, ...]):
    """One of the two stages would draw the same again and again."""
    low, high = statistics.interval(normal(10, *shape), 50, 0.95, generator(0, "bootstrap"))
    assert low.shape == high.shape == shape[2:] and np.isnan([low, high]).all()


@pytest.mark.parametrize(("seeds", "other_seeds", "tasks"), [(1, 1, 1), (1, 3, 20), (3, 1, 20), (3, 3, 1)])
def test_chance_of_fewer_than_two_seeds_or_tasks_has_no_interval(seeds: int, other_seeds: int, tasks: int):
    ours, others = normal(11, seeds, tasks), normal(12, other_seeds, tasks)
    assert np.isnan(statistics.improvement_interval(ours, others, 50, 0.95, generator(0, "bootstrap"))).all()
    assert np.isnan(statistics.probability_of_improvement(ours, others)) == (seeds * other_seeds * tasks == 1)
