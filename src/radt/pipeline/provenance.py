"""Records of artifacts: a file beside the artifact tells how it was made, whether it is damaged, and whether it is out of date.

`radt.pipeline.atomic_stage` writes records. If a job is killed at its very end, files of the record may still be in a hidden
folder; the next reader moves them into place (`problems`). Files of the former artifact are removed by the jobs that read the
present one (`check`), because Snakemake restores old files when a job is killed.

An artifact is out of date by content, never by time: `stale` compares settings, command line, fingerprint of the code and hashes
of inputs in the record with the present ones. Records travel with the results, so the answer is the same in any clone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from radt import artifacts
from radt.errors import RadtError
from radt.machine import version
from radt.pipeline.fingerprint import EVERYTHING, Symbol, agent_code, encoder_code, fingerprint, training_code
from radt.settings.base import NonNegativeFloat, PositiveInt, Section

FORMAT = 2
WITHOUT_CHECKSUM = 1
"""Format of records without a checksum."""
FILE = "provenance.json"
UNSET = object()
"""Value of a missing setting."""
SHOWN = 60
"""Most characters of a value in a reason."""
RECORDED = Path("results/recorded")
"""Copies for readers (`radt.commands.record`): no rule reads or writes there."""
WRITES = {
    "trajectories": r"manifest\.json|learning\.csv|tasks_[0-9a-f]{16}\.safetensors",
    "features": r"config\.json|model\.safetensors",
    "rl": r"task\d+\.(json|safetensors)",
    "embed": r"config\.json|embeddings\.safetensors",
    "index": r"config\.json|index\.safetensors",
    "train": r"model\.safetensors|config\.json|metrics\.csv",
    "evaluate": r"seed\d+\.csv",
    "figure": r"(curves|table|seeds)\.csv|figure\.(pdf|png)",
    "overview": r"overview\.(csv|pdf|png|html)",
    "ablation": r"\w+\.(csv|curves\.csv|learning\.csv|pdf|png)",
    "episodes": r"\w+\.json",
    "film": r"[\w-]+\.png",
}
"""Names of the files that each stage, or a command with a record, writes. No other file is ever removed: it is a user's."""


COMMANDS = "radt.commands."
"""Package of the commands that write records but are no stages."""


class NewerError(RadtError):
    """A record of a newer radt, which this one cannot read."""


def _file_name(name: str) -> str:
    """A valid name of a file in the folder of its record; raises `ValueError` for any other text."""
    if not name.isprintable() or "/" in name or name[:1] in ("", ".") or len(name.encode()) > 255 or name.endswith(FILE):
        raise ValueError("no file name")
    return name


def _file_path(name: str) -> str:
    """A valid path, relative to the project or absolute; raises `ValueError` for any other text."""
    path = PurePosixPath(name)
    if not name.isprintable() or not path.name or ".." in path.parts or path.as_posix() != name or len(name.encode()) > 4095:
        raise ValueError("no path")
    return name


FileName = Annotated[str, AfterValidator(_file_name)]
FilePath = Annotated[str, AfterValidator(_file_path)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Record(Section):
    """How an artifact was made; docs/formats.md explains every field."""

    format: PositiveInt
    place: str
    stage: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
    code: Fingerprint
    accepted: list[Fingerprint]
    settings: dict[str, Any]
    arguments: list[str]
    inputs: dict[FilePath, Sha256]
    outputs: dict[FileName, Sha256]
    replaced: list[FileName]
    packages: dict[str, str]
    python: str
    radt: str
    machine: str
    commit: str
    finished: str
    wall_seconds: NonNegativeFloat
    cpu_seconds: NonNegativeFloat

    @model_validator(mode="after")
    def _owns_its_files(self) -> Record:
        stem = PurePosixPath(self.place).name.removesuffix(FILE)
        if self.outputs.keys() & set(self.replaced):
            raise ValueError("a file is both there and replaced")
        if stem and any(not name.startswith(stem) for name in [*self.outputs, *self.replaced]):
            raise ValueError("a file of another artifact")
        return self


def place(path: Path) -> str:
    """The path from its last folder `results` on, the same in every clone; of a copy in results/recorded/, the path of its
    source. A path without such a folder is returned unchanged."""
    below = _below_results(path)
    if below is None:
        return path.as_posix()
    return "/".join(("results", *(below[1:] if is_copy(path) else below)))


def is_copy(path: Path) -> bool:
    """Whether a path is results/recorded/ or below it."""
    return (_below_results(path) or ())[:1] == (RECORDED.name,)


def written(stage: str, name: str) -> bool:
    """Whether a stage writes files of this name."""
    return re.fullmatch(WRITES.get(stage.rpartition(".")[2], "(?!)"), name) is not None


def is_record(path: Path) -> bool:
    """Whether a file has the name of a record."""
    return path.name == FILE or path.name.endswith(f".{FILE}")


def record_of(path: Path) -> Path:
    """Path of the record of a file: `{stem}.provenance.json` beside it if it exists, else `provenance.json` of the folder."""
    own = path.with_name(f"{path.name.partition('.')[0]}.{FILE}")
    return own if artifacts.is_there(own) else path.with_name(FILE)


def read(path: Path) -> Record:
    """Read a record; raises `RadtError` when it is missing, damaged, of a newer radt (`NewerError`) or of another place."""
    values = artifacts.read_json(path)
    if not isinstance(values, dict) or values.get("format") != WITHOUT_CHECKSUM or "checksum" in values:
        values = artifacts.without_checksum(path, values)
    if isinstance(made := values.get("format"), int) and made > FORMAT:
        wrote = values.get("radt", "version that wrote it")
        raise NewerError(f"{path} has format {made}, radt {version()} reads up to {FORMAT}: use radt {wrote} or a newer one")
    try:
        record = Record.model_validate(values)
    except ValidationError:
        raise RadtError(f"{path} is damaged (not a record): delete it and run snakemake again") from None
    if record.place != place(path):
        raise RadtError(f"{path} is the record of {record.place}: delete it and run snakemake again")
    return record


def write(path: Path, record: Record) -> None:
    """Write a record with its checksum."""
    artifacts.write_checked_json(path, record.model_dump())


def files(root: Path) -> list[Path]:
    """All files below `root`, sorted; links to folders are followed, each folder once. Left out are hidden files and, unless
    `root` is one of them, copies in results/recorded/. Raises `RadtError` for a folder that cannot be read."""
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_refuse):
        here = Path(folder)
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if name[0] != "." and (is_copy(here) or not is_copy(here / name))]
        found += [here / name for name in names if name[0] != "."]
    return sorted(found)


def records(root: Path) -> list[Path]:
    """Paths of all records below `root`; raises `RadtError` when there are none."""
    found = [path for path in files(root) if is_record(path)]
    if not found:
        raise RadtError(f"{root} holds no records of results: make some (make figure) or get some (make pull)")
    return found


def content_of(path: Path) -> str | None:
    """The sha256 of a file by its record; without a record, computed from the file; None for a missing file."""
    try:
        return read(record_of(path)).outputs.get(path.name)
    except artifacts.MissingError:
        pass
    try:
        return artifacts.sha256(path)
    except artifacts.MissingError:
        return None


@dataclass(frozen=True)
class Stale:
    """Why an artifact is out of date."""

    changes: list[str] = field(default_factory=list)
    """Faults of the record, and changes of settings and command line, such as `train_ad.episode_gap: 1 -> 3`."""
    code: bool = False
    """Whether the code of the stage changed."""
    inputs: list[str] = field(default_factory=list)
    """Inputs with changed content, new inputs, and former inputs."""


def stale(path: Path, code: str, inputs: Iterable[str], arguments: list[str]) -> Stale | None:
    """Why the artifact of a record is out of date; None when it is up to date.

    Args:
        path: the record.
        code: present fingerprint of the stage.
        inputs: present inputs of the stage.
        arguments: present command line of the stage, with the settings.

    Raises `NewerError` for a record of a newer radt, which must not be replaced.
    """
    settings, arguments = split(arguments)
    try:
        record = read(path)
        present = {name: content_of(Path(name)) for name in inputs}
    except NewerError:
        raise
    except RadtError as error:
        return Stale([str(error).partition(": ")[0]])
    changes = differences(record.settings, settings)
    if record.arguments != arguments:
        changes.append(f"command line: {' '.join(record.arguments)} -> {' '.join(arguments)}")
    changed = sorted(name for name in record.inputs.keys() | present.keys() if record.inputs.get(name) != present.get(name))
    found = Stale(changes, code not in (record.code, *record.accepted), changed)
    return None if found == Stale() else found


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Changed keys of nested settings, each with both values: `train_ad.episode_gap: 1 -> 3`."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        found = [differences(old.get(key, UNSET), new.get(key, UNSET), f"{name}.{key}".lstrip(".")) for key in keys]
        return [line for lines in found for line in lines]
    return [] if old == new else [f"{name}: {_shown(old)} -> {_shown(new)}"]


def _shown(value: Any) -> str:
    """A value of a setting as text, cut if it is long."""
    text = "unset" if value is UNSET else json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def split(arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The settings in the command line of a stage, and its other arguments."""
    place = arguments.index("--settings")
    return json.loads(arguments[place + 1]), [*arguments[:place], *arguments[place + 2 :]]


def code_of(stage: str, settings: dict[str, Any], arguments: list[str]) -> str:
    """Fingerprint of the code behind an artifact: of its stage, and of modules that it imports by name.

    These are a method, an encoder, suites, and the module of an environment that is part of radt or a file of the project.
    """
    experiments = [settings.get("experiment"), *dict(settings.get("experiments") or {}).values()]
    known = [experiment for experiment in experiments if isinstance(experiment, dict)]
    suites = tuple(sorted({str(experiment.get("suite", "grid")) for experiment in known}))
    modules = sorted({str(experiment.get("environment", "")).rpartition(":")[0] for experiment in known} - {""})
    ours = tuple((module, EVERYTHING) for module in modules if module.startswith("radt."))
    code = fingerprint(stage, by_name=(*_by_name(stage, settings, arguments), *ours), suites=suites)
    files = [file for module in modules if (file := Path(*module.split(".")).with_suffix(".py")).is_file()]
    return hashlib.sha256("".join([code, *map(artifacts.sha256, files)]).encode()).hexdigest()[:16] if files else code


def _by_name(stage: str, settings: dict[str, Any], arguments: list[str]) -> tuple[Symbol, ...]:
    """Symbols that a stage imports by a name on its command line: those of a method or an encoder; none for other stages."""
    given = dict(pairwise(arguments))
    try:
        match stage.rpartition(".")[2]:
            case "evaluate":
                return agent_code(settings["evaluate"]["methods"][given["--method"]]["model"])
            case "train":
                return training_code(given["--method"])
            case "embed":
                return encoder_code(given["--kind"])
    except (LookupError, TypeError):
        pass
    return ()


def problems(path: Path) -> list[str]:
    """Faults of the files of a record, a sentence each. Files that a killed job has left in its hidden folder are moved first.

    The job that makes the artifact may run at the same time, so faults count only if the record is still the same afterwards. A
    copy in results/recorded/ may lack large files.
    """
    while True:
        record = read(path)
        _settle(path, record)
        faults = [_fault(path, name, expected) for name, expected in record.outputs.items()]
        found = list(filter(None, faults))
        if not found or read(path) == record:
            return found


def broken_links(path: Path) -> list[str]:
    """Inputs of a record that have changed or are missing, a sentence each."""
    found, made = [], read(path)
    again = made.stage.replace(COMMANDS, "python -m radt ") if made.stage.startswith(COMMANDS) else "snakemake"
    for name, expected in made.inputs.items():
        present = content_of(source(path, name))
        if present != expected:
            state = "is missing: run `dvc pull`, or snakemake" if present is None else f"has changed since: run {again}"
            found.append(f"{path.parent} was made from {name}, which {state}")
    return found


def source(record: Path, name: str) -> Path:
    """Path of an input of a record. For a copy in results/recorded/, results among the inputs are copies, too."""
    inside = name.removeprefix("results/")
    return RECORDED / inside if is_copy(record) and inside != name else Path(name)


def chain(path: Path) -> list[Path]:
    """The records of all direct and indirect inputs of a file, in the order of dependence, and its own last.

    Raises `RadtError` when a file below results/ has no record, or when records form a cycle.
    """
    done: dict[Path, None] = {}
    begun: set[Path] = set()
    waiting = [record_of(path)]
    while waiting:
        record = waiting[-1]
        needed = [] if record in done else [need for need in _needs(record) if need not in done]
        if not needed:
            done[waiting.pop()] = None
        elif record in begun:
            raise RadtError(f"{record} says that it was made from itself: delete it and run snakemake again")
        begun.add(record)
        waiting += reversed(needed)
    return list(done)


def check(inputs: Iterable[Path]) -> dict[str, str]:
    """The sha256 of every input. All files of the inputs' artifacts are compared with their records first.

    Raises `RadtError` with the first file that is missing, damaged, of a newer radt or in the wrong place. Files outside of
    results/ have no record.
    """
    found: dict[str, str] = {}
    for record in dict.fromkeys(record_of(path) for path in inputs if "results" in path.parts):
        if wrong := problems(record):
            raise RadtError(wrong[0])
        made = read(record)
        for name in made.replaced:
            if written(made.stage, name) and not record.with_name(name).is_dir():
                record.with_name(name).unlink(missing_ok=True)
    for path in inputs:
        content = content_of(path)
        if content is None:
            raise RadtError(f"{path} is missing: run the stage that writes it")
        found[path.as_posix()] = content
    return found


def waiting_folder(record: Path) -> Path:
    """The hidden folder that holds an artifact until its record is in place."""
    return record.with_name(f".{record.name.removesuffix('.json')}")


def _below_results(path: Path) -> tuple[str, ...] | None:
    """The parts of a path after its last folder `results`; None without one."""
    parts = path.parts
    return parts[len(parts) - parts[::-1].index("results") :] if "results" in parts else None


def _refuse(error: OSError) -> None:
    """Raise `RadtError` for an existing folder that cannot be read."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise RadtError(f"{error.filename} cannot be read ({error.strerror}): change its owner or mode")


def _needs(record: Path) -> list[Path]:
    """The records of the inputs of a record."""
    inputs = [source(record, name) for name in read(record).inputs]
    return [need for file in inputs if artifacts.is_there(need := record_of(file)) or "results" in file.parts]


def _settle(path: Path, record: Record) -> None:
    """Move files of a record from the hidden folder into place, if they are there.

    The hidden folder is opened once and not named again, so that a slow reader never moves files of a later job.
    """
    try:
        folder = os.open(waiting_folder(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        for name, expected in record.outputs.items():
            with suppress(FileNotFoundError, IsADirectoryError):  # another reader has moved it, or a folder is in its place
                if _waits(folder, name, expected):
                    os.rename(name, path.with_name(name), src_dir_fd=folder)
                    artifacts.flush_directory(path.parent)
    finally:
        os.close(folder)


def _waits(folder: int, name: str, expected: str) -> bool:
    """Whether an open folder holds a file of this name with sha256 `expected`."""
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return False
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return False
    with os.fdopen(handle, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == expected


def _fault(record: Path, name: str, expected: str) -> str | None:
    """The fault of a file of a record in a sentence; None without a fault."""
    file, again = record.with_name(name), f"delete {record} and run snakemake again"
    try:
        return None if artifacts.sha256(file) == expected else f"{file} is damaged: {again}"
    except artifacts.MissingError:
        return None if is_copy(record) else f"{file} is missing: {again}"
    except RadtError as error:
        return str(error)
