"""A web server on loopback: ranges, marks of files, cut connections, and what a test answers instead."""

from __future__ import annotations

import hashlib
import re
import threading
import zlib
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Answering(BaseHTTPRequestHandler):
    """Answers to one client at a time, without a log on the terminal."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client has gone
            super().handle()


class Server:
    """A folder on a web server; `log` holds every request: its name in the folder, and the part that it asks for."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.log: list[tuple[str, str | None]] = []
        self.cut: dict[str, int] = {}  # bytes after which the connection ends, once
        self.without: set[str] = set()  # what the server does not know of: ranges, if-range, etag, modified
        self.instead = {}  # a function of the handler that answers instead, by name
        self.connections = 0
        self.ended = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"own": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}/data/sets"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def asked(self) -> list[str]:
        return [name.removeprefix("maze/") for name, _ in self.log]


class Handler(Answering):
    own: Server

    def handle(self) -> None:
        self.own.connections += 1
        super().handle()

    def answer(self, status: int, body: bytes = b"", sent: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[:sent])
        self.close_connection = self.close_connection or sent is not None

    def do_GET(self) -> None:
        own, name, asked = self.own, self.path.removeprefix("/data/sets/toys/"), self.headers["Range"]
        assert not self.headers["Authorization"]
        own.log.append((name, asked))
        if name in own.instead:
            return own.instead[name](self)
        if not (own.folder / name).is_file():
            return self.answer(404, b"<h1>Not Found</h1>", Content_Type="text/html")
        content = (own.folder / name).read_bytes()
        marks = {"ETag": f'"{hashlib.md5(content).hexdigest()}"', "Last_Modified": f"second {zlib.crc32(content)}"}
        marks = {key: value for key, value in marks.items() if key.split("_")[-1].lower() not in own.without}
        unchanged = "if-range" in own.without or self.headers["If-Range"] in (None, *marks.values())
        if not asked or not unchanged or "ranges" in own.without:
            return self.answer(200, content, own.cut.pop(name, None), **marks)
        first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
        if first >= len(content):
            return self.answer(416)
        part = f"bytes {first}-{len(content) - 1}/{len(content)}"
        return self.answer(206, content[first:], own.cut.pop(name, None), Content_Range=part, **marks)
