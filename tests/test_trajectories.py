"""The format on disk: what comes back, what is refused, and what is left when writing fails."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from histories import DOWNLOAD, PPO
from radt.artifacts import read_tensors, sha256, write_tensors
from radt.data import trajectories
from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.interruption import interruption
from radt.settings.experiment import Experiment
from radt.settings.sources import Generate
from radt.stages import run
from radt.stages import trajectories as stages
from radt.suites import suite_of
from radt.suites.grid.qlearning import learn
from radt.suites.grid.splits import goals
from radt.suites.grid.worlds import optimum

SOURCE = {"name": "test", "seed": 7}


def one_task(histories: Shard, task: int, episodes: int, horizon: int) -> Shard:
    """The learning history of one task cut out of that of all (training tasks are 0, 1, 2, ...)."""
    steps, rows = slice(task * episodes * horizon, (task + 1) * episodes * horizon), slice(task * episodes, (task + 1) * episodes)
    start = np.arange(episodes + 1, dtype=np.int64) * horizon
    columns = (
        histories.observations[steps],
        histories.actions[steps],
        histories.rewards[steps],
        start,
        histories.episode_task[rows],
        histories.episode_history[rows],
    )
    return Shard(*columns)


@pytest.fixture
def histories(room: Experiment, generate: Generate) -> Shard:
    return learn(room, generate)


@pytest.fixture
def written(tmp_path: Path, room: Experiment, generate: Generate, histories: Shard) -> Path:
    """A directory with two shards, of four tasks each."""
    tasks = [one_task(histories, task, generate.episodes, room.horizon) for task in range(8)]
    trajectories.write(
        tmp_path / "data", "tiny", suite_of(room), SOURCE, tasks, shard_steps=4 * generate.episodes * room.horizon + 1
    )
    return tmp_path / "data"


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def forge(directory: Path, **changes: object) -> None:
    """Change the manifest and make its checksum fit again."""
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8")) | changes
    manifest["checksum"] = trajectories._checksum(manifest)
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_comes_back(written, room, histories):
    read = trajectories.read(written, suite_of(room))
    assert len(read.manifest["shards"]) == len(read.shards) == 2 and len(files(written)) == 3
    whole = trajectories.join(read.shards)
    for column, dtype in trajectories.columns(suite_of(room).spec).items():
        assert all(getattr(shard, column).dtype == dtype for shard in read.shards)
        np.testing.assert_array_equal(getattr(whole, column), getattr(histories, column))


@pytest.mark.parametrize("shard_steps", [1, 10**6])
def test_shards_are_mapped(tmp_path, room, generate, histories, shard_steps):
    tasks = [one_task(histories, task, generate.episodes, room.horizon) for task in range(8)]
    trajectories.write(tmp_path / "data", "tiny", suite_of(room), SOURCE, tasks, shard_steps)
    read = trajectories.read(tmp_path / "data", suite_of(room))
    assert len(read.shards) == (8 if shard_steps == 1 else 1)
    assert all(
        isinstance(getattr(shard, column), np.memmap)
        for shard in read.shards
        for column in trajectories.columns(suite_of(room).spec)
    )


def test_manifest(written, room, histories, generate):
    manifest = json.loads((written / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"] == SOURCE and manifest["room"] == room.model_dump()
    assert (manifest["episodes"], manifest["steps"]) == (8 * generate.episodes, 8 * generate.episodes * room.horizon)
    assert [row["goal"] for row in manifest["tasks"]] == goals(room).tolist()
    assert [row["optimum"] for row in manifest["tasks"]] == optimum(room).tolist()
    assert [row["split"] for row in manifest["tasks"]] == ["train"] * 8 + ["validation"] + ["held_out"] * 3
    assert [row["episodes"] for row in manifest["tasks"]] == [generate.episodes] * 8 + [0] * 4
    returns = histories.rewards.reshape(8, generate.episodes, room.horizon).sum(axis=2)
    np.testing.assert_allclose([row["return_last_10"] for row in manifest["tasks"][:8]], returns.mean(axis=1), atol=1e-4)
    np.testing.assert_array_equal(histories.returns(), returns.reshape(-1))


def test_episodes_of_different_lengths(tmp_path, room):
    start = np.array([0, 3, 8, 9])
    tasks, history = np.array([4, 4, 1], np.int32), np.array([0, 1, 0], np.int32)
    shard = Shard(np.zeros((9, 2), np.uint8), np.zeros((9, 1), np.uint8), np.ones(9, np.float32), start, tasks, history)
    trajectories.write(tmp_path, "tiny", suite_of(room), SOURCE, [shard])
    read = trajectories.read(tmp_path, suite_of(room))
    assert read.shards[0].returns().tolist() == [3, 5, 1] and read.shards[0].episode_task.tolist() == [4, 4, 1]
    assert read.shards[0].episode_history.tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", ["manifest.json", "tasks_"])
@pytest.mark.parametrize("place", [0.01, 0.5, 0.999])
def test_flipped_bit(written, room, name, place):
    path = next(written.glob(f"{name}*"))
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(RadtError, match=rf"{path.name} .*run"):
        trajectories.read(written, suite_of(room))


def test_missing_shard(written, room):
    path = next(written.glob("tasks_*"))
    path.unlink()
    with pytest.raises(RadtError, match=f"{path.name} is missing: run the trajectories stage again"):
        trajectories.read(written, suite_of(room))


def test_missing_manifest(written, room):
    (written / "manifest.json").unlink()
    with pytest.raises(RadtError, match=r"manifest\.json is missing"):
        trajectories.read(written, suite_of(room))


def test_the_name_of_the_experiment_does_not_matter(written, room):
    """Variants of an experiment share its learning histories."""
    manifest = trajectories.read(written, suite_of(room)).manifest
    forge(written, experiment="renamed")
    assert trajectories.read(written, suite_of(room)).manifest["shards"] == manifest["shards"]


@pytest.mark.parametrize(("key", "value"), [("width", 5), ("horizon", 9), ("num_held_out", 2), ("num_validation", 0)])
def test_other_room(written, room, key, value):
    with pytest.raises(RadtError, match=rf"experiments\.tiny\.{key} {getattr(room, key)}, now it is {value}"):
        trajectories.read(written, suite_of(room.model_copy(update={key: value})))


def without_spec(directory: Path) -> None:
    """Make a directory one of format 3, whose manifest has no spec."""
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    manifest = {key: value for key, value in manifest.items() if key != "spec"} | {"version": 3}
    manifest["checksum"] = trajectories._checksum(manifest)
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_old_names_of_an_experiment_are_read(written, room):
    manifest = json.loads((written / "manifest.json").read_text(encoding="utf-8"))
    old = {key.removeprefix("num_"): value for key, value in manifest["room"].items()}
    assert {"tasks", "held_out", "validation"} < old.keys()
    forge(written, room=old)
    assert trajectories.read(written, suite_of(room)).manifest["room"] == old
    forge(written, room=old | {"held_out": 2})
    with pytest.raises(RadtError, match=r"experiments\.tiny\.num_held_out 2, now it is 3"):
        trajectories.read(written, suite_of(room))


def test_format_3_is_read_as_codes(written, room, histories):
    without_spec(written)
    read = trajectories.join(trajectories.read(written, suite_of(room)).shards)
    np.testing.assert_array_equal(read.actions, histories.actions)
    np.testing.assert_array_equal(read.observations, histories.observations)


@pytest.mark.parametrize("version", [3, 4])
def test_columns_of_another_type_or_form_are_refused(written, room, version):
    manifest = json.loads((written / "manifest.json").read_text(encoding="utf-8"))
    path = written / manifest["shards"][0]["file"]
    whole = {name: np.array(values) for name, values in read_tensors(path).items()}
    for change, words in (
        (
            {"observations": whole["observations"].astype(np.float32)},
            "observations of type float32, but the experiment has uint8",
        ),
        ({"actions": whole["actions"].astype(np.float32)}, "actions of type float32, but the experiment has uint8"),
        ({"actions": whole["actions"][:, None]}, "dimensions are not those of its observations and actions"),
        ({"actions": np.full_like(whole["actions"], 5)}, "has action 5, allowed are 0 to 4"),
    ):
        write_tensors(path, {**whole, **change})
        forge(written, shards=[{**manifest["shards"][0], "sha256": sha256(path)}, manifest["shards"][1]])
        if version == 3:
            without_spec(written)
        with pytest.raises(RadtError, match=f"{path.name} .*{words}: run"):
            trajectories.read(written, suite_of(room))
        forge(written, version=4, spec=manifest["spec"])


def test_other_formats(written, room):
    forge(written, version=1)
    with pytest.raises(RadtError, match="format version 1, this radt reads 3 and 4"):
        trajectories.read(written, suite_of(room))
    (written / "manifest.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RadtError, match="does not describe trajectories"):
        trajectories.read(written, suite_of(room))


@pytest.mark.parametrize(
    ("task", "message"), [(8, "the validation task 8"), (11, "the held_out task 11"), (12, "task 12, but"), (-1, "task -1")]
)
@pytest.mark.guarantee
def test_g9_only_training_tasks_are_written(tmp_path, room, histories, task, message):
    foreign = dataclasses.replace(histories, episode_task=np.where(histories.episode_task == 7, task, histories.episode_task))
    with pytest.raises(RadtError, match=message):
        trajectories.write(tmp_path / "data", "tiny", suite_of(room), SOURCE, [foreign])
    assert not (tmp_path / "data").exists()


@pytest.mark.guarantee
def test_g9_only_training_tasks_are_read(tmp_path, room, histories):
    """A directory made when task 7 was a training task, with a manifest that hides it."""
    wider = room.model_copy(update={"num_validation": 0, "num_held_out": 4})
    trajectories.write(tmp_path, "tiny", suite_of(wider), SOURCE, [histories])
    stricter = room.model_copy(update={"num_validation": 2})
    forge(tmp_path, room=stricter.model_dump())
    with pytest.raises(RadtError, match="the validation task 7, which must never be trained on"):
        trajectories.read(tmp_path, suite_of(stricter))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"episode_task": np.array([0, 1, 0])}, "mixes the episodes"),
        ({"episode_start": np.array([0, 3, 3, 9])}, "lengths do not agree"),
        ({"episode_start": np.array([0, 3, 8, 10])}, "lengths do not agree"),
        ({"episode_start": np.array([0, 3, 9])}, "lengths do not agree"),
        ({"rewards": np.zeros(8, np.float32)}, "lengths do not agree"),
        ({"observations": np.full((9, 2), 3, np.uint8)}, "has 3 as number 0 of an observation, allowed are 0 to 2"),
        ({"episode_start": np.array([0, 0, 0, 9])}, "lengths do not agree"),
        ({"episode_history": np.zeros(2, np.int32)}, "lengths do not agree"),
        ({"episode_history": np.array([0, 0, 1])}, "mixes learning histories"),
        ({"episode_history": np.array([0, 2, 0])}, "mixes learning histories"),
        ({"episode_history": np.array([1, 0, 0])}, "mixes learning histories"),
    ],
)
def test_inconsistent_shards_are_refused(tmp_path, room, change, message):
    start, task = np.array([0, 3, 8, 9]), np.array([0, 0, 1])
    shard = Shard(
        np.zeros((9, 2), np.uint8), np.zeros((9, 1), np.uint8), np.zeros(9, np.float32), start, task, np.zeros(3, np.int32)
    )
    with pytest.raises(RadtError, match=message):
        trajectories.write(tmp_path, "tiny", suite_of(room), SOURCE, [dataclasses.replace(shard, **change)])


def test_too_long_episode_twice_a_task_and_nothing(tmp_path, room, histories):
    fewer = {name: getattr(histories, name)[::5] for name in ("episode_start", "episode_task", "episode_history")}
    long = dataclasses.replace(histories, **fewer)
    with pytest.raises(RadtError, match="horizon 8"):
        trajectories.write(tmp_path, "tiny", suite_of(room), SOURCE, [long])
    with pytest.raises(RadtError, match="gives task 0 twice"):
        trajectories.write(tmp_path, "tiny", suite_of(room), SOURCE, [histories, histories], shard_steps=1)
    with pytest.raises(RadtError, match="gives no trajectories"):
        trajectories.write(tmp_path, "tiny", suite_of(room), SOURCE, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("flushes", range(6))
def test_failed_write_leaves_the_old_data(written, room, generate, monkeypatch, error, flushes):
    """Failure at each flush: of a shard and of its directory, twice, and of the manifest; then the new data are in place."""
    before, calls = files(written), []

    def fail(handle: int) -> None:
        calls.append(handle)
        if len(calls) > flushes:
            raise error

    other = learn(room, generate.model_copy(update={"seed": 8}))
    tasks = [one_task(other, task, generate.episodes, room.horizon) for task in range(8)]
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        trajectories.write(written, "tiny", suite_of(room), SOURCE, tasks, shard_steps=4 * generate.episodes * room.horizon)
    assert (files(written) == before) == (flushes < 5)
    trajectories.read(written, suite_of(room))


def test_new_data_replace_old_ones(written, room, generate):
    partial, mine = written / f".tasks_{'0' * 16}.safetensors.partial", written / "tasks_mine.safetensors"
    partial.write_text("left by a killed run", encoding="utf-8")
    before = files(written)
    mine.write_text("somebody's own", encoding="utf-8")
    trajectories.write(written, "tiny", suite_of(room), SOURCE, [learn(room, generate.model_copy(update={"seed": 8}))])
    mine.unlink()
    after = files(written)
    assert len(after) == 2 and before.keys() & after.keys() == {"manifest.json"}
    trajectories.read(written, suite_of(room))


def test_damaged_shard_is_written_again(written, room, generate, histories):
    before = files(written)
    next(written.glob("tasks_*")).write_bytes(b"")
    tasks = [one_task(histories, task, generate.episodes, room.horizon) for task in range(8)]
    trajectories.write(written, "tiny", suite_of(room), SOURCE, tasks, shard_steps=4 * generate.episodes * room.horizon)
    assert files(written) == before


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (RadtError("a.csv is missing: make it"), 1, "error: a.csv is missing: make it\n"),
        (KeyboardInterrupt(), 130, "interrupted; run again: a training goes on from its last checkpoint\n"),
        (
            OSError(errno.ENOSPC, "No space left", "x/a.csv"),
            1,
            "error: no space left to write x/a.csv: free disk space and run again\n",
        ),
    ],
)
def test_run_turns_failures_into_a_sentence(capsys, error, status, message):
    def main(arguments: list[str]) -> int:
        raise error

    with pytest.raises(SystemExit) as caught:
        run(main)
    assert caught.value.code == status and capsys.readouterr().err == message


def test_run_keeps_status_and_other_tracebacks():
    with pytest.raises(SystemExit) as caught:
        run(lambda arguments: 0)
    assert caught.value.code == 0
    with pytest.raises(ZeroDivisionError):
        run(lambda arguments: 1 // 0)


def test_sigterm_is_an_interrupt(monkeypatch):
    for name in ("_asked", "_warned", "listening", "deferred"):  # trainings of other tests run in this process
        monkeypatch.setattr(interruption, name, False)
    with pytest.raises(SystemExit) as caught:
        run(lambda arguments: signal.raise_signal(signal.SIGTERM) or time.sleep(60) or 0)
    assert caught.value.code == 130
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def stage(output: Path, room: Experiment, settings: dict[str, object]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "radt.stages.trajectories", "--experiment", "tiny", "--output", str(output)]
    text = json.dumps({"experiment": room.model_dump(), "trajectories": settings})
    return subprocess.run([*command, "--settings", text], capture_output=True, encoding="utf-8", check=False)


def test_stage_is_byte_identical_in_fresh_processes(tmp_path, room, generate):
    sections = {"generate": generate.model_dump(), "ppo": PPO, "download": DOWNLOAD, "import_folder": None}
    settings = {"source": "generate", **sections}
    results = [stage(tmp_path / name, room, settings) for name in "ab"]
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 2
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert trajectories.read(tmp_path / "a", suite_of(room)).manifest["source"]["algorithm"] == "q-learning"
    other = stage(tmp_path / "a", room, settings | {"generate": generate.model_dump() | {"seed": 8}})
    assert other.returncode == 0 and files(tmp_path / "a") != files(tmp_path / "b")


def test_stage_refuses_bad_settings(tmp_path, room):
    result = stage(tmp_path / "a", room, {"source": "guess"})
    assert result.returncode == 1 and "trajectories.source" in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "a").exists()


def test_stage_on_a_full_disk(tmp_path, room, generate, monkeypatch):
    """The shard is written, the manifest goes to /dev/full, where the kernel itself answers that no space is left."""
    sections = {"source": "generate", "generate": generate.model_dump(), "ppo": PPO, "download": DOWNLOAD, "import_folder": None}
    settings = json.dumps({"experiment": room.model_dump(), "trajectories": sections})
    path_open = Path.open

    def open_full(path, mode="r", **how):
        return path_open(Path("/dev/full") if path.name == ".manifest.json.partial" else path, mode, **how)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(OSError, match="No space left") as caught:
        stages.main(["--experiment", "tiny", "--settings", settings, "--output", str(tmp_path)])
    assert caught.value.filename == f"{tmp_path}/manifest.json" and list(tmp_path.iterdir()) == []
