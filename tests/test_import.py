"""`source: import`: published files become the very histories that they were made from, and bad ones are named."""

import numpy as np
import pytest

from histories import PPO
from radt.data import trajectories
from radt.data.trajectories import join
from radt.errors import RadtError
from radt.suites import suite_of
from radt.suites.grid import published
from radt.suites.grid.qlearning import learn
from radt.suites.grid.splits import goals
from test_trajectories import files, stage


def change(path, **arrays):
    """Replace arrays of a published file; None removes one."""
    with np.load(path) as file:
        columns = dict(file) | arrays
    np.savez_compressed(path, **{key: values for key, values in columns.items() if values is not None})


@pytest.fixture
def path(published_folder, room):
    return published_folder / published.file_names(room)[2][0]


def test_file_names(room):
    names = published.file_names(room)
    assert list(names) == list(range(8))
    assert names[0] == ("[0,0]_[{},{}].npz".format(*goals(room)[0]),)


def test_converts_finished_episodes_in_order(published_folder, room, generate):
    expected, shards = learn(room, generate), list(published.convert(published_folder, room))
    assert [len(shard.episode_task) for shard in shards] == [generate.episodes] * 8
    whole = join(shards)
    for column in trajectories.columns(suite_of(room).spec):
        np.testing.assert_array_equal(getattr(whole, column), getattr(expected, column))
        assert getattr(whole, column).dtype == trajectories.columns(suite_of(room).spec)[column]


def test_stage(tmp_path, published_folder, room, generate):
    download = {"repository": "a/b", "revision": "0" * 40, "folder": "4x3", "checksums": None}
    settings = {
        "source": "import",
        "generate": generate.model_dump(),
        "ppo": PPO,
        "download": download,
        "import_folder": str(published_folder),
    }
    (published_folder / "[0,0]_[9,9].npz").write_bytes(b"a file of another goal is never opened")
    results = [stage(tmp_path / name, room, settings) for name in "ab"]
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 2
    assert files(tmp_path / "a") == files(tmp_path / "b")
    read = trajectories.read(tmp_path / "a", suite_of(room))
    assert read.shards[0].actions.tolist() == learn(room, generate).actions.tolist()
    assert sorted(read.manifest["source"]["files"]) == sorted(name for (name,) in published.file_names(room).values())


def test_missing_folder_and_file(published_folder, room, path):
    with pytest.raises(RadtError, match=r"nowhere is not a folder: set trajectories\.import_folder"):
        published.checksums(published_folder / "nowhere", room)
    path.unlink()
    with pytest.raises(RadtError, match=r"lacks 1 of 8 files, first '\[0,0\]_\[\d,\d\]\.npz'"):
        published.checksums(published_folder, room)
    with pytest.raises(RadtError, match="is missing"):
        list(published.convert(published_folder, room))


@pytest.mark.parametrize("key", published.COLUMNS)
def test_missing_key(published_folder, room, path, key):
    change(path, **{key: None})
    with pytest.raises(RadtError, match=f"has no array '{key}'"):
        list(published.convert(published_folder, room))


def test_pickled_content_is_never_loaded(published_folder, room, path, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    change(path, rewards=np.array([Bomb()], dtype=object))
    with pytest.raises(RadtError, match="holds pickled objects, which radt never loads"):
        list(published.convert(published_folder, room))
    with path.open("wb") as file:
        np.save(file, np.array([Bomb()], dtype=object))
    with pytest.raises(RadtError, match="pickled"):
        list(published.convert(published_folder, room))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_cut_off_file(published_folder, room, path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RadtError, match=r"npz is damaged|npz holds pickled"):
        list(published.convert(published_folder, room))


def test_flipped_byte(published_folder, room, path):
    content = bytearray(path.read_bytes())
    content[120] ^= 255
    path.write_bytes(content)
    with pytest.raises(RadtError, match="is damaged"):
        list(published.convert(published_folder, room))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"observations": np.zeros((43, 2, 2), np.uint8)},
            r"has observations uint8 \[43, 2, 2\], allowed are numbers \[N, 1, 2\]",
        ),
        ({"rewards": np.zeros((43, 4), np.float32)}, r"has rewards float32 \[43, 4\]"),
        ({"actions": np.zeros((), np.int64)}, r"has actions int64 \[\]"),
        ({"actions": np.full((43, 1), "a")}, r"has actions <U1"),
        ({"actions": np.zeros((20, 1, 1), np.int64)}, "has 43 dones for 20 actions"),
        ({"actions": np.full((43, 1, 1), 5)}, "actions that are not whole numbers below 5"),
        ({"actions": np.full((43, 1, 1), 0.5)}, "actions that are not whole numbers"),
        ({"observations": np.full((43, 1, 2), 3, np.uint8)}, "observations that are not whole numbers below"),
        ({"observations": np.zeros((43, 1, 2), np.uint8)}, "is not where its actions lead, at step"),
        ({"observations": np.ones((43, 1, 2), np.uint8)}, "has an episode that does not begin at the start"),
        ({"next_observations": np.full((43, 1, 2), -1)}, "next_observations that are not"),
        ({"next_observations": np.zeros((43, 1, 2))}, "is not where its actions lead, at step"),
        ({"rewards": np.full((43, 1), np.nan)}, r"holds numbers that are not finite \(rewards\)"),
        ({"rewards": np.zeros((20, 1))}, "has 20 rewards for 43 actions"),
        ({"rewards": np.ones((43, 1))}, r"pays 1 at step \d of episode 0, where {'goal': \[\d, \d\]} does not"),
        ({"dones": np.zeros((43, 1))}, "has no finished episode"),
        ({"dones": np.ones((43, 1))}, "does not begin at the start"),
        ({"dones": np.eye(43)[:, [39]]}, "an episode of 40 steps, but the horizon is 8"),
    ],
)
def test_bad_content(published_folder, room, path, arrays, message):
    change(path, **arrays)
    with pytest.raises(RadtError, match=message):
        list(published.convert(published_folder, room))
