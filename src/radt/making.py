"""How a job of the workflow makes an artifact: as a whole or not at all, with a record of what made it (`radt.provenance`).

The stage writes into a hidden folder beside the artifact's place, which is locked so long; when it is done, the record is renamed
into place, then the files. So a job that is killed at any moment leaves the old artifact or the new one.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version

from radt import artifacts, provenance
from radt.errors import RadtError
from radt.fingerprint import fingerprint
from radt.machine import commit, machine, version
from radt.provenance import FILE, FORMAT, NewerError, Record

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


def parse(arguments: list[str]) -> tuple[Path | None, list[Path], list[str]]:
    """Record and inputs in the command line of a job, which the rules add to that of its stage, and the rest of it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--inputs", type=Path, nargs="*", default=[])
    given, rest = parser.parse_known_args(arguments)
    return given.record, given.inputs, rest


def make(main: Callable[[list[str]], int], stage: str, record: Path, inputs: list[Path], arguments: list[str]) -> None:
    """Run a stage so that its artifact is there as a whole or not at all, and write its record.

    Args:
        main: the stage; it writes to `--output`, a folder or a file in it, which is the folder of the record.
        stage: its module.
        record: where the record is written.
        inputs: files that are checked first.
        arguments: the command line of the stage.

    Raises `RadtError` when an input is damaged, or another job makes the same artifact; then, and when the stage fails,
    everything stays as it was.
    """
    begun, spent = time.monotonic(), time.process_time()
    hashes, code = provenance.check(inputs), fingerprint(stage)
    former = _former(record)
    settings, rest = provenance.split(arguments)
    output = arguments.index("--output") + 1
    waiting, target = provenance.waiting_folder(record), Path(arguments[output])
    moved = waiting if target == record.parent else waiting / target.relative_to(record.parent)
    lock = _lock(waiting)
    try:
        if status := main([*arguments[:output], str(moved), *arguments[output + 1 :]]):
            raise RadtError(f"{stage} ended with status {status}")
        outputs = {path.name: artifacts.sha256(path) for path in sorted(waiting.iterdir())}
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
        artifacts.write_json(record, made.model_dump())
    except BaseException:
        shutil.rmtree(waiting, ignore_errors=True)
        raise
    wrong = provenance.problems(record)
    shutil.rmtree(waiting, ignore_errors=True)
    os.close(lock)
    if wrong:
        raise RadtError(wrong[0])


def _former(record: Path) -> set[str]:
    """The files that a job replaces, whole again if the last job was killed; raises `NewerError`.

    Without a record these are all files of a folder that belongs to one artifact.
    """
    try:
        provenance.problems(record)
        made = provenance.read(record)
        return {*made.outputs, *made.replaced}
    except NewerError:
        raise
    except RadtError:
        there = record.parent.iterdir() if record.name == FILE and record.parent.exists() else ()
        return {path.name for path in there if path.is_file() and path != record}


def _lock(waiting: Path) -> int:
    """Make the folder where an artifact waits, empty, and hold it until the handle is closed or the process ends.

    Raises `RadtError` when another process holds it.
    """
    while True:
        waiting.mkdir(parents=True, exist_ok=True)
        handle = os.open(waiting, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise RadtError(f"another job is writing into {waiting}: wait until it has ended, or stop it") from None
        if waiting.exists() and os.path.samestat(os.fstat(handle), waiting.stat()):  # not one that was just removed
            for path in waiting.iterdir():
                path.unlink()
            return handle
        os.close(handle)
