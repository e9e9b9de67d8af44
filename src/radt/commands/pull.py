"""Get the results that the present commit records: `python -m radt pull`.

Objects of a remote are checked before they become results: DVC fetches them into its cache, they are compared with their names,
which are hashes, and only then DVC copies them into place. Finally the results are compared with their records.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from radt.commands.programs import run
from radt.errors import RadtError
from radt.pipeline import provenance

LOCK = Path("dvc.lock")
DAY = 86400.0
"""Time limit of DVC's fetch in seconds; it has a shorter time limit of its own for remotes that do not answer."""
HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
CORRUPT = re.compile(r"object ([0-9a-f]{32}\.dir) is corrupted")
"""DVC's error for a list of a folder's files that is no JSON."""
CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>)", re.MULTILINE)
NONE = "this commit records no results, make some (make figure, then make record)"
RESTORE = f"restore it (git checkout -- {LOCK}), or record results anew (make record)"
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""Exceptions for values of an unexpected form."""


def pull() -> list[str]:
    """Let DVC get all results in dvc.lock; returns the names of its stages.

    A bare `dvc pull` fails when an experiment of dvc.yaml was never recorded. Raises `RadtError` when none was recorded, or the
    remote's objects are missing or damaged; then no result is changed.
    """
    stages = _stages()
    outs = [out for stage in stages.values() for out in stage]
    cache = Path(run("dvc", "cache", "dir").strip().splitlines()[-1])
    try:
        run("dvc", "fetch", "--", *stages, timeout=DAY)
    except RadtError as error:
        if damaged := CORRUPT.search(str(error)):
            raise RadtError(_came_damaged("a folder", damaged[1])) from None
        raise
    if wrong := [fault for path, name in outs for fault in _faults(cache, path, name)]:
        raise RadtError("\n".join(wrong))
    run("dvc", "checkout", "--", *stages, timeout=DAY)
    if wrong := [fault for record in _records(outs) for fault in provenance.problems(record)]:
        raise RadtError("\n".join(wrong))
    return list(stages)


def _stages() -> dict[str, list[tuple[str, str]]]:
    """Path and hash of every output in dvc.lock, by stage; raises `RadtError` when the file is missing, damaged or empty."""
    try:
        text = LOCK.read_text(encoding="utf-8")
        if CONFLICT.search(text):
            raise RadtError(f"{LOCK} has conflict marks of Git: settle the conflict, then pull again")
        found = {_text(name): [_output(out) for out in stage["outs"]] for name, stage in yaml.safe_load(text)["stages"].items()}
    except FileNotFoundError:
        raise RadtError(f"{LOCK} is not here: {NONE}") from None
    except OSError as error:
        raise RadtError(f"{LOCK} cannot be read ({error.strerror}): {RESTORE}") from None
    except (yaml.YAMLError, *MALFORMED):
        raise RadtError(f"{LOCK} is damaged (no stages with outputs in results/): {RESTORE}") from None
    if not found:
        raise RadtError(f"{LOCK} has no stages: {NONE}")
    return found


def _output(entry: Any) -> tuple[str, str]:
    """Path and hash of an output; raises one of `MALFORMED` when they are missing, or the path is not in results/."""
    path = _inside(entry["path"])
    if not path.startswith("results/"):
        raise ValueError(path)
    return path, _hash(entry["md5"])


def _text(value: Any) -> str:
    """A string; raises `TypeError` for anything else."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _hash(value: Any) -> str:
    """The name of an object, a hash; raises `ValueError` for anything else."""
    if not HASH.fullmatch(_text(value)):
        raise ValueError(value)
    return str(value)


def _inside(path: Any) -> str:
    """A path that does not lead out of its folder; raises `ValueError` for any other."""
    parts = PurePosixPath(_text(path)).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
        raise ValueError(path)
    return str(path)


def _faults(cache: Path, path: str, name: str) -> Iterator[str]:
    """Faults of the objects of an output, a sentence each."""
    damaged = _damaged(cache, path, name)
    yield from damaged
    if name.endswith(".dir") and not damaged:
        try:
            for entry in json.loads(_place(cache, name).read_bytes()):
                yield from _damaged(cache, f"{path}/{_inside(entry['relpath'])}", _hash(entry["md5"]))
        except FileNotFoundError:
            return
        except MALFORMED:
            yield f"object {name} of the remote lists files that do not belong into {path}: do not use this remote"


def _damaged(cache: Path, path: str, name: str) -> list[str]:
    """A sentence for an object whose hash is not its name; the object is removed, so that DVC fetches it again.

    A missing object is no fault: Git keeps that file.
    """
    place = _place(cache, name)
    try:
        with place.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
    except FileNotFoundError:
        return []
    if found == name.removesuffix(".dir"):
        return []
    place.unlink()
    return [_came_damaged(path, name)]


def _came_damaged(what: str, name: str) -> str:
    """The sentence for an object of the remote whose hash is not its name."""
    return f"{what} came damaged (object {name}): pull again; if that does not help, push it from a clone that has it (dvc push)"


def _place(cache: Path, name: str) -> Path:
    """Path of an object in DVC's cache."""
    return cache / "files" / "md5" / name[:2] / name[2:]


def _records(outs: list[tuple[str, str]]) -> list[Path]:
    """The records among the outputs."""
    files = [path for out, _ in outs for path in (provenance.files(Path(out)) if Path(out).is_dir() else [Path(out)])]
    return [path for path in files if path.name.endswith(provenance.FILE) and provenance.RECORDED not in path.parents]
