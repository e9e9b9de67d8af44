"""The published data set from the Hugging Face Hub, at a pinned commit; every file is checked by its sha256.

Files are stored in the Hub's own cache (`HF_HOME`), where other programs find them; nothing outside it is touched. An interrupted
download resumes. With `trajectories.download.checksums`, later runs need no network. `HF_ENDPOINT` names a mirror.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, NamedTuple
from urllib.parse import quote

import httpx2
from huggingface_hub import constants
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from tqdm import tqdm

from radt import artifacts
from radt.data import hub
from radt.data.web import PASSING, Refusal
from radt.errors import RadtError, said
from radt.settings.sources import Download

UNSET = "0" * 40  # the revision in config/config.yaml, to be replaced by a commit of the data set
INSTEAD = "or set trajectories.source to generate, which needs no network (source: generate)"
LARGEST = 2**30  # most bytes of a file; published files have a few million
LISTING = 2**24  # most bytes of an answer that lists files, and of a file of checksums
SHA256 = r"[0-9a-f]{64}"


class Expected(NamedTuple):
    """Expected hash of a file, and its size in bytes if known."""

    sha256: str
    size: int | None


class Content(BaseModel):
    """The Hub's answer about a file of Git LFS."""

    oid: Annotated[str, Field(pattern=f"^{SHA256}$")]
    size: Annotated[int, Field(ge=0)]


class Entry(BaseModel):
    """The Hub's answer about a path; `lfs` is None for folders and for files in Git."""

    path: str
    lfs: Content | None = None


def fetch(settings: Download, tasks: list[tuple[str, ...]]) -> Path:
    """Folder with the verified, published file of every task; missing files are downloaded. `tasks` are alternative names each.

    Raises `RadtError` when the settings name no commit of a data set, the Hub cannot be reached or does not have a file, or a
    file has another sha256; such a file is not kept.
    """
    _check(settings)
    names = [name for options in tasks for name in options]
    try:
        expected = _from_file(Path(settings.checksums), settings, names) if settings.checksums else _from_hub(settings, names)
        known = [name for options in tasks for name in _known(settings, options, expected)]
        paths = [_file(settings, name, expected[name]) for name in tqdm(known, "download", unit="file", disable=None)]
    except RadtError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        raise RadtError(_sentence(settings, error)) from None
    return paths[0].parent


def _check(settings: Download) -> None:
    """Raise `RadtError` unless revision and folder of the settings are set and well-formed, and no web server is named."""
    if settings.url is not None:
        raise RadtError(f"trajectories.download.url is {settings.url!r}, allowed is null: HF_ENDPOINT names a mirror of the Hub")
    if settings.revision == UNSET:
        raise RadtError(
            "trajectories.download.revision is not set: set it to a commit of"
            f" {settings.repository} (40 hex digits, see docs/formats.md), {INSTEAD}"
        )
    parts = settings.folder.split("/")
    if not all(re.fullmatch(r"[\w .+-]+", part) and part.strip(". ") for part in parts):
        raise RadtError(f"trajectories.download.folder is {settings.folder!r}: allowed is a folder inside the repository")


def _sentence(settings: Download, error: Exception) -> str:
    """The sentence for an error of the network or the Hub, with a remedy."""
    what = f"{settings.repository} at revision {settings.revision}"
    reason = said(error)
    if isinstance(error, OSError):
        return f"the cache of the Hugging Face Hub cannot be used ({error}): set HF_HOME to another folder"
    if isinstance(error, Refusal) and error.status in PASSING:
        return f"the Hugging Face Hub does not give {what} now ({reason}): run again in some minutes, {INSTEAD}"
    if isinstance(error, Refusal) and error.status:
        access = "log in with `hf auth login` if it is not public, and " if error.status in (401, 403) else ""
        return f"the Hugging Face Hub refuses {what} ({reason}): {access}check trajectories.download, {INSTEAD}"
    if isinstance(error, Refusal | httpx2.TooManyRedirects | ValidationError):
        reason = {httpx2.TooManyRedirects: "redirects without end", ValidationError: "no list of files"}.get(type(error), reason)
        return (
            f"{constants.ENDPOINT} does not answer as the Hugging Face Hub does ({reason}): log in where the network asks for"
            f" that, check HF_ENDPOINT, {INSTEAD}"
        )
    return (
        f"the Hugging Face Hub cannot be reached at {constants.ENDPOINT} to get {settings.repository} ({reason}): connect and run"
        f" again, {INSTEAD}"
    )


def _known(settings: Download, options: tuple[str, ...], expected: dict[str, Expected]) -> list[str]:
    """The names among `options` that the data set has; raises `RadtError` for none."""
    known = [name for name in options if name in expected]
    if not known:
        origin = settings.checksums or f"{settings.repository} at revision {settings.revision}"
        wanted = " or ".join(repr(f"{settings.folder}/{name}") for name in options)
        raise RadtError(f"{origin} has no sha256 of {wanted}: check trajectories.download.folder and checksums")
    return known


def _file(settings: Download, plain: str, expected: Expected) -> Path:
    """One verified file of the data set, from the cache or the Hub."""
    path = _place(settings, plain)
    if path.is_file() and artifacts.sha256(path) == expected.sha256:
        return path
    if constants.is_offline_mode():
        raise RadtError(f"{path} is not there and HF_HUB_OFFLINE is set: unset it and run again, {INSTEAD}")
    name = f"{settings.folder}/{plain}"
    url = f"{constants.ENDPOINT}/datasets/{settings.repository}/resolve/{settings.revision}/{quote(name)}"
    with _replacing(path) as file:
        found = hub.save(url, file, LARGEST if expected.size is None else expected.size, expected.sha256)
        if found != expected.sha256:
            raise RadtError(
                f"{name!r} of {settings.repository} has sha256 {found}, expected is {expected.sha256}: run again to get it anew"
            )
    return path


def _place(settings: Download, plain: str) -> Path:
    """Path of a file of this commit in the Hub's cache; raises `RadtError` when a link there leads out of the cache."""
    cache = Path(constants.HF_HUB_CACHE)
    commit = cache / f"datasets--{settings.repository.replace('/', '--')}" / "snapshots" / settings.revision
    path = commit / settings.folder / plain
    if not path.resolve().is_relative_to(cache.resolve()):
        raise RadtError(f"{path} leads out of the cache of the Hugging Face Hub to {path.resolve()}: delete that link")
    if path.exists() and not path.is_file():
        raise RadtError(f"{path} in the cache of the Hugging Face Hub is no file: delete it")
    return path


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file beside `path`, which replaces `path` on success and is deleted on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb+") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _from_hub(settings: Download, names: list[str]) -> dict[str, Expected]:
    """sha256 and size by file name, as stated by the Hub for the pinned commit."""
    if constants.is_offline_mode():
        raise RadtError(f"HF_HUB_OFFLINE is set: unset it, or give trajectories.download.checksums, {INSTEAD}")
    paths = {f"{settings.folder}/{name}": name for name in names}
    url = f"{constants.ENDPOINT}/api/datasets/{settings.repository}/paths-info/{settings.revision}"
    answer = hub.read(url, LISTING, {"paths": list(paths), "expand": False})
    found = {
        entry.path: entry.lfs for entry in TypeAdapter(list[Entry]).validate_json(answer) if entry.lfs and entry.path in paths
    }
    if large := [path for path, content in found.items() if content.size > LARGEST]:
        raise RadtError(
            f"{large[0]!r} of {settings.repository} has more than {LARGEST} bytes: check trajectories.download, {INSTEAD}"
        )
    return {paths[path]: Expected(content.oid, content.size) for path, content in found.items()}


def _from_file(path: Path, settings: Download, names: list[str]) -> dict[str, Expected]:
    """sha256 by file name, from a file that `sha256sum` wrote in any folder."""
    remedy = "set trajectories.download.checksums to a file made by sha256sum, or null"
    wanted, found = {name: f"{settings.folder}/{name}" for name in names}, dict[str, Expected]()
    for digest, given in artifacts.read_sums(path, LISTING, remedy):
        name = given.rpartition("/")[2]
        if name not in wanted or not _ends_alike(given, wanted[name]):
            continue
        if found.setdefault(name, Expected(digest, None)).sha256 != digest:
            raise RadtError(f"{path} has two sums of {name!r}: leave the right one")
    return found


def _ends_alike(one: str, other: str) -> bool:
    """Whether one path is the end of the other."""
    return all(a == b for a, b in zip(*(path.removeprefix("./").split("/")[::-1] for path in (one, other)), strict=False))
