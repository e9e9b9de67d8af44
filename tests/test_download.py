"""`source: download` against a small server on loopback that speaks the routes of the Hugging Face Hub."""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

import numpy as np
import pytest

from histories import PPO
from radt.data import published, trajectories
from radt.data.qlearning import learn
from test_trajectories import files

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "ml-jku/dark_room"


class Hub:
    """The Hub's routes for one data set at one commit; `log` holds every request for content with its range."""

    def __init__(self, folder: Path):
        self.content = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.log: list[tuple[str, str | None]] = []
        self.cut_once: set[str] = set()
        self.corrupt: set[str] = set()
        self.refuse_after: int | None = None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def digest(self, name: str) -> str:
        return hashlib.sha256(self.content[name]).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *arguments: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if unquote(self.path) != f"/api/datasets/{REPOSITORY}/paths-info/{COMMIT}":
            return self.answer(404, X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
        entries = []
        for path in body["paths"]:
            name = Path(path).name
            if path == f"4x3/{name}" and name in self.hub.content:
                size = len(self.hub.content[name])
                lfs = {"oid": self.hub.digest(name), "size": size, "pointerSize": 128}
                entries.append({"type": "file", "path": path, "size": size, "oid": "0" * 40, "lfs": lfs})
        return self.answer(200, json.dumps(entries).encode(), Content_Type="application/json")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, name, hub = unquote(self.path), Path(unquote(self.path)).name, self.hub
        if path == f"/datasets/{REPOSITORY}/resolve/{COMMIT}/4x3/{name}" and name in hub.content:
            linked = {"X_Linked_Etag": f'"{hub.digest(name)}"', "X_Linked_Size": str(len(hub.content[name]))}
            location = f"http://localhost:{hub.server.server_port}/storage/{quote(name)}"  # another host, like the Hub's storage
            return self.answer(302, X_Repo_Commit=COMMIT, Location=location, **linked)
        if not path.startswith("/storage/") or name not in hub.content:
            return self.answer(404, X_Error_Code="EntryNotFound")
        if self.command == "GET" and hub.refuse_after is not None and len(hub.log) >= hub.refuse_after:
            return self.answer(403)
        return self.send_file(name)

    def send_file(self, name: str) -> None:
        content, asked = self.hub.content[name], self.headers["Range"]
        if name in self.hub.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if self.command == "GET":
            self.hub.log.append((name, asked))
        first = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        if name in self.hub.cut_once:
            self.hub.cut_once.remove(name)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) * 9 // 10])
            self.close_connection = True
            return None
        if first:
            return self.answer(206, content[first:], Content_Range=f"bytes {first}-{len(content) - 1}/{len(content)}")
        return self.answer(200, content)


@pytest.fixture
def hub(published_folder):
    hub = Hub(published_folder)
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


@pytest.fixture
def download(tmp_path, room, generate):
    """Run the stage with the Hub at an endpoint, in a process of its own, because the endpoint is read at import."""

    def run(endpoint: str, **changes: str) -> subprocess.CompletedProcess[str]:
        settings = {"repository": REPOSITORY, "revision": COMMIT, "folder": "4x3", "checksums": None} | changes
        sections = {
            "source": "download",
            "generate": generate.model_dump(),
            "ppo": PPO,
            "download": settings,
            "import_folder": None,
        }
        text = json.dumps({"experiment": room.model_dump(), "trajectories": sections})
        command = [sys.executable, "-m", "radt.stages.trajectories", "--experiment", "tiny", "--settings", text]
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        output = ["--output", str(tmp_path / "data")]
        return subprocess.run([*command, *output], capture_output=True, encoding="utf-8", check=False, env=environment)

    return run


def assert_error(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 1 and last.startswith("error: ") and "Traceback" not in result.stderr, result.stderr
    assert all(part in last for part in parts), last


def test_downloads_resumes_within_a_file_and_converts(tmp_path, hub, download, room, generate):
    """The client passes on what it gets in pieces of 10 MiB, so the file that is cut off at 90% is made larger than that."""
    names = [name for (name,) in published.file_names(room).values()]
    with np.load(io.BytesIO(hub.content[names[3]])) as file:
        np.savez(larger := io.BytesIO(), padding=np.zeros(12 * 2**20, np.uint8), **file)
    hub.content[names[3]] = larger.getvalue()
    hub.cut_once = {names[3]}
    result = download(hub.endpoint)
    assert result.returncode == 0, result.stderr
    ranges = [asked for name, asked in hub.log if name == names[3]]
    assert ranges == [None, f"bytes={10 * 2**20}-"] and len(hub.log) == 9
    assert {name for name, _ in hub.log} == set(names)
    read = trajectories.read(tmp_path / "data", room)
    assert len(read.shards) == 1 and read.shards[0].actions.tolist() == learn(room, generate).actions.tolist()
    assert read.manifest["source"]["revision"] == COMMIT
    assert read.manifest["source"]["files"] == {name: hub.digest(name) for name in names}


def test_cut_off_download_goes_on_with_the_missing_files(tmp_path, hub, download, room):
    hub.refuse_after = 3
    assert_error(download(hub.endpoint), "refuses ml-jku/dark_room", "403")
    assert not (tmp_path / "data").exists() and len(hub.log) == 3
    hub.refuse_after = None
    assert download(hub.endpoint).returncode == 0
    assert sorted(name for name, _ in hub.log) == sorted(name for (name,) in published.file_names(room).values())


def test_corrupted_file_is_refused_and_fetched_again(tmp_path, hub, download, room):
    (name,) = published.file_names(room)[5]
    hub.corrupt = {name}
    assert_error(download(hub.endpoint), f"'4x3/{name}'", f"expected is {hub.digest(name)}: run again")
    assert not (tmp_path / "data").exists()
    hub.corrupt = set()
    assert download(hub.endpoint).returncode == 0
    assert [asked for asked, _ in hub.log].count(name) == 2


def test_checksums_file(tmp_path, hub, download, room):
    """With known sums a finished download needs no network; a wrong or foreign sum is refused."""
    sums = tmp_path / "sums.txt"
    lines = [f"{hub.digest(name)}  4x3/{name}" for (name,) in published.file_names(room).values()]
    sums.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert download(hub.endpoint, checksums=str(sums)).returncode == 0
    first = files(tmp_path / "data")
    assert download("http://127.0.0.1:9", checksums=str(sums)).returncode == 0
    assert files(tmp_path / "data") == first
    sums.write_text("\n".join(["0" * 64 + lines[0][64:], *lines[1:]]), encoding="utf-8")
    assert_error(download("http://127.0.0.1:9", checksums=str(sums)), f"expected is {'0' * 64}")
    assert files(tmp_path / "data") == first
    sums.write_text("\n".join(lines[1:]), encoding="utf-8")
    assert_error(download(hub.endpoint, checksums=str(sums)), "has no sha256 of", lines[0][66:])
    sums.write_text("not a sum", encoding="utf-8")
    assert_error(download(hub.endpoint, checksums=str(sums)), "is not a list of sha256 sums")
    assert_error(download(hub.endpoint, checksums=str(tmp_path / "none")), "cannot be read", "trajectories.download.checksums")


def test_no_network(tmp_path, download):
    assert_error(download("http://127.0.0.1:9"), "cannot be reached", "source: generate")
    assert not (tmp_path / "data").exists()


def test_placeholder_revision_needs_no_network_to_be_refused(hub, download):
    assert_error(download(hub.endpoint, revision="0" * 40), "trajectories.download.revision", "a commit of ml-jku/dark_room")
    assert hub.log == []


def test_unknown_revision_and_folder(hub, download):
    assert_error(download(hub.endpoint, revision="f" * 40), "f" * 40, "check trajectories.download")
    assert_error(download(hub.endpoint, folder="5x5"), "has no sha256 of '5x5/[0,0]_", "trajectories.download.folder")
