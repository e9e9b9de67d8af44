"""Records when several processes are at work on one artifact, and when Snakemake brings old files back."""

import multiprocessing
import shutil
from pathlib import Path

import pytest

from radt import making, provenance
from radt.errors import RadtError

STAGE = "radt.stages.figure"
RECORD = Path("results/x/provenance.json")


def make(content, names=("a.csv", "b.csv", "c.csv"), record=RECORD):
    """Make an artifact of some files with one content."""

    def stage(arguments):
        folder = Path(arguments[arguments.index("--output") + 1])
        for name in names:
            (folder / name).write_text(content, encoding="utf-8")
        return 0

    return making.make(stage, STAGE, record, [], ["--settings", "{}", "--output", str(record.parent)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results/x"


def make_often(errors):
    try:
        for number in range(150):
            make(f"{number}" * 20_000)
    except BaseException as error:
        errors.put(repr(error))


def read_often(stop, errors):
    try:
        while not stop.is_set():
            provenance.check([Path("results/x/a.csv")])
            assert len({Path(f"results/x/{name}.csv").stat().st_size for name in "abc"}) <= 3
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
    for path in folder.glob("*.csv"):
        shutil.move(path, waiting)
        path.write_text("old", encoding="utf-8")
    context = multiprocessing.get_context("fork")
    readers = [context.Process(target=provenance.check, args=([folder / "a.csv"],)) for _ in range(4)]
    for process in readers:
        process.start()
    for process in readers:
        process.join()
    assert [process.exitcode for process in readers] == [0] * 4
    assert provenance.problems(RECORD) == [] and (folder / "c.csv").read_text(encoding="utf-8") == "new" * 100_000


def test_a_second_job_of_the_same_artifact_is_refused_and_changes_nothing(folder):
    make("old")

    def stage(arguments):
        with pytest.raises(RadtError, match=r"another job is writing into results/x/\.provenance: wait"):
            make("other")
        return 1

    with pytest.raises(RadtError, match="ended with status 1"):
        making.make(stage, STAGE, RECORD, [], ["--settings", "{}", "--output", "results/x"])
    assert provenance.problems(RECORD) == [] and (folder / "a.csv").read_text(encoding="utf-8") == "old"
    assert not list(folder.glob(".*"))


def test_the_old_artifact_is_whole_when_snakemake_brings_its_files_back(folder):
    """Snakemake knows the manifest and the record, but not the shards, whose names are their contents."""
    make("old", ("manifest.json", "shard_old"))
    backup = {path: path.read_bytes() for path in (folder / "manifest.json", RECORD)}
    make("new", ("manifest.json", "shard_new"))
    for path, content in backup.items():  # the job was killed before it told that it was done
        path.write_bytes(content)
    assert provenance.problems(RECORD) == []
    make("new", ("manifest.json", "shard_new"))
    provenance.check([folder / "manifest.json"])
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "shard_new", "provenance.json"}


def test_files_without_a_record_go_when_the_artifact_is_made_again(folder):
    make("old", ("manifest.json", "shard_old"))
    RECORD.unlink()
    make("new", ("manifest.json", "shard_new"))
    provenance.check([folder / "manifest.json"])
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "shard_new", "provenance.json"}
