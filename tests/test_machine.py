"""What is told of the machine: its threads, the commit of the source, and why that is not known; names that a terminal lacks."""

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from radt import machine, stages
from radt.errors import RadtError


@pytest.mark.parametrize(("told", "count"), [(None, 1), ("", 1), ("4", 4), ("4,2", 4), (" 3 , 1", 3), ("08", 8)])
def test_threads_are_the_first_of_those_of_nested_levels(told, count, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert machine.threads() == count


@pytest.mark.parametrize("told", ["0", "many", "-1", "1.5", "9" * 5000, "\u0664"])
def test_a_wrong_number_of_threads_is_refused_in_a_sentence(told, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    with pytest.raises(RadtError, match=r"OMP_NUM_THREADS is .*: set it to the number of threads"):
        machine.threads()


@pytest.mark.parametrize(
    ("flags", "precision", "device", "slow"),
    [
        ("fpu avx2", "bfloat16", "cpu", True),
        ("fpu avx2", "float32", "cpu", False),
        ("fpu avx2", "bfloat16", "cuda", False),
        ("fpu avx512f avx512_bf16", "bfloat16", "cpu", False),
        ("fpu avx512f amx_bf16", "bfloat16", "cpu", False),
    ],
)
def test_bfloat16_in_software_is_told(flags, precision, device, slow, tmp_path, monkeypatch):
    info = tmp_path / "cpuinfo"
    info.write_text(f"model name\t: Some Processor\nflags\t\t: {flags}\n", encoding="utf-8")
    monkeypatch.setattr(machine, "CPU_INFO", info)
    monkeypatch.setattr(machine.os, "uname", lambda: SimpleNamespace(machine="x86_64"))
    note = machine.slow_bfloat16(precision, device)
    assert (note is not None and "precision: float32" in note) == slow


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Puts the source into a clone, or beside none, of which `git` answers with some command."""

    def put(answer, git=True):
        source = tmp_path / "project/src/radt/machine.py"
        source.parent.mkdir(parents=True)
        if git:
            (tmp_path / "project/.git").mkdir()
        run = subprocess.run
        monkeypatch.setattr(machine, "__file__", str(source))
        monkeypatch.setattr(subprocess, "run", lambda command, **options: run(["sh", "-c", answer], **options))
        machine.commit.cache_clear()

    yield put
    machine.commit.cache_clear()


OWNED = "echo \"fatal: detected dubious ownership in repository at '/p'\" >&2; exit 128"


@pytest.mark.parametrize(
    ("answer", "git", "words"),
    [
        (OWNED, True, ["belongs to somebody else", "safe.directory", "project`"]),
        ("echo 'fatal: bad object HEAD' >&2; exit 128", True, ["fatal: bad object HEAD"]),
        ("sleep 9", True, ["timed out"]),
        ("echo 'fatal: not a git repository' >&2; exit 128", False, []),
    ],
)
def test_a_commit_that_git_does_not_tell_is_told_once(clone, answer, git, words, monkeypatch, capsys):
    clone(answer, git)
    monkeypatch.setattr(machine, "GIT", 0.5 if "sleep" in answer else 60)
    assert machine.commit() == machine.commit() == "unknown"
    told = capsys.readouterr().err
    assert told.count("\n") == (1 if git else 0) and all(word in told for word in words)


def test_a_commit_that_git_tells_has_no_warning(clone, capsys):
    clone("echo 1234567-dirty")
    assert machine.commit() == "1234567-dirty" and capsys.readouterr().err == ""


@pytest.mark.parametrize("encoding", ["gbk", "ascii", "latin-1"])
def test_a_name_that_the_terminal_lacks_is_escaped(encoding, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(SystemExit) as ended:
        stages.run(lambda arguments: print("caf\xe9 \u25b2 \U0001f600 \udcff") or 0)
    out.flush()
    assert ended.value.code == 0 and out.buffer.getvalue().startswith(b"caf") and b"\\udcff\n" in out.buffer.getvalue()
