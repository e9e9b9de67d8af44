"""Get the results that the present commit records: `python -m radt pull`.

What a remote holds is checked before it comes among the results: DVC fetches into its cache, the objects there are compared with
their names, which are hashes, and only then DVC copies them to their places. Last the results are compared with their records.
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
"""Seconds that DVC may take to fetch; of a remote that does not answer it tells itself, after minutes."""
HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
CORRUPT = re.compile(r"object ([0-9a-f]{32}\.dir) is corrupted")
"""DVC tells so of the list of a folder's files that is no JSON."""
CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>)", re.MULTILINE)
NONE = "this commit records no results, make some (make figure, then make record)"
RESTORE = f"restore it (git checkout -- {LOCK}), or record results anew (make record)"
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What is raised when a value does not have the form that is expected."""


def pull() -> list[str]:
    """Let DVC get all results that dvc.lock has; returns the names of its stages.

    A bare `dvc pull` fails when an experiment of dvc.yaml was never recorded. Raises `RadtError` when none was, when the remote
    does not have them, or when what it has is damaged; then no result is touched.
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
    """Path and hash of an output; raises one of `MALFORMED` when it has none, or when it is not in results/."""
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
    """The name of an object; raises `ValueError` when it is none."""
    if not HASH.fullmatch(_text(value)):
        raise ValueError(value)
    return str(value)


def _inside(path: Any) -> str:
    """A path that does not lead out of its folder; raises `ValueError` for another."""
    parts = PurePosixPath(_text(path)).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
        raise ValueError(path)
    return str(path)


def _faults(cache: Path, path: str, name: str) -> Iterator[str]:
    """What is wrong with the objects of an output, a sentence each."""
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
    """A sentence when an object is not what its name says; it is removed, so that DVC fetches it again.

    An object that is not there is none of DVC's: Git keeps what it stands for.
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
    """The sentence on an object of the remote that is not what its name says."""
    return f"{what} came damaged (object {name}): pull again; if that does not help, push it from a clone that has it (dvc push)"


def _place(cache: Path, name: str) -> Path:
    """Where DVC's cache has an object."""
    return cache / "files" / "md5" / name[:2] / name[2:]


def _records(outs: list[tuple[str, str]]) -> list[Path]:
    """The records among the outputs."""
    files = [path for out, _ in outs for path in (provenance.files(Path(out)) if Path(out).is_dir() else [Path(out)])]
    return [path for path in files if path.name.endswith(provenance.FILE) and provenance.RECORDED not in path.parents]
