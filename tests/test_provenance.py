"""Records: several processes at work on one artifact, old files that Snakemake brings back, files that radt did not write,
records that nobody should have written."""

import contextlib
import errno
import fcntl
import multiprocessing
import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from radt import artifacts
from radt.commands.accept import accept
from radt.commands.explain import explain
from radt.commands.verify import verify
from radt.errors import RadtError
from radt.pipeline import atomic_stage, progress, provenance

STAGE = "radt.stages.trajectories"
RECORD = Path("results/x/provenance.json")
OLD, NEW = (f"tasks_{digit * 16}.safetensors" for digit in "01")


def make(content, names=("manifest.json", "learning.csv", OLD), record=RECORD, stage_name=STAGE, inputs=()):
    """Make an artifact of some files with one content."""

    def stage(arguments):
        folder = Path(arguments[arguments.index("--output") + 1])
        for name in names:
            (folder / name).write_text(content, encoding="utf-8")
        return 0

    return atomic_stage.make(stage, stage_name, record, list(inputs), ["--settings", "{}", "--output", str(record.parent)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results/x"


def make_often(errors):
    try:
        for number in range(60):
            make(f"{number}" * 20_000)
    except BaseException as error:
        errors.put(repr(error))


def read_often(stop, errors):
    try:
        while not stop.is_set():
            provenance.check([Path("results/x/manifest.json")])
            assert len({Path("results/x", name).stat().st_size for name in ("manifest.json", "learning.csv", OLD)}) <= 3
    except BaseException as error:
        errors.put(repr(error))


def test_readers_and_the_job_that_makes_an_artifact_do_not_disturb_each_other(folder):
    make("first" * 1000)
    context = multiprocessing.get_context("fork")
    stop, errors = context.Event(), context.Queue()
    readers = [context.Process(target=read_often, args=(stop, errors)) for _ in range(2)]
    maker = context.Process(target=make_often, args=(errors,))
    for process in (*readers, maker):
        process.start()
    maker.join()
    stop.set()
    for process in readers:
        process.join()
    assert errors.empty(), errors.get()
    assert provenance.problems(RECORD) == []


def test_two_readers_put_what_waits_in_place(folder):
    """The state that a job leaves which is killed right after its record was renamed."""
    make("old")
    make("new" * 100_000)
    waiting = folder / ".provenance"
    waiting.mkdir()
    for path in [path for path in folder.iterdir() if path.is_file() and path.name != RECORD.name]:
        shutil.move(path, waiting)
        path.write_text("old", encoding="utf-8")
    context = multiprocessing.get_context("fork")
    readers = [context.Process(target=provenance.check, args=([folder / "manifest.json"],)) for _ in range(4)]
    for process in readers:
        process.start()
    for process in readers:
        process.join()
    assert [process.exitcode for process in readers] == [0] * 4
    assert provenance.problems(RECORD) == [] and (folder / OLD).read_text(encoding="utf-8") == "new" * 100_000


def test_a_second_job_of_the_same_artifact_is_refused_and_changes_nothing(folder):
    make("old")

    def stage(arguments):
        with pytest.raises(RadtError, match=r"another job is writing into results/x/\.provenance: wait"):
            make("other")
        return 1

    with pytest.raises(RadtError, match="ended with status 1"):
        atomic_stage.make(stage, STAGE, RECORD, [], ["--settings", "{}", "--output", "results/x"])
    assert provenance.problems(RECORD) == [] and (folder / "manifest.json").read_text(encoding="utf-8") == "old"
    assert not list(folder.glob(".*"))


def test_the_old_artifact_is_whole_when_snakemake_brings_its_files_back(folder):
    """Snakemake knows the manifest and the record, but not the shards, whose names are their contents."""
    make("old", ("manifest.json", OLD))
    backup = {path: path.read_bytes() for path in (folder / "manifest.json", RECORD)}
    make("new", ("manifest.json", NEW))
    for path, content in backup.items():  # the job was killed before it told that it was done
        path.write_bytes(content)
    assert provenance.problems(RECORD) == []
    make("new", ("manifest.json", NEW))
    provenance.check([folder / "manifest.json"])
    assert {path.name for path in folder.iterdir()} == {"manifest.json", NEW, "provenance.json"}


def test_without_a_record_only_what_the_stage_can_have_written_goes(folder):
    make("old", ("manifest.json", OLD))
    RECORD.unlink()
    mine = {"notes.txt", "tasks_mine.safetensors", f"{OLD}.bak", ".hidden"}
    for name in mine:
        (folder / name).write_text("mine", encoding="utf-8")
    make("new", ("manifest.json", NEW))
    provenance.check([folder / "manifest.json"])
    assert {path.name for path in folder.iterdir()} == {"manifest.json", NEW, "provenance.json", *mine}


def test_a_stage_writes_only_what_it_is_known_to_write(folder):
    make("old")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RadtError, match=r"trajectories wrote notes\.txt: add the name to radt\.pipeline\.provenance\.WRITES"):
        make("new", ("manifest.json", "notes.txt"))
    (folder / ".provenance/notes.txt").unlink()
    (folder / ".provenance").rmdir()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("kind", ["link to a folder", "link to nothing", "file"])
def test_nothing_is_removed_or_written_through_the_folder_where_an_artifact_waits(folder, tmp_path, kind):
    make("old")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "manifest.json").write_text("mine", encoding="utf-8")
    waiting = folder / ".provenance"
    if kind == "file":
        waiting.write_text("mine", encoding="utf-8")
    else:
        waiting.symlink_to(mine if kind == "link to a folder" else tmp_path / "nowhere")
    with pytest.raises(RadtError, match=r"results/x/\.provenance is a link or a file, where a folder is needed: move it away"):
        make("new")
    assert [path.name for path in mine.iterdir()] == ["manifest.json"] and os.path.lexists(waiting)
    assert provenance.problems(RECORD) == []


def test_files_of_others_in_the_folder_where_an_artifact_waits_stay(folder):
    waiting = folder / ".provenance"
    waiting.mkdir(parents=True)
    (waiting / "learning.csv").write_text("of a killed job", encoding="utf-8")
    (waiting / ".manifest.json.partial").write_text("of a killed job", encoding="utf-8")
    make("new")
    waiting.mkdir()
    (waiting / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(
        RadtError, match=r"notes\.txt is in the way, and radt\.stages\.trajectories did not write it: move it away"
    ):
        make("newer")
    assert (waiting / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_what_waits_elsewhere_is_not_fetched_through_a_link(folder, tmp_path):
    make("same")
    mine = Path(shutil.copytree(folder, tmp_path / "mine"))
    (folder / "manifest.json").unlink()
    (folder / ".provenance").symlink_to(mine)
    assert provenance.problems(RECORD) == [
        "results/x/manifest.json is missing: delete results/x/provenance.json and run snakemake again"
    ]
    assert (mine / "manifest.json").exists()


@pytest.mark.parametrize(
    "state", ["folder of others", "link", "file", "missing", "results"], ids=lambda state: state.replace(" ", "_")
)
def test_only_checkpoint_and_progress_go_when_a_training_is_done(folder, tmp_path, state):
    make("old")
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("notes.txt", atomic_stage.CHECKPOINT, progress.FILE):
        (mine / name).write_text("mine", encoding="utf-8")
    place = {"results": Path("results"), "folder of others": mine}.get(state, tmp_path / "state")
    if state == "link":
        place.symlink_to(mine)
    if state == "file":
        place.write_text("mine", encoding="utf-8")
    atomic_stage.drop_checkpoint(place)
    there = {"notes.txt"} if state == "folder of others" else {"notes.txt", atomic_stage.CHECKPOINT, progress.FILE}
    assert {path.name for path in mine.iterdir()} == there
    assert provenance.problems(RECORD) == [] and (state != "file" or place.exists())


def test_an_empty_folder_of_a_checkpoint_goes_with_it(tmp_path):
    (tmp_path / "state").mkdir()
    for name in (atomic_stage.CHECKPOINT, f".{atomic_stage.CHECKPOINT}.partial", progress.FILE, f".{progress.FILE}.partial"):
        (tmp_path / "state" / name).write_text("x", encoding="utf-8")
    atomic_stage.drop_checkpoint(tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_an_interrupt_right_after_the_record_was_renamed_loses_nothing(folder, monkeypatch):
    make("old")
    write = provenance.write

    def interrupted(path, record):
        write(path, record)
        raise KeyboardInterrupt

    monkeypatch.setattr(provenance, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make("new")
    assert provenance.problems(RECORD) == [] and (folder / "manifest.json").read_text(encoding="utf-8") == "new"


def change(**values):
    """The record with other values, and the right checksum."""
    old = artifacts.read_checked_json(RECORD)
    artifacts.write_checked_json(RECORD, {**old, **values})


HASH = "0" * 64


@pytest.mark.parametrize(
    "values",
    [
        {"outputs": {"../../mine.txt": HASH}},
        {"outputs": {"/etc/passwd": HASH}},
        {"outputs": {"a/b": HASH}},
        {"outputs": {"..": HASH}},
        {"outputs": {"": HASH}},
        {"outputs": {"a\0b": HASH}},
        {"outputs": {"\x1b[31m": HASH}},
        {"outputs": {"a\nb": HASH}},
        {"outputs": {"x" * 300: HASH}},
        {"outputs": {"provenance.json": HASH}},
        {"outputs": {"seed42.provenance.json": HASH}},
        {"outputs": {"a.csv": "0" * 63}},
        {"outputs": {"a.csv": HASH.replace("0", "g")}},
        {"outputs": {"a.csv": f"{HASH}\n"}},
        {"outputs": {"a.csv": None}},
        {"outputs": ["a.csv"]},
        {"replaced": ["manifest.json"]},
        {"replaced": ["../other/manifest.json"]},
        {"replaced": [".provenance"]},
        {"inputs": {"../../../etc/passwd": HASH}},
        {"inputs": {"results/../../x": HASH}},
        {"inputs": {"results//x": HASH}},
        {"inputs": {".": HASH}},
        {"inputs": {"/": HASH}},
        {"inputs": {"x/" * 3000 + "x": HASH}},
        {"inputs": {"a\0b": HASH}},
        {"wall_seconds": -1.0},
        {"cpu_seconds": "1"},
        {"format": 0},
        {"format": True},
        {"format": "2"},
        {"stage": "radt/../../evil"},
        {"code": "0123"},
        {"accepted": ["x"]},
        {"unknown": 1},
    ],
    ids=str,
)
def test_records_that_no_job_wrote_are_refused(folder, values):
    make("old")
    change(**values)
    with pytest.raises(
        RadtError, match=r"^results/x/provenance\.json is damaged \(not a record\): delete it and run snakemake again$"
    ):
        provenance.read(RECORD)
    for look in (verify, accept):
        with contextlib.suppress(RadtError):
            look(Path("results"))
    assert (folder / "manifest.json").read_text(encoding="utf-8") == "old"


def test_a_record_of_one_of_several_artifacts_names_only_its_own_files(folder):
    record = folder.relative_to(folder.parents[1]) / "seed42.provenance.json"
    make("old", ("seed42.csv",), record, "radt.stages.evaluate")
    values = artifacts.read_checked_json(record)
    for changed in ({"outputs": {"seed43.csv": HASH}}, {"replaced": ["seed43.csv"]}):
        artifacts.write_checked_json(record, {**values, **changed})
        with pytest.raises(RadtError, match="not a record"):
            provenance.read(record)


def test_check_removes_nothing_that_the_stage_did_not_write(folder):
    make("old", ("manifest.json",))
    mine = ("notes.txt", "figure.pdf", "tasks_mine.safetensors")
    for name in (*mine, OLD):
        (folder / name).write_text("mine", encoding="utf-8")
    (folder / NEW).mkdir()
    change(replaced=[*mine, OLD, NEW])
    provenance.check([RECORD.with_name("manifest.json")])
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "provenance.json", NEW, *mine}


def test_records_of_format_1_are_read_and_accepted(folder):
    """They have no checksum, and were written before there was one."""
    make("old")
    values = {**artifacts.read_checked_json(RECORD), "format": 1, "code": "0" * 16}
    artifacts.write_json(RECORD, values)
    assert verify(Path("results")) == [] and provenance.read(RECORD).format == 1
    assert accept(Path("results")) == [RECORD]
    assert artifacts.read_checked_json(RECORD)["format"] == provenance.FORMAT and accept(Path("results")) == []
    artifacts.write_json(RECORD, {**values, "format": 2})
    with pytest.raises(RadtError, match="is damaged"):
        provenance.read(RECORD)


def test_records_that_name_each_other_end_in_a_sentence(folder, monkeypatch):
    """Two in a circle, one of itself; and a long line of them, which is none."""
    for one, other in (("a", "b"), ("b", "a"), ("c", "c")):
        record = Path(f"results/{one}/provenance.json")
        make("x", ("manifest.json",), record)
        values = artifacts.read_checked_json(record)
        artifacts.write_checked_json(
            record, {**values, "inputs": {f"results/{other}/manifest.json": values["outputs"]["manifest.json"]}}
        )
    for one in "abc":
        with pytest.raises(RadtError, match="says that it was made from itself: delete it and run snakemake again"):
            explain(Path(f"results/{one}/manifest.json"))
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    values["inputs"] = {}
    for number in range(1100):
        values["place"] = f"results/d{number}/provenance.json"
        artifacts.write_checked_json(Path(values["place"]), values)
        values["inputs"] = {f"results/d{number}/manifest.json": HASH}
    assert len(provenance.chain(Path("results/d1099/manifest.json"))) == 1100


@pytest.fixture
def strange(tmp_path):
    """Things that are no files, by name."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    yield {**{name: tmp_path / name for name in ("pipe", "folder", "loop", "socket")}, "device": Path("/dev/zero")}
    server.close()


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "socket", "device"])
@pytest.mark.parametrize("name", ["manifest.json", "provenance.json"])
def test_what_is_no_file_is_told_and_not_waited_for(folder, strange, kind, name):
    make("old")
    make("x", ("manifest.json",), Path("results/y/provenance.json"), inputs=[RECORD.with_name("manifest.json")])
    (folder / name).unlink()
    (folder / name).symlink_to(strange[kind])
    told = []
    for look in (
        verify,
        accept,
        lambda root: provenance.check([root / "x/manifest.json"]),
        lambda root: explain(root / "y/manifest.json"),
    ):
        try:
            told += [str(line) for line in look(Path("results")) or []]
        except RadtError as error:
            told.append(str(error))
    assert any(f"results/x/{name}" in line for line in told)
    assert provenance.stale(RECORD, "", [], ["--settings", "{}"])


def test_linked_folders_are_looked_at_once(folder):
    make("old")
    for name in "abc":
        (folder / name).mkdir()
        for other in "abc":
            (folder / name / other).symlink_to(folder / other)
        (folder / name / "up").symlink_to(folder)
    assert verify(Path("results")) == []


def test_a_record_is_not_accepted_while_its_job_runs(folder, monkeypatch):
    make("old")
    change(code="0" * 16)
    monkeypatch.setattr(atomic_stage, "PATIENCE", 0.05)
    with atomic_stage.locked(RECORD), pytest.raises(RadtError, match="another job is writing into"):
        accept(Path("results"))
    assert provenance.read(RECORD).accepted == [] and accept(Path("results")) == [RECORD]
    assert not list(folder.glob(".*"))


def test_accept_puts_in_place_what_a_killed_job_has_left(folder):
    make("old")
    change(code="0" * 16)
    (folder / ".provenance").mkdir()
    shutil.move(folder / "manifest.json", folder / ".provenance")
    assert accept(Path("results")) == [RECORD] and provenance.problems(RECORD) == []


def test_a_job_waits_a_moment_for_a_lock(folder, monkeypatch):
    make("old")
    context = multiprocessing.get_context("fork")
    with atomic_stage.locked(RECORD):
        job = context.Process(target=make, args=("new",))
        job.start()
        time.sleep(0.1)
    job.join()
    assert job.exitcode == 0 and (folder / "manifest.json").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL])
def test_without_locks_a_job_goes_on_and_says_so(folder, monkeypatch, capsys, number):
    def refuse(handle, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    make("new")
    assert capsys.readouterr().out == "results/x is on a file system without locks: start no second job that writes there\n"
    assert provenance.problems(RECORD) == []


@pytest.mark.parametrize("root", [".", "src", "results/..", "README.md"])
def test_verify_looks_only_below_results(folder, root):
    make("old")
    with pytest.raises(RadtError, match=f"{root} is not below results/: name a folder of results"):
        verify(Path(root))


def test_verify_never_says_to_delete_a_file_of_somebody_else(folder):
    make("old")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    (told,) = verify(Path("results"))
    assert told == "results/x/notes.txt is in no record (radt did not write it, or its record is gone): move it elsewhere"
