"""Requests to the Hugging Face Hub that end whatever the other side does: limits of time, size and redirects.

Not the Hub's own client: it waits for ever for some answers, takes more content than was stated, and names files of its cache
after headers of the answer. Where other libraries use it, `guard` makes it refuse such names.
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
"""Most seconds to connect, without a byte, and until the content begins."""
SLOWEST = 20_000
"""Bytes per second that content must come with, after `TOTAL` seconds."""
TRIES, PAUSE = 5, 1.0
"""How often content that was cut off is gone on with, and seconds before that."""
PASSING = (408, 429, 500, 502, 503, 504)
"""Statuses that another time may be different."""


class Refusal(Exception):
    """An answer that is no good: what is wrong with it in words, and the status where that is the reason."""

    def __init__(self, words: str, status: int | None = None):
        super().__init__(words)
        self.status = status


def guard() -> None:
    """Have the Hub's own client end its requests, and refuse headers after which it would name files outside its cache.

    What uses it then raises `Refusal` or an exception of httpx2.
    """
    client = get_session()
    client.timeout = httpx2.Timeout(SILENCE, connect=CONNECT)
    if _refuse_paths not in client.event_hooks["response"]:
        client.event_hooks = {**client.event_hooks, "response": [*client.event_hooks["response"], _refuse_paths]}


def _refuse_paths(response: httpx2.Response) -> None:
    """Raise `Refusal` for headers that are no plain names, of the answers after which files are named."""
    for header in ("ETag", "X-Linked-Etag", "X-Repo-Commit", "X-Xet-Hash") if response.request.method == "HEAD" else ():
        value = response.headers.get(header, "")
        if ".." in value or not re.fullmatch(r'(W/)?"?[\w.:=+-]*"?', value, re.ASCII):
            raise Refusal(f"the header {header} {value[:80]!r}, which is no plain name")


def read(url: str, most: int, form: dict[str, Any]) -> bytes:
    """The answer to a POST of `form`, of at most `most` bytes; raises `Refusal` or an exception of httpx2."""
    with _answer("POST", url, {}, form) as response:
        return b"".join(_parts(response, most))


def save(url: str, file: BinaryIO, most: int, expected: str) -> str:
    """Write the content of `url` to an empty file, going on where it is cut off, and return its sha256.

    At most `most` bytes are taken, and none where the Hub states another sha256 than the `expected` one as the ETag. Raises
    `Refusal` or an exception of httpx2.
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
    """Write what is still missing of the content of `url`."""

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
    """A good answer, of which the content is not read yet; `look` sees it and each redirect before it is followed."""
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
    """Whom to trust, read once."""
    return httpx2.create_ssl_context()


def _parts(response: httpx2.Response, most: int) -> Iterator[bytes]:
    """The content, piece by piece, as long as it is not more than `most` bytes and not too slow."""
    begun, got = time.monotonic(), 0
    for part in response.iter_raw():
        got += len(part)
        if got > most:
            raise Refusal("more content than the size that was stated")
        if time.monotonic() - begun > TOTAL + got / SLOWEST:
            raise httpx2.ReadTimeout(f"slower than {SLOWEST} bytes per second")
        yield part
