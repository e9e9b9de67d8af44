"""What made an artifact: a record beside its files that says whether they are whole, and whether they are stale.

`radt.pipeline.atomic_stage` writes it. Of an artifact whose job was killed in the last moment, files that the record names may
still wait in a hidden folder: the next reader puts them in place (`problems`). Files of the former artifact that this one lacks
are removed by the jobs that read the present one (`check`), since Snakemake brings old files back when a job is killed.

Staleness is a question of content, never of the clock: `stale` compares the settings, the command line, the fingerprint of the
code and the hashes of the inputs that a record holds with the present ones. Records travel with the results, so the answer is the
same in any clone.
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
"""The format whose records have none."""
FILE = "provenance.json"
UNSET = object()
"""Value of a setting that is not there."""
SHOWN = 60
"""Characters of a value in a reason."""
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
"""Names of the files that each stage, or a command like one, writes. No other is ever removed: it is somebody's own."""


COMMANDS = "radt.commands."
"""What makes files that show results, and is no stage of the workflow."""


class NewerError(RadtError):
    """A record that only a newer radt can read."""


def _file_name(name: str) -> str:
    """A name of a file in the folder of its record; raises `ValueError` for any other text."""
    if not name.isprintable() or "/" in name or name[:1] in ("", ".") or len(name.encode()) > 255 or name.endswith(FILE):
        raise ValueError("no file name")
    return name


def _file_path(name: str) -> str:
    """A path below the project, or from the root on; raises `ValueError` for any other text."""
    path = PurePosixPath(name)
    if not name.isprintable() or not path.name or ".." in path.parts or path.as_posix() != name or len(name.encode()) > 4095:
        raise ValueError("no path")
    return name


FileName = Annotated[str, AfterValidator(_file_name)]
FilePath = Annotated[str, AfterValidator(_file_path)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Record(Section):
    """Where an artifact comes from; docs/formats.md explains every field."""

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
    """The path from the last folder `results` on, the same in every clone, and for a copy in results/recorded/ that of what was
    copied; a path without one is returned as it is."""
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
    """Where the record of a file is: `{stem}.provenance.json` beside it, or `provenance.json`, which is of the whole folder."""
    own = path.with_name(f"{path.name.partition('.')[0]}.{FILE}")
    return own if artifacts.is_there(own) else path.with_name(FILE)


def read(path: Path) -> Record:
    """A record; raises `RadtError` when it is missing, damaged, of a newer radt (`NewerError`) or of another place."""
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
    """Write a record, with a checksum of all of it."""
    artifacts.write_checked_json(path, record.model_dump())


def files(root: Path) -> list[Path]:
    """All files below `root`, sorted, through links of folders, too, each folder once; hidden ones and, unless `root` is one of
    them, copies in results/recorded/ left out. Raises `RadtError` for a folder that cannot be read."""
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
    """All records below `root`; raises `RadtError` when there are none."""
    found = [path for path in files(root) if is_record(path)]
    if not found:
        raise RadtError(f"{root} holds no records of results: make some (make figure) or get some (make pull)")
    return found


def content_of(path: Path) -> str | None:
    """The sha256 that the record beside a file holds of it, of a file without record its own; None when there is no such file."""
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
    """Why an artifact would be made differently now."""

    changes: list[str] = field(default_factory=list)
    """What is wrong with the record, or what changed in settings and command line, such as `train_ad.episode_gap: 1 -> 3`."""
    code: bool = False
    """Whether the code of the stage changed."""
    inputs: list[str] = field(default_factory=list)
    """Inputs with other content than before, also those that are new or no longer read."""


def stale(path: Path, code: str, inputs: Iterable[str], arguments: list[str]) -> Stale | None:
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
        return Stale([str(error).partition(": ")[0]])
    changes = differences(record.settings, settings)
    if record.arguments != arguments:
        changes.append(f"command line: {' '.join(record.arguments)} -> {' '.join(arguments)}")
    changed = sorted(name for name in record.inputs.keys() | present.keys() if record.inputs.get(name) != present.get(name))
    found = Stale(changes, code not in (record.code, *record.accepted), changed)
    return None if found == Stale() else found


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Each key of nested settings that changed, with both values: `train_ad.episode_gap: 1 -> 3`."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        found = [differences(old.get(key, UNSET), new.get(key, UNSET), f"{name}.{key}".lstrip(".")) for key in keys]
        return [line for lines in found for line in lines]
    return [] if old == new else [f"{name}: {_shown(old)} -> {_shown(new)}"]


def _shown(value: Any) -> str:
    """A value of a setting, cut when it is long."""
    text = "unset" if value is UNSET else json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def split(arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The settings in the command line of a stage, and the rest of it."""
    place = arguments.index("--settings")
    return json.loads(arguments[place + 1]), [*arguments[:place], *arguments[place + 2 :]]


def code_of(stage: str, settings: dict[str, Any], arguments: list[str]) -> str:
    """Fingerprint of the code behind an artifact: of its stage, and of what it imports by name.

    That is a method, an encoder, suites, and the module of an environment, where it is part of radt or a file of the project.
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
    """What a stage imports by a name on its command line: a part of a method, or an encoder; nothing for other stages."""
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
    """What is wrong with the files of a record, a sentence each; those that a killed job has left waiting are put in place.

    Other readers, and the job that makes the artifact, may be at work: what is wrong is so only if the record is still the same.
    A copy in results/recorded/ lacks large files, which is not wrong.
    """
    while True:
        record = read(path)
        _settle(path, record)
        faults = [_fault(path, name, expected) for name, expected in record.outputs.items()]
        found = list(filter(None, faults))
        if not found or read(path) == record:
            return found


def broken_links(path: Path) -> list[str]:
    """Inputs of a record that are no longer what its artifact was made from, a sentence each."""
    found, made = [], read(path)
    again = made.stage.replace(COMMANDS, "python -m radt ") if made.stage.startswith(COMMANDS) else "snakemake"
    for name, expected in made.inputs.items():
        present = content_of(source(path, name))
        if present != expected:
            state = "is missing: run `dvc pull`, or snakemake" if present is None else f"has changed since: run {again}"
            found.append(f"{path.parent} was made from {name}, which {state}")
    return found


def source(record: Path, name: str) -> Path:
    """Where an input of a record is; for that of a copy in results/recorded/, beside it if it is a result."""
    inside = name.removeprefix("results/")
    return RECORDED / inside if is_copy(record) and inside != name else Path(name)


def chain(path: Path) -> list[Path]:
    """The records of all that a file was made from, each after those that it depends on, and its own last.

    Raises `RadtError` when a file below results/ has no record, or when records name each other in a circle.
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
    """The sha256 of every input, after all files of the artifacts that they belong to were compared with their records.

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
    """The folder that holds an artifact until its record is in place."""
    return record.with_name(f".{record.name.removesuffix('.json')}")


def _below_results(path: Path) -> tuple[str, ...] | None:
    """The parts of a path behind the last folder `results`; None without one."""
    parts = path.parts
    return parts[len(parts) - parts[::-1].index("results") :] if "results" in parts else None


def _refuse(error: OSError) -> None:
    """Raise `RadtError` for a folder that is there and cannot be read."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise RadtError(f"{error.filename} cannot be read ({error.strerror}): change its owner or mode")


def _needs(record: Path) -> list[Path]:
    """The records of the inputs of a record."""
    inputs = [source(record, name) for name in read(record).inputs]
    return [need for file in inputs if artifacts.is_there(need := record_of(file)) or "results" in file.parts]


def _settle(path: Path, record: Record) -> None:
    """Move the files of a record into place from where they wait, if they do.

    The folder where they wait is opened, not named: a reader that is held up here moves nothing of a later job.
    """
    try:
        folder = os.open(waiting_folder(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        for name, expected in record.outputs.items():
            with suppress(FileNotFoundError, IsADirectoryError):  # another reader was faster, or a folder is in its place
                if _waits(folder, name, expected):
                    os.rename(name, path.with_name(name), src_dir_fd=folder)
                    artifacts.flush_directory(path.parent)
    finally:
        os.close(folder)


def _waits(folder: int, name: str, expected: str) -> bool:
    """Whether an open folder holds a file of a name and content."""
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
    """What is wrong with a file of a record, in a sentence."""
    file, again = record.with_name(name), f"delete {record} and run snakemake again"
    try:
        return None if artifacts.sha256(file) == expected else f"{file} is damaged: {again}"
    except artifacts.MissingError:
        return None if is_copy(record) else f"{file} is missing: {again}"
    except RadtError as error:
        return str(error)
