"""Files of a folder on a web server, kept in a cache. There are no published sums: those of the first download are written down.

The cache is `radt` in `XDG_CACHE_HOME` (`~/.cache`), and nothing outside it is touched. A file lies there under its address, and
gets its name when it is whole. `sha256sums.txt` beside the files of a folder has the form of `sha256sum`. Later runs compare with
it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import quote

import httpx2

from radt.artifacts import read_sums, sha256, write_text
from radt.data import web
from radt.errors import RadtError, said
from radt.settings.sources import Download

SUMS = "sha256sums.txt"
LISTING = 2**28
"""Most bytes of a file of sums; a million files have 80 million."""
INSTEAD = "or set trajectories.source to import, for files that are on this machine"


class Kind(NamedTuple):
    """What a file has to be: in words, its most bytes, and a test of its content."""

    words: str
    most: int
    fits: Callable[[Path], bool]


class AbsentError(RadtError):
    """A file that the server does not have."""


class WebFolder:
    """The folder `settings.folder` at an address, and its files in the cache."""

    def __init__(self, settings: Download, address: str):
        self.url = f"{address.rstrip('/')}/{quote(settings.folder)}"
        self._cache = _cache()
        self.place = self._cache.joinpath(*address.rstrip("/").split("/")[2:], settings.folder)
        self._given = Path(settings.checksums) if settings.checksums else None
        self._expected = self._read(self._given, f"{settings.folder}/") if self._given else {}
        self._sums: dict[str, str] = {}
        self._client = web.client()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The folder for this process alone; others wait until it is done."""
        try:
            own, lock = self._path(SUMS), self._path(".lock")
            self.place.mkdir(parents=True, exist_ok=True)
            file = lock.open("ab")
        except (FileExistsError, NotADirectoryError):
            raise RadtError(f"{self.place} in the cache is no folder: delete it, or set XDG_CACHE_HOME") from None
        with file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if own.exists():
                _drop_torn_line(own)
            self._sums = self._read(own, "") if own.exists() and own.stat().st_size else {}
            try:
                yield
            finally:
                self._client.close()

    def has(self, name: str) -> bool:
        """Whether the cache has a file, with the sum that is expected."""
        path, expected = self._path(name), self._sum_of(name)
        return expected is not None and path.is_file() and sha256(path) == expected

    def get(self, name: str, kind: Kind) -> Path:
        """The verified file of this name, from the cache or the server.

        Raises `AbsentError` when the server does not have it, and `RadtError` when it cannot be reached, or when the file is of
        another kind, larger, or has another sum than expected; such a file is not kept.
        """
        if self.has(name):
            return self._path(name)
        url, partial = f"{self.url}/{quote(name)}", self._partial(name)
        try:
            web.save(self._connect, url, partial, kind.most)
        except (web.Refusal, httpx2.HTTPError, httpx2.InvalidURL) as error:
            if isinstance(error, web.Refusal) and error.status in (404, 410):
                raise AbsentError(f"{url} is not there") from None
            raise RadtError(_sentence(url, error)) from None
        except OSError:
            web.forget(partial)
            raise
        return self._accept(name, kind, url)

    def put(self, name: str, kind: Kind, origin: str, write: Callable[[BinaryIO], None]) -> None:
        """A file whose content `write` writes, in the cache; it is verified as those of the server. `origin` is for messages."""
        partial = self._partial(name)
        partial.parent.mkdir(parents=True, exist_ok=True)
        web.forget(partial)
        try:
            with partial.open("wb") as file:
                write(file)
            self._accept(name, kind, origin)
        finally:
            partial.unlink(missing_ok=True)

    def _connect(self) -> httpx2.Client:
        """A client that is open; one connection serves many files."""
        if self._client.is_closed:
            self._client = web.client()
        return self._client

    def _accept(self, name: str, kind: Kind, origin: str) -> Path:
        """Give a whole file its name, after a look at its content and its sum."""
        path, partial, expected = self._path(name), self._partial(name), self._sum_of(name)
        if not kind.fits(partial):
            partial.unlink()
            raise RadtError(f"{origin} is not {kind.words}: log in where the network asks for that, check {_KEYS}, {INSTEAD}")
        if expected not in (None, found := sha256(partial)):
            partial.unlink()
            sums = self._given or self.place / SUMS
            raise RadtError(
                f"{origin} has sha256 {found}, but {sums} expects {expected}: run again to get it anew, or delete"
                f" {self.place if self._given is None else 'that line'} if the published file has changed"
            )
        self._record(name, found)
        partial.replace(path)
        return path

    def _record(self, name: str, found: str) -> None:
        """Write a sum down."""
        path, known = self._path(SUMS), self._sums.get(name)
        self._sums[name] = found
        if known is None:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{found}  {name}\n")
        elif known != found:
            write_text(path, "".join(f"{digest}  {one}\n" for one, digest in self._sums.items()))

    def _sum_of(self, name: str) -> str | None:
        """The expected sum; None for a file that is new. Raises `RadtError` when the file of `checksums` does not have it."""
        if self._given is None:
            return self._sums.get(name)
        if name not in self._expected:
            raise RadtError(f"{self._given} has no sha256 of {name!r}: check trajectories.download.folder and checksums")
        return self._expected[name]

    def _read(self, path: Path, before: str) -> dict[str, str]:
        """Sums by name inside the folder; `before` may stand before a name."""
        own = "delete it, and files are downloaded again"
        remedy = "set trajectories.download.checksums to a file made by sha256sum, or null" if path == self._given else own
        found: dict[str, str] = {}
        for digest, given in read_sums(path, LISTING, remedy):
            name = given.removeprefix("./").removeprefix(before)
            if found.setdefault(name, digest) != digest:
                raise RadtError(f"{path} has two sums of {name!r}: leave the right one")
        return found

    def _path(self, name: str) -> Path:
        """Place of a file; raises `RadtError` when a link there leads out of the cache."""
        path = self.place / name
        if not path.resolve().is_relative_to(self._cache.resolve()):
            raise RadtError(f"{path} leads out of the cache to {path.resolve()}: delete that link")
        if path.exists() and not path.is_file():
            raise RadtError(f"{path} in the cache is no file: delete it")
        return path

    def _partial(self, name: str) -> Path:
        """Place of a file that is not whole."""
        folder, _, last = name.rpartition("/")
        return self._path(f"{folder}/.{last}.partial" if folder else f".{last}.partial")


_KEYS = "trajectories.download.url and folder"


def _cache() -> Path:
    """The cache of this user."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():
        return given / "radt"
    try:
        return Path.home() / ".cache" / "radt"
    except RuntimeError:
        raise RadtError("there is no home for downloaded files: set XDG_CACHE_HOME to a folder") from None


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that has no end, of a run that was killed."""
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        write_text(path, content[: content.rfind(b"\n") + 1].decode(errors="replace"))


def _sentence(url: str, error: Exception) -> str:
    """The sentence for an error of the network or the server, with a remedy."""
    reason = "redirects without end" if isinstance(error, httpx2.TooManyRedirects) else said(error)
    if isinstance(error, web.Refusal) and error.status in web.PASSING:
        return f"{url} is not given now ({reason}): run again in some minutes, {INSTEAD}"
    if isinstance(error, web.Refusal) and error.status:
        return f"{url} is refused ({reason}): check {_KEYS}, {INSTEAD}"
    if isinstance(error, web.Refusal | httpx2.TooManyRedirects):
        return f"{url} is not answered by a file ({reason}): log in where the network asks for that, check {_KEYS}, {INSTEAD}"
    return f"{url} cannot be reached ({reason}): connect and run again, what is there is kept, {INSTEAD}"
