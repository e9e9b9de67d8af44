"""Requests to the Hugging Face Hub with limits of time, size and redirects, so that they always end.

The Hub's own client waits for ever for some answers, accepts more content than was stated, and names files of its cache after
headers of the answer. Where other libraries use that client, `guard` makes it refuse such names.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, BinaryIO

import httpx2
from huggingface_hub import get_session
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

CONNECT, SILENCE, TOTAL = 10.0, 30.0, 60.0
"""Time limits in seconds: to connect, without a byte, and until the content begins."""
SLOWEST = 20_000
"""Least bytes per second of the content, after `TOTAL` seconds."""
TRIES, PAUSE = 5, 1.0
"""Attempts to resume content that was cut off, and seconds before each."""
PASSING = (408, 429, 500, 502, 503, 504)
"""Statuses of errors that may pass."""


class Refusal(Exception):
    """An unusable answer: the reason in words, and the HTTP status if that is the reason."""

    def __init__(self, words: str, status: int | None = None):
        super().__init__(words)
        self.status = status


def guard() -> None:
    """Give the Hub's own client time limits, and make it refuse headers that would name files outside its cache.

    Its callers then raise `Refusal` or an exception of httpx2.
    """
    client = get_session()
    client.timeout = httpx2.Timeout(SILENCE, connect=CONNECT)
    if _refuse_paths not in client.event_hooks["response"]:
        client.event_hooks = {**client.event_hooks, "response": [*client.event_hooks["response"], _refuse_paths]}


def _refuse_paths(response: httpx2.Response) -> None:
    """Raise `Refusal` for headers that are no plain names, in answers whose headers name files."""
    for header in ("ETag", "X-Linked-Etag", "X-Repo-Commit", "X-Xet-Hash") if response.request.method == "HEAD" else ():
        value = response.headers.get(header, "")
        if ".." in value or not re.fullmatch(r'(W/)?"?[\w.:=+-]*"?', value, re.ASCII):
            raise Refusal(f"the header {header} {value[:80]!r}, which is no plain name")


def read(url: str, most: int, form: dict[str, Any]) -> bytes:
    """The answer to a POST of `form`, of at most `most` bytes; raises `Refusal` or an exception of httpx2."""
    with _answer("POST", url, {}, form) as response:
        return b"".join(_parts(response, most))


def save(url: str, file: BinaryIO, most: int, expected: str) -> str:
    """Write the content of `url` to an empty file, resuming where it is cut off, and return its sha256.

    At most `most` bytes are accepted, and none if the ETag states another sha256 than `expected`. Raises `Refusal` or an
    exception of httpx2.
    """
    for left in reversed(range(TRIES)):
        begun = file.tell()
        try:
            _append(url, file, most, expected)
            break
        except (httpx2.TransportError, Refusal) as error:
            passing = file.tell() > begun if isinstance(error, httpx2.TransportError) else error.status in PASSING
            if not left or not passing:
                raise
            time.sleep(PAUSE)
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _append(url: str, file: BinaryIO, most: int, expected: str) -> None:
    """Append the missing content of `url` to a file."""

    def look(response: httpx2.Response) -> None:
        if (stated := response.headers.get("X-Linked-Etag", "").strip('"')) not in ("", expected):
            raise Refusal(f"the ETag {stated[:80]!r} instead of sha256 {expected}")

    held = file.tell()
    with _answer("GET", url, {"Range": f"bytes={held}-"} if held else {}, look=look) as response:
        if "html" in response.headers.get("Content-Type", ""):
            raise Refusal("an HTML page instead of a file")
        if held and response.status_code != 206:
            file.seek(0)
            file.truncate()
        for part in _parts(response, most - file.tell()):
            file.write(part)


@contextmanager
def _answer(
    method: str,
    url: str,
    headers: dict[str, str],
    form: dict[str, Any] | None = None,
    look: Callable[[httpx2.Response], None] = lambda response: None,
) -> Iterator[httpx2.Response]:
    """A successful answer whose content is not read yet; `look` is called with it, and with each redirect before it is taken."""
    limits, hooks, trust = httpx2.Timeout(SILENCE, connect=CONNECT), {"response": [look]}, _certificates()
    with httpx2.Client(follow_redirects=True, max_redirects=10, timeout=limits, event_hooks=hooks, verify=trust) as client:
        headers = {**build_hf_headers(), "Accept-Encoding": "identity", **headers}
        watch = threading.Timer(TOTAL, client.close)
        watch.daemon = True
        watch.start()
        try:
            response = client.send(client.build_request(method, url, headers=headers, data=form), stream=True)
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


def _parts(response: httpx2.Response, most: int) -> Iterator[bytes]:
    """The content in pieces; raises `Refusal` beyond `most` bytes, and `ReadTimeout` when it is too slow."""
    begun, got = time.monotonic(), 0
    for part in response.iter_raw():
        got += len(part)
        if got > most:
            raise Refusal("more content than the size that was stated")
        if time.monotonic() - begun > TOTAL + got / SLOWEST:
            raise httpx2.ReadTimeout(f"slower than {SLOWEST} bytes per second")
        yield part
