"""What made an artifact: a record beside its files, written last, that says whether they are whole, and whether they are stale.

`make` is how a job of the workflow runs a stage. The stage writes into a folder beside the artifact's place; when it is done, the
record is renamed into place, then the files. So a job that is killed at any moment leaves the old artifact or the new one: files
that a record names and that still wait in the folder are put in place by the next reader (`check`). Files of the old artifact
that the new one lacks are removed by the jobs that read the new one, since Snakemake brings old files back when a job is killed.

Staleness is a question of content, never of the clock: `stale` compares the settings, the fingerprint of the code and the hashes
of the inputs that a record holds with the present ones. Records travel with the results, so the answer is the same in any clone.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version
from typing import Any

from pydantic import ValidationError

from radt import artifacts
from radt.errors import RadtError
from radt.fingerprint import fingerprint
from radt.machine import commit, machine, version
from radt.settings import Section

FORMAT = 1
FILE = "provenance.json"
RECORDED = Path("results/recorded")
"""Copies for readers (`radt.commands.record`): no rule reads or writes there."""
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


class NewerError(RadtError):
    """A record that only a newer radt can read."""


class Record(Section):
    """Where an artifact comes from; docs/formats.md explains every field."""

    format: int
    place: str
    stage: str
    code: str
    accepted: list[str]
    settings: dict[str, Any]
    arguments: list[str]
    inputs: dict[str, str]
    outputs: dict[str, str]
    replaced: list[str]
    packages: dict[str, str]
    python: str
    radt: str
    machine: str
    commit: str
    finished: str
    wall_seconds: float
    cpu_seconds: float


def place(path: Path) -> str:
    """The path from the last folder `results` on, the same in every clone; a path without one is returned as it is."""
    parts = path.parts
    return "/".join(parts[len(parts) - 1 - parts[::-1].index("results") :]) if "results" in parts else path.as_posix()


def record_of(path: Path) -> Path:
    """Where the record of a file is: `{stem}.provenance.json` beside it, or `provenance.json`, which is of the whole folder."""
    own = path.with_name(f"{path.name.partition('.')[0]}.{FILE}")
    return own if own.exists() else path.with_name(FILE)


def read(path: Path) -> Record:
    """A record; raises `RadtError` when it is missing, damaged, of a newer radt (`NewerError`) or of another place."""
    value = artifacts.read_json(path)
    if isinstance(value, dict) and isinstance(made := value.get("format"), int) and made > FORMAT:
        wrote = value.get("radt", "version that wrote it")
        raise NewerError(f"{path} has format {made}, radt {version()} reads up to {FORMAT}: use radt {wrote} or a newer one")
    try:
        record = Record.model_validate(value)
    except ValidationError:
        raise RadtError(f"{path} is damaged (not a record): delete it and run snakemake again") from None
    if record.place != place(path):
        raise RadtError(f"{path} is the record of {record.place}: delete it and run snakemake again")
    return record


def files(root: Path) -> list[Path]:
    """All files below `root`, sorted, through links of folders, too; hidden ones and copies in results/recorded/ left out."""
    found = []
    for folder, folders, names in os.walk(root, followlinks=True):
        here = Path(folder)
        folders[:] = [name for name in folders if not name.startswith(".") and place(here / name) != RECORDED.as_posix()]
        found += [here / name for name in names if not name.startswith(".")]
    return sorted(found)


def records(root: Path) -> list[Path]:
    """All records below `root`; raises `RadtError` when there are none."""
    found = [path for path in files(root) if path.name.endswith(FILE)]
    if not found:
        raise RadtError(f"{root} holds no records of results: make some (make figure) or get some (make pull)")
    return found


def content_of(path: Path) -> str | None:
    """The sha256 that the record beside a file holds of it, of a file without record its own; None when there is no such file."""
    if (record := record_of(path)).exists():
        return read(record).outputs.get(path.name)
    return artifacts.sha256(path) if path.exists() else None


def stale(path: Path, code: str, inputs: Iterable[str], arguments: list[str]) -> str | None:
    """Why the artifact of a record would be made differently now; None when it would not.

    Args:
        path: the record.
        code: fingerprint of the stage.
        inputs: files that it reads.
        arguments: its command line, with the settings.

    Raises `NewerError` for a record that this radt must not replace.
    """
    settings, arguments = split(arguments)
    try:
        record = read(path)
        present = {name: content_of(Path(name)) for name in inputs}
    except NewerError:
        raise
    except RadtError as error:
        return str(error)
    if code not in (record.code, *record.accepted):
        return "the code of its stage changed"
    keys = record.settings.keys() | settings.keys()
    if changed := sorted(key for key in keys if record.settings.get(key) != settings.get(key)):
        return f"the settings changed: {', '.join(changed)}"
    if record.arguments != arguments:
        return f"the command line of its stage changed: {' '.join(arguments)}"
    if changed := sorted(name for name in record.inputs.keys() | present.keys() if record.inputs.get(name) != present.get(name)):
        return f"the inputs changed: {', '.join(changed)}"
    return None


def job(arguments: list[str]) -> tuple[Path | None, list[Path], list[str]]:
    """Record and inputs in the command line of a job, which the rules add to that of its stage, and the rest of it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--inputs", type=Path, nargs="*", default=[])
    given, rest = parser.parse_known_args(arguments)
    return given.record, given.inputs, rest


def split(arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The settings in the command line of a stage, and the rest of it."""
    place = arguments.index("--settings")
    return json.loads(arguments[place + 1]), [*arguments[:place], *arguments[place + 2 :]]


def problems(path: Path) -> list[str]:
    """What is wrong with the files of a record, a sentence each; those that a killed job has left waiting are put in place.

    Other readers, and the job that makes the artifact, may be at work: what is wrong is so only if the record is still the same.
    """
    record, waiting, found = read(path), _waiting(path), []
    for name, expected in record.outputs.items():
        file = path.with_name(name)
        if not _settle(file, waiting / name, expected):
            found.append(f"{file} is {'damaged' if file.exists() else 'missing'}: delete {path} and run snakemake again")
    if found and read(path) != record:
        return problems(path)
    return found


def broken_links(path: Path) -> list[str]:
    """Inputs of a record that are no longer what its artifact was made from, a sentence each."""
    found = []
    for name, expected in read(path).inputs.items():
        present = content_of(Path(name))
        if present != expected:
            state = "is missing: run `dvc pull`, or snakemake" if present is None else "has changed since: run snakemake"
            found.append(f"{path.parent} was made from {name}, which {state}")
    return found


def chain(path: Path) -> list[Path]:
    """The records of all that a file was made from, each after those that it depends on, and its own last.

    Raises `RadtError` when a file below results/ has no record.
    """
    order: dict[Path, None] = {}

    def follow(file: Path) -> None:
        record = record_of(file)
        if record not in order and (record.exists() or "results" in file.parts):
            for name in read(record).inputs:
                follow(Path(name))
            order[record] = None

    follow(path)
    return list(order)


def check(inputs: Iterable[Path]) -> dict[str, str]:
    """The sha256 of every input, after all files of the artifacts that they belong to were compared with their records.

    Raises `RadtError` with the first file that is missing, damaged, of a newer radt or in the wrong place. Files outside of
    results/ have no record.
    """
    found: dict[str, str] = {}
    for record in dict.fromkeys(record_of(path) for path in inputs if "results" in path.parts):
        if wrong := problems(record):
            raise RadtError(wrong[0])
        for name in read(record).replaced:
            record.with_name(name).unlink(missing_ok=True)
    for path in inputs:
        content = content_of(path)
        if content is None:
            raise RadtError(f"{path} is missing: run the stage that writes it")
        found[path.as_posix()] = content
    return found


def make(main: Callable[[list[str]], int], stage: str, record: Path, inputs: list[Path], arguments: list[str]) -> int:
    """Run a stage so that its artifact is there as a whole or not at all, and write its record; returns the stage's status.

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
    hashes, code = check(inputs), fingerprint(stage)
    former = _former(record)
    settings, rest = split(arguments)
    output = arguments.index("--output") + 1
    waiting, target = _waiting(record), Path(arguments[output])
    moved = waiting if target == record.parent else waiting / target.relative_to(record.parent)
    lock = _lock(waiting)
    try:
        if status := main([*arguments[:output], str(moved), *arguments[output + 1 :]]):
            raise RadtError(f"{stage} ended with status {status}")
        outputs = {path.name: artifacts.sha256(path) for path in sorted(waiting.iterdir())}
        made = Record(
            format=FORMAT,
            place=place(record),
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
    wrong = problems(record)
    shutil.rmtree(waiting, ignore_errors=True)
    os.close(lock)
    if wrong:
        raise RadtError(wrong[0])
    return 0


def _former(record: Path) -> set[str]:
    """The files that a job replaces, whole again if the last job was killed; raises `NewerError`.

    Without a record these are all files of a folder that belongs to one artifact.
    """
    try:
        problems(record)
        made = read(record)
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


def _waiting(record: Path) -> Path:
    """The folder that holds an artifact until its record is in place."""
    return record.with_name(f".{record.name.removesuffix('.json')}")


def _settle(file: Path, waiting: Path, expected: str) -> bool:
    """Whether `file` has the content that is expected, if need be after it was moved from where it waits."""
    try:
        if artifacts.sha256(waiting) == expected:
            waiting.replace(file)
            artifacts.flush_directory(file.parent)
            return True
    except FileNotFoundError:  # nothing waits, or another reader was faster
        pass
    return file.exists() and artifacts.sha256(file) == expected
