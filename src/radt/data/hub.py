"""Requests to the Hugging Face Hub with limits of time, size and redirects, so that they always end.

The Hub's own client waits for ever for some answers, accepts more content than was stated, and names files of its cache after
headers of the answer. Where other libraries use that client, `guard` makes it refuse such names.
"""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any, BinaryIO

import httpx2
from huggingface_hub import get_session
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from radt.data import web
from radt.data.web import Refusal


def guard() -> None:
    """Give the Hub's own client time limits, and make it refuse headers that would name files outside its cache.

    Its callers then raise `Refusal` or an exception of httpx2.
    """
    client = get_session()
    client.timeout = httpx2.Timeout(web.SILENCE, connect=web.CONNECT)
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
    with web.client() as client, web.answer(client, "POST", url, build_hf_headers(), form) as response:
        return b"".join(web.parts(response, most))


def save(url: str, file: BinaryIO, most: int, expected: str) -> str:
    """Write the content of `url` to an empty file, resuming where it is cut off, and return its sha256.

    At most `most` bytes are accepted, and none if the ETag states another sha256 than `expected`. Raises `Refusal` or an
    exception of httpx2.
    """
    for left in reversed(range(web.TRIES)):
        begun = file.tell()
        try:
            _append(url, file, most, expected)
            break
        except (httpx2.TransportError, Refusal) as error:
            passing = file.tell() > begun if isinstance(error, httpx2.TransportError) else error.status in web.PASSING
            if not left or not passing:
                raise
            time.sleep(web.PAUSE)
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _append(url: str, file: BinaryIO, most: int, expected: str) -> None:
    """Append the missing content of `url` to a file."""

    def look(response: httpx2.Response) -> None:
        if (stated := response.headers.get("X-Linked-Etag", "").strip('"')) not in ("", expected):
            raise Refusal(f"the ETag {stated[:80]!r} instead of sha256 {expected}")

    held = file.tell()
    headers = {**build_hf_headers(), **({"Range": f"bytes={held}-"} if held else {})}
    with web.client(look) as client, web.answer(client, "GET", url, headers) as response:
        web.refuse_page(response)
        if held and response.status_code != 206:
            file.seek(0)
            file.truncate()
        for part in web.parts(response, most - file.tell()):
            file.write(part)
