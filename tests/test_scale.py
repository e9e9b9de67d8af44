"""The scale benchmark's own arithmetic and data, on tiny sizes and without timing."""

import numpy as np
import pytest

from bench import harness, scale
from radt.errors import RadtError


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


def test_the_table_comes_back_with_where_each_row_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "machine", lambda: "a machine, 2 cores")
    monkeypatch.setattr(scale, "commit", lambda: "abc1234")
    monkeypatch.setattr(
        scale, "tasks", lambda: iter([("tasks", 80, "generation", 1.25, "us"), ("tasks", 800, "generation", 2.5, "us")])
    )
    assert scale.main(["--only", "tasks", "--output", str(tmp_path)]) == 0
    assert scale.read(tmp_path / "scale.csv") == [
        (("tasks", 80, "generation", 1.25, "us"), "a machine, 2 cores", "abc1234"),
        (("tasks", 800, "generation", 2.5, "us"), "a machine, 2 cores", "abc1234"),
    ]
    assert (tmp_path / "scale.png").stat().st_size > 1000
    monkeypatch.setattr(scale, "tasks", lambda: iter([("tasks", 80, "generation", 5.0, "us")]))
    monkeypatch.setattr(scale, "commit", lambda: "def5678")
    scale.main(["--only", "tasks", "--output", str(tmp_path)])
    kept = scale.read(tmp_path / "scale.csv")
    assert [(entry.row[3], entry.commit) for entry in kept] == [(5.0, "def5678"), (2.5, "abc1234")]


def test_the_recorded_table_can_be_read():
    kept = scale.read(harness.ROOT / "docs" / "bench" / "scale.csv")
    assert kept and all(entry.machine and entry.commit for entry in kept)


@pytest.mark.parametrize("content", ["", "axis,size\ntasks,80\n", f"{','.join(scale.COLUMNS)}\ntasks,80\n", "# old\na,b\n"])
def test_a_foreign_table_is_one_sentence(tmp_path, content):
    (tmp_path / "scale.csv").write_text(content, encoding="utf-8")
    with pytest.raises(RadtError, match="holds no measurements of this version"):
        scale.main(["--only", "tasks", "--output", str(tmp_path)])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--folder", "missing"], r"^--folder is missing, which is no directory"),
        (["--keys", "3000", "0"], r"^--keys is 0, allowed is 100 or more"),
        (["--steps", "5"], r"^--steps is 5, allowed is a multiple of 100000"),
        (["--steps", "0"], r"^--steps is 0, allowed"),
        (["--steps", "150000"], r"^--steps is 150000, allowed"),
        (["--steps", "6553600000"], r"^--steps is 6553600000, allowed"),
    ],
)
def test_sizes_that_cannot_be_measured_are_one_sentence(tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RadtError, match=sentence):
        scale.main([*arguments, "--output", "out"])
    assert not list(tmp_path.iterdir())


def test_the_largest_synthetic_data_have_a_room():
    assert scale.wide_room(scale.MOST * scale.EACH).num_tasks == 256 * 256


def test_the_smallest_index_and_memory_are_measured(monkeypatch):
    monkeypatch.setattr(scale, "timed", lambda function, count, seconds: harness.timed(function, count, 0.0))
    found = {row[2]: row[3] for row in scale.keys((scale.WANTED,))}
    assert found["inverted lists, recall"] == 1.0 and found["exact search"] > 0
    monkeypatch.setattr(scale, "EPISODES", (2,))
    assert [row[:3] for row in scale.evaluation()] == [
        ("evaluation episodes", 2, "adding an episode"),
        ("evaluation episodes", 2, "query"),
    ]
