"""Requests over HTTP with limits of time, size and redirects, so that they always end."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import httpx2
from pydantic import BaseModel, Field, ValidationError

from radt.artifacts import write_bytes

CONNECT, SILENCE, TOTAL = 10.0, 30.0, 60.0
"""Time limits in seconds: to connect, without a byte, and until the content begins."""
SLOWEST = 20_000
"""Least bytes per second of the content, after `TOTAL` seconds."""
TRIES, PAUSE = 5, 1.0
"""Attempts to resume content that was cut off, and seconds before each."""
PASSING = (408, 429, 500, 502, 503, 504)
"""Statuses of errors that may pass."""
ANEW = (206, 416)
"""Statuses of answers that do not fit the bytes that are there."""
PLAIN = {"Accept-Encoding": "identity"}
"""Header that asks for the bytes of a file as they are."""


class Refusal(Exception):
    """An unusable answer: the reason in words, and the HTTP status if that is the reason."""

    def __init__(self, words: str, status: int | None = None):
        super().__init__(words)
        self.status = status


class Version(BaseModel):
    """What a server says about a file that was begun: its mark (ETag, else the time of its last change), and its bytes."""

    mark: Annotated[str, Field(min_length=1)]
    size: Annotated[int, Field(ge=0)]


def client(look: Callable[[httpx2.Response], None] = lambda response: None) -> httpx2.Client:
    """A client with limits; `look` is called with each answer, and with each redirect before it is taken."""
    limits, hooks = httpx2.Timeout(SILENCE, connect=CONNECT), {"response": [look]}
    return httpx2.Client(follow_redirects=True, max_redirects=10, timeout=limits, event_hooks=hooks, verify=_certificates())


@contextmanager
def answer(
    client: httpx2.Client, method: str, url: str, headers: dict[str, str], form: dict[str, Any] | None = None
) -> Iterator[httpx2.Response]:
    """A successful answer whose content is not read yet. When it does not come in time, the client is closed.

    Raises `Refusal` or an exception of httpx2.
    """
    watch = threading.Timer(TOTAL, client.close)
    watch.daemon = True
    watch.start()
    try:
        response = client.send(client.build_request(method, url, headers={**PLAIN, **headers}, data=form), stream=True)
    finally:
        watch.cancel()
    try:
        if not 200 <= response.status_code < 300:
            raise Refusal(f"{response.status_code} {response.reason_phrase[:80]}".strip(), response.status_code)
        yield response
    finally:
        response.close()


@cache
def _certificates() -> ssl.SSLContext:
    """Trusted certificates, read once."""
    return httpx2.create_ssl_context()


def parts(response: httpx2.Response, most: int) -> Iterator[bytes]:
    """The content in pieces; raises `Refusal` beyond `most` bytes, and `ReadTimeout` when it is too slow."""
    begun, got = time.monotonic(), 0
    for part in response.iter_raw():
        got += len(part)
        if got > most:
            raise Refusal("more content than the size that was stated")
        if time.monotonic() - begun > TOTAL + got / SLOWEST:
            raise httpx2.ReadTimeout(f"slower than {SLOWEST} bytes per second")
        yield part


def refuse_page(response: httpx2.Response) -> None:
    """Raise `Refusal` for a web page, such as that of a login."""
    if "html" in response.headers.get("Content-Type", ""):
        raise Refusal("an HTML page instead of a file")


def save(connect: Callable[[], httpx2.Client], url: str, path: Path, most: int) -> None:
    """Write the content of `url`, at most `most` bytes, to `path`. It may have begun before, in another process, too.

    It goes on where it was cut off as long as the server says that the file is the same; else it begins anew. What a server said
    is kept in a file beside `path`. Raises `Refusal`, which deletes what was written, or an exception of httpx2, which keeps it.
    """
    for left in reversed(range(TRIES)):
        begun = _size(path)
        try:
            return _append(connect(), url, path, most)
        except Refusal as error:
            unfit = begun and error.status in ANEW
            if error.status not in PASSING:
                forget(path)
            if not left or not (unfit or error.status in PASSING):
                raise
        except httpx2.TransportError as error:
            idle = left == TRIES - 1 and isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError)  # closed meanwhile
            if not left or not (idle or _size(path) > begun):
                raise
        time.sleep(PAUSE)
    return None


def forget(path: Path) -> None:
    """Delete what `save` wrote."""
    path.unlink(missing_ok=True)
    _beside(path).unlink(missing_ok=True)


def _append(client: httpx2.Client, url: str, path: Path, most: int) -> None:
    """Write the missing content of `url`."""
    held, known = _size(path), _version(path)
    if known is None or held > known.size:
        held = 0
    elif held == known.size:
        return _beside(path).unlink()
    headers = {"Range": f"bytes={held}-", "If-Range": known.mark} if held and known else {}
    with answer(client, "GET", url, headers) as response:
        refuse_page(response)
        mark, size = _told(response, held)
        if response.status_code == 206:
            if not held or not known or size != known.size or mark not in ("", known.mark):
                raise Refusal("a part that does not fit the beginning of the file", 206)
        else:
            held = 0
            forget(path)  # first, so that no old content gets a new mark
            path.parent.mkdir(parents=True, exist_ok=True)
            if mark and size is not None:
                write_bytes(_beside(path), Version(mark=mark, size=size).model_dump_json().encode(), durable=False)
        if size is not None and size > most:
            raise Refusal(f"{size} bytes, of which {most} are allowed")
        with path.open("ab") as file:
            for part in parts(response, (most if size is None else size) - held):
                file.write(part)
    if size is not None and _size(path) != size:
        raise httpx2.ReadError(f"{_size(path)} of {size} bytes")
    _beside(path).unlink(missing_ok=True)
    return None


def _told(response: httpx2.Response, held: int) -> tuple[str, int | None]:
    """The mark of a file, empty without one, and its size, None in an answer of many pieces, which tell their end.

    Raises `Refusal` where a cut would not be noticed, and for another part than the one after `held` bytes.
    """
    headers = response.headers
    tag = headers.get("ETag", "")
    mark = tag if tag.startswith('"') else headers.get("Last-Modified", "")  # a weak ETag is not for parts
    if response.status_code == 206:
        part = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})", headers.get("Content-Range", ""), re.ASCII)
        if not part or int(part[1]) != held:
            raise Refusal("another part of the file than the missing one", 206)
        return mark, int(part[2])
    if re.fullmatch(r"\d{1,18}", length := headers.get("Content-Length", ""), re.ASCII):
        return mark, int(length)
    if headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise Refusal("no size of the file, without which a cut is not noticed")
    return mark, None


def _beside(path: Path) -> Path:
    """The file with the `Version` of what was begun."""
    return path.with_name(f"{path.name}.version")


def _version(path: Path) -> Version | None:
    """What a server said about a file that was begun; None if that is not known."""
    try:
        return Version.model_validate_json(_beside(path).read_bytes())
    except (OSError, ValidationError):
        return None


def _size(path: Path) -> int:
    """Bytes of a file, 0 if it is not there."""
    return path.stat().st_size if path.exists() else 0
