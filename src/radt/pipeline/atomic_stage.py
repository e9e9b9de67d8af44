"""A job of the workflow writes its artifact atomically, with a record of its inputs (`radt.pipeline.provenance`).

The stage writes into a hidden folder beside the artifact's place, which stays locked meanwhile. Then the record is renamed into
place, and after it the files. So a job that is killed at any moment leaves the old artifact or the new one.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version

from radt import artifacts
from radt.errors import RadtError
from radt.machine import commit, machine, version
from radt.pipeline import progress, provenance
from radt.pipeline.provenance import FILE, FORMAT, NewerError, Record

PACKAGES = (
    "numpy",
    "torch",
    "faiss",
    "transformers",
    "safetensors",
    "gymnasium",
    "stable_baselines3",
    "pandas",
    "scipy",
    "matplotlib",
)
"""Packages whose version a record holds, if the stage has imported them."""
CHECKPOINT = "checkpoint.safetensors"
"""Name of a training's checkpoint (`radt.training.checkpoints`)."""
PATIENCE = 0.5
"""Seconds to wait for a lock: a job holds it as long as it runs, `radt.commands.accept` only for a moment."""
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
"""Errors of file systems that cannot lock."""


def parse(arguments: list[str]) -> tuple[Path | None, list[Path], list[str]]:
    """Record, inputs and remaining arguments of a job's command line; the rules add the first two to that of the stage."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--inputs", type=Path, nargs="*", default=[])
    given, rest = parser.parse_known_args(arguments)
    return given.record, given.inputs, rest


def make(main: Callable[[list[str]], int], stage: str, record: Path, inputs: list[Path], arguments: list[str]) -> None:
    """Run a stage, put its artifact in place atomically, and write its record.

    Args:
        main: the stage; it writes to `--output`, the folder of the record or a file in it.
        stage: its module.
        record: path of the record.
        inputs: files that are checked first.
        arguments: the command line of the stage.

    Raises `RadtError` when an input is damaged, another job makes the same artifact, or the stage writes an unknown file. Then,
    and when the stage fails, the old artifact is unchanged.
    """
    if stage.rpartition(".")[2] not in provenance.WRITES:
        raise RadtError(f"{stage} is not in radt.pipeline.provenance.WRITES: add the names of the files that it writes")
    begun, spent = time.monotonic(), time.process_time()
    settings, rest = provenance.split(arguments)
    hashes = provenance.check(inputs)
    code = provenance.code_of(stage, settings, rest)
    former = _former(record, stage)
    output = arguments.index("--output") + 1
    waiting, target = provenance.waiting_folder(record), Path(arguments[output])
    moved = waiting if target == record.parent else waiting / target.relative_to(record.parent)
    with locked(record):
        _clear(waiting, stage)
        try:
            if status := main([*arguments[:output], str(moved), *arguments[output + 1 :]]):
                raise RadtError(f"{stage} ended with status {status}")
            outputs = _outputs(waiting, stage)
            made = Record(
                format=FORMAT,
                place=provenance.place(record),
                stage=stage,
                code=code,
                accepted=[],
                settings=settings,
                arguments=rest,
                inputs=hashes,
                outputs=outputs,
                replaced=sorted(former - outputs.keys()),
                packages={name: sys.modules[name].__version__ for name in PACKAGES if name in sys.modules},
                python=python_version(),
                radt=version(),
                machine=machine(),
                commit=commit(40),
                finished=datetime.now(UTC).isoformat(timespec="seconds"),
                wall_seconds=round(time.monotonic() - begun, 2),
                cpu_seconds=round(time.process_time() - spent, 2),
            )
            provenance.write(record, made)
        except BaseException:
            with suppress(RadtError):
                provenance.problems(record)  # puts the files in place if the record is in place
            _drop(waiting, stage)
            raise
        wrong = provenance.problems(record)
        _drop(waiting, stage)
    if wrong:
        raise RadtError(wrong[0])


def drop_checkpoint(state: Path) -> None:
    """Remove checkpoint and progress of a finished training, and their folder if it is then empty. Links are not followed."""
    if not state.is_symlink():
        with suppress(OSError):
            for name in (CHECKPOINT, progress.FILE):
                (state / name).unlink(missing_ok=True)
                (state / f".{name}.partial").unlink(missing_ok=True)
            state.rmdir()


@contextmanager
def locked(record: Path) -> Iterator[None]:
    """Make and lock the hidden folder of an artifact, so that no other process writes the artifact or its record.

    Raises `RadtError` when another process holds the lock.
    """
    waiting = provenance.waiting_folder(record)
    handle, patience = None, time.monotonic() + PATIENCE
    while (handle := _lock(waiting)) is None:
        if time.monotonic() > patience:
            raise RadtError(f"another job is writing into {waiting}: wait until it has ended, or stop it")
        time.sleep(PATIENCE / 20)
    try:
        yield
    finally:
        with suppress(OSError):  # the folder is not empty
            waiting.rmdir()
        os.close(handle)


def _outputs(waiting: Path, stage: str) -> dict[str, str]:
    """The sha256 of all files that a stage wrote; raises `RadtError` for a file that is not in `provenance.WRITES`."""
    for path in waiting.iterdir():
        if not provenance.written(stage, path.name):
            raise RadtError(f"{stage} wrote {path.name}: add the name to radt.pipeline.provenance.WRITES")
    return {path.name: artifacts.sha256(path) for path in sorted(waiting.iterdir())}


def _former(record: Path, stage: str) -> set[str]:
    """Names of the files that a job replaces; files of a killed job are put in place first. Raises `NewerError`.

    Without a record, these are the files that the stage can have written, if the folder belongs to one artifact.
    """
    try:
        provenance.problems(record)
        made = provenance.read(record)
        names = {*made.outputs, *made.replaced}
    except NewerError:
        raise
    except RadtError:
        there = record.parent.iterdir() if record.name == FILE and record.parent.is_dir() else ()
        names = {path.name for path in there if path.is_file()}
    return {name for name in names if provenance.written(stage, name)}


def _own(path: Path, stage: str) -> bool:
    """Whether a stage can have written a file in its hidden folder."""
    name = path.name.removeprefix(".").removesuffix(".partial")
    return provenance.written(stage, name) and (path.is_symlink() or not path.is_dir())


def _clear(waiting: Path, stage: str) -> None:
    """Remove the files of a killed job of a stage; raises `RadtError` for any other file."""
    for path in waiting.iterdir():
        if not _own(path, stage):
            raise RadtError(f"{path} is in the way, and {stage} did not write it: move it away")
        path.unlink()


def _drop(waiting: Path, stage: str) -> None:
    """Remove the files of a job in its hidden folder."""
    with suppress(OSError):
        for path in filter(lambda path: _own(path, stage), waiting.iterdir()):
            path.unlink(missing_ok=True)


def _lock(waiting: Path) -> int | None:
    """Make a folder and lock it until the handle is closed or the process ends; None when another process holds the lock.

    Raises `RadtError` for a link or a file in its place. Prints a warning where the file system cannot lock.
    """
    try:
        waiting.mkdir(parents=True, exist_ok=True)
        handle = os.open(waiting, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:  # just removed
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EEXIST):
            raise RadtError(f"{waiting} is a link or a file, where a folder is needed: move it away") from None
        raise
    if _flock(handle, waiting) and waiting.exists() and os.path.samestat(os.fstat(handle), waiting.stat()):
        return handle
    os.close(handle)
    return None


def _flock(handle: int, waiting: Path) -> bool:
    """Whether an open folder is locked now; true also where the file system cannot lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        print(f"{waiting.parent} is on a file system without locks: start no second job that writes there", flush=True)
    return True
