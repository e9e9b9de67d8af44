"""The scale benchmark's own arithmetic and data, on tiny sizes and without timing."""

import numpy as np
import pytest

from radt.bench import scale


def test_slopes_are_the_exponents():
    rows = [("keys", size, "exact search", 3.0 * size**1.5, "ms") for size in (10, 100, 1000)]
    rows += [("keys", size, "recall", 0.5, "") for size in (10, 100)] + [("tasks", 80, "generation", 1.0, "us")]
    assert [(axis, name, pytest.approx(value, abs=1e-6)) for axis, name, value in scale.slopes(rows)] == [
        ("keys", "exact search", pytest.approx(1.5)),
        ("keys", "recall", pytest.approx(0.0, abs=1e-6)),
    ]


def test_synthetic_histories_are_whole_tasks_that_differ():
    shards = list(scale.synthetic(300_000))
    assert [len(shard.actions) for shard in shards] == [100_000] * 3
    assert [set(shard.episode_task.tolist()) for shard in shards] == [{0}, {1}, {2}]
    assert not np.array_equal(shards[0].actions, shards[1].actions)


def test_clustered_keys_have_length_one_and_are_the_same_again():
    keys = scale.clustered(500)
    np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(keys, scale.clustered(500))


def test_the_table_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(
        scale, "tasks", lambda: iter([("tasks", 80, "generation", 1.25, "us"), ("tasks", 800, "generation", 2.5, "us")])
    )
    assert scale.main(["--only", "tasks", "--output", str(tmp_path)]) == 0
    assert scale.read(tmp_path / "scale.csv") == [
        ("tasks", 80, "generation", 1.25, "us"),
        ("tasks", 800, "generation", 2.5, "us"),
    ]
    assert (tmp_path / "scale.png").stat().st_size > 1000
    monkeypatch.setattr(scale, "tasks", lambda: iter([("tasks", 80, "generation", 5.0, "us")]))
    scale.main(["--only", "tasks", "--output", str(tmp_path)])
    assert [row[3] for row in scale.read(tmp_path / "scale.csv")] == [5.0, 2.5]
