"""`source: download` against a small server on loopback that speaks the routes of the Hugging Face Hub, or does not."""

import hashlib
import io
import json
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

import numpy as np
import pytest
from huggingface_hub import constants

from histories import PPO, contents
from radt.data import download as module
from radt.data import trajectories
from radt.data import web as requests
from radt.errors import RadtError
from radt.models import language
from radt.stages import trajectories as stage
from radt.suites import suite_of
from radt.suites.grid import published
from radt.suites.grid.qlearning import learn
from webserver import Answering

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
        self.listing = self.resolved = self.stored = self.model = None  # what answers instead, a function of the handler
        self.ended = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def digest(self, name: str) -> str:
        return hashlib.sha256(self.content[name]).hexdigest()


class Handler(Answering):
    hub: Hub

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def stream(self, first: bytes, part: bytes, pause: float) -> None:
        """Send without an end."""
        self.wfile.write(first)
        while not self.hub.ended.wait(pause):
            self.wfile.write(part)

    def do_POST(self) -> None:
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self.hub.listing:
            return self.hub.listing(self)
        if unquote(self.path) != f"/api/datasets/{REPOSITORY}/paths-info/{COMMIT}":
            return self.answer(404, X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
        return self.answer(200, json.dumps(self.entries(body["paths"])).encode(), Content_Type="application/json")

    def entries(self, paths: list[str]) -> list[dict[str, object]]:
        entries = []
        for path in paths:
            name = Path(path).name
            if path == f"4x3/{name}" and name in self.hub.content:
                size = len(self.hub.content[name])
                lfs = {"oid": self.hub.digest(name), "size": size, "pointerSize": 128}
                entries.append({"type": "file", "path": path, "size": size, "oid": "0" * 40, "lfs": lfs})
        return entries

    def do_HEAD(self) -> None:
        self.hub.model(self)

    def do_GET(self) -> None:
        path, name, hub = unquote(self.path), Path(unquote(self.path)).name, self.hub
        if hub.model:
            return hub.model(self)
        if path == f"/datasets/{REPOSITORY}/resolve/{COMMIT}/4x3/{name}" and name in hub.content:
            if hub.resolved:
                return hub.resolved(self)
            linked = {"X_Linked_Etag": f'"{hub.digest(name)}"', "X_Linked_Size": str(len(hub.content[name]))}
            location = f"http://localhost:{hub.server.server_port}/storage/{quote(name)}"  # another host, like the Hub's storage
            return self.answer(302, X_Repo_Commit=COMMIT, Location=location, **linked)
        if not path.startswith("/storage/") or name not in hub.content:
            return self.answer(404, X_Error_Code="EntryNotFound")
        if hub.refuse_after is not None and len(hub.log) >= hub.refuse_after:
            return self.answer(403)
        return self.send_file(name)

    def send_file(self, name: str) -> None:
        content, asked = self.hub.content[name], self.headers["Range"]
        if name in self.hub.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.hub.log.append((name, asked))
        if self.hub.stored:
            return self.hub.stored(self)
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
    hub.ended.set()
    hub.server.shutdown()
    hub.server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The Hub's cache of this test; time-outs of its requests are short."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    for name, value in {"CONNECT": 1.0, "SILENCE": 0.2, "TOTAL": 0.6, "PAUSE": 0.0}.items():
        monkeypatch.setattr(requests, name, value)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home" / "hub"


@pytest.fixture
def download(tmp_path, room, generate, cache, monkeypatch):
    """Run the stage with the Hub at an endpoint; what it complains about, None for nothing."""

    def run(endpoint: str, **changes: str | None) -> str | None:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        settings = {"repository": REPOSITORY, "revision": COMMIT, "folder": "4x3", "checksums": None} | changes
        sections = {"source": "download", "generate": generate.model_dump(), "ppo": PPO, "import_folder": None}
        text = json.dumps({"experiment": room.model_dump(), "trajectories": {**sections, "download": settings}})
        try:
            stage.main(["--experiment", "tiny", "--settings", text, "--output", str(tmp_path / "data")])
        except RadtError as error:
            assert "\n" not in str(error)
            return str(error)
        return None

    return run


def assert_error(message: str | None, *parts: str) -> None:
    assert message is not None and all(part in message for part in parts), message


def test_downloads_resumes_within_a_file_and_converts(tmp_path, hub, download, room, generate):
    names = [name for (name,) in published.file_names(room).values()]
    with np.load(io.BytesIO(hub.content[names[3]])) as file:
        np.savez(larger := io.BytesIO(), padding=np.zeros(2**20, np.uint8), **file)
    hub.content[names[3]] = larger.getvalue()
    hub.cut_once = {names[3]}
    assert download(hub.endpoint) is None
    first, second = (asked for name, asked in hub.log if name == names[3])
    assert first is None and second == f"bytes={len(hub.content[names[3]]) * 9 // 10}-" and len(hub.log) == 9
    assert {name for name, _ in hub.log} == set(names)
    read = trajectories.read(tmp_path / "data", suite_of(room))
    assert len(read.shards) == 1 and read.shards[0].actions.tolist() == learn(room, generate).actions.tolist()
    assert read.manifest["source"]["revision"] == COMMIT
    assert read.manifest["source"]["files"] == {name: hub.digest(name) for name in names}


def test_cut_off_download_goes_on_with_the_missing_files(tmp_path, hub, download, room):
    hub.refuse_after = 3
    assert_error(download(hub.endpoint), "refuses ml-jku/dark_room", "403")
    assert not (tmp_path / "data").exists() and len(hub.log) == 3
    hub.refuse_after = None
    assert download(hub.endpoint) is None
    assert sorted(name for name, _ in hub.log) == sorted(name for (name,) in published.file_names(room).values())


def test_corrupted_file_is_refused_and_fetched_again(tmp_path, hub, download, room, cache):
    (name,) = published.file_names(room)[5]
    hub.corrupt = {name}
    assert_error(download(hub.endpoint), f"'4x3/{name}'", f"expected is {hub.digest(name)}: run again")
    assert not (tmp_path / "data").exists() and not list(cache.rglob(f"*{name[-9:]}*"))
    hub.corrupt = set()
    assert download(hub.endpoint) is None
    assert [asked for asked, _ in hub.log].count(name) == 2


def test_damaged_file_of_the_cache_is_fetched_again(hub, download, cache):
    assert download(hub.endpoint) is None
    path = next(path for path in cache.rglob("*.npz"))
    path.write_bytes(b"damaged")
    assert download(hub.endpoint) is None
    assert hub.log[-1] == (path.name, None) and path.read_bytes() == hub.content[path.name]


def test_checksums_file(tmp_path, hub, download, room):
    """With known sums a finished download needs no network; a wrong or foreign sum is refused."""
    sums = tmp_path / "sums.txt"
    lines = [f"{hub.digest(name)}  4x3/{name}" for (name,) in published.file_names(room).values()]
    foreign = lines[0].replace("4x3/", "9x9/").replace(lines[0][:64], "f" * 64)
    sums.write_text("\n".join([*lines, foreign]) + "\n", encoding="utf-8")
    assert download(hub.endpoint, checksums=str(sums)) is None
    first = contents(tmp_path / "data")
    assert download("http://127.0.0.1:9", checksums=str(sums)) is None
    sums.write_text("\n".join(line.replace("4x3/", "./") for line in lines) + "\n", encoding="utf-8")
    assert download("http://127.0.0.1:9", checksums=str(sums)) is None
    assert contents(tmp_path / "data") == first
    sums.write_text("\n".join(["0" * 64 + lines[0][64:], *lines[1:]]), encoding="utf-8")
    assert_error(download(hub.endpoint, checksums=str(sums)), f"instead of sha256 {'0' * 64}")
    assert contents(tmp_path / "data") == first
    sums.write_text("\n".join([*lines, "0" * 64 + lines[0][64:]]), encoding="utf-8")
    assert_error(download(hub.endpoint, checksums=str(sums)), "two sums of", lines[0][70:])
    sums.write_text("\n".join(lines[1:]), encoding="utf-8")
    assert_error(download(hub.endpoint, checksums=str(sums)), "has no sha256 of", lines[0][66:])
    sums.write_text("not a sum", encoding="utf-8")
    assert_error(download(hub.endpoint, checksums=str(sums)), "is not a list of sha256 sums")
    for wrong in (tmp_path / "none", tmp_path, Path("/dev/zero")):
        message = download(hub.endpoint, checksums=str(wrong))
        assert_error(message, f"{wrong} ", "trajectories.download.checksums")


def test_no_network(tmp_path, download):
    assert_error(download("http://127.0.0.1:9"), "cannot be reached", "source: generate")
    assert_error(download("somewhere"), "cannot be reached at somewhere", "connect and run again")
    assert not (tmp_path / "data").exists()


def test_offline_mode_is_told(hub, download, monkeypatch):
    monkeypatch.setattr(constants, "is_offline_mode", lambda: True)
    assert_error(download(hub.endpoint), "HF_HUB_OFFLINE is set: unset it")
    assert hub.log == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"revision": "0" * 40}, "trajectories.download.revision is not set: set it to a commit of ml-jku/dark_room"),
        ({"repository": "https://huggingface.co/datasets/ml-jku/dark_room"}, "trajectories.download.repository"),
        ({"repository": "../../etc"}, "trajectories.download.repository"),
        ({"repository": ""}, "trajectories.download.repository"),
        ({"folder": "../4x3"}, "allowed is a folder inside the repository"),
        ({"folder": "/etc"}, "allowed is a folder inside the repository"),
        ({"url": "http://127.0.0.1/data"}, "trajectories.download.url is 'http://127.0.0.1/data', allowed is null: HF_ENDPOINT"),
        ({"folder": "4x3/\0"}, "allowed is a folder inside the repository"),
    ],
)
def test_settings_that_name_no_data_set_need_no_network_to_be_refused(hub, download, changes, words):
    assert_error(download(hub.endpoint, **changes), words)
    assert hub.log == []


def test_unknown_revision_and_folder(hub, download):
    assert_error(download(hub.endpoint, revision="f" * 40), "f" * 40, "check trajectories.download")
    assert_error(download(hub.endpoint, folder="5x5"), "has no sha256 of '5x5/[0,0]_", "trajectories.download.folder")


def snapshot(folder: Path, without: Path) -> dict[Path, bytes]:
    """All files below a folder but those of another one."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(without)}


@pytest.mark.parametrize("etag", ["{}/important", "../../../../../{}/important", "", "W/../x", "a" * 5000, "\u00e9"])
@pytest.mark.parametrize("commit", [COMMIT, "../../../../evil"])
def test_headers_of_the_hub_name_no_files(tmp_path, hub, download, cache, etag, commit):
    """An ETag or a commit that is a path: nothing outside the cache is read, written or deleted."""
    (tmp_path / "important").write_text("of the user", encoding="utf-8")
    before = snapshot(tmp_path, cache)
    stated = etag.format(tmp_path).encode().decode("latin-1")

    def answer(handler):
        location = f"http://localhost:{hub.server.server_port}/storage/{quote(Path(unquote(handler.path)).name)}"
        headers = {"ETag": f'"{stated}"', "X_Linked_Etag": f'"{stated}"', "X_Repo_Commit": commit, "X_Xet_Hash": stated}
        return handler.answer(302, Location=location, **headers)

    hub.resolved = answer
    message = download(hub.endpoint)
    if stated:
        assert_error(message, "the ETag", "instead of sha256", "check HF_ENDPOINT")
        assert hub.log == [] and snapshot(tmp_path, cache) == before
    else:  # the content is the right one
        assert message is None and snapshot(tmp_path, cache).items() >= before.items()


@pytest.mark.parametrize("header", ["ETag", "X_Linked_Etag", "X_Repo_Commit"])
def test_headers_name_no_files_where_the_hubs_own_client_is_used(tmp_path, hub, cache, monkeypatch, header):
    """A language model by its name on the Hub, which is asked for by another library."""
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    (tmp_path / "important").write_text("{}", encoding="utf-8")
    before = snapshot(tmp_path, cache)
    plain = {"ETag": '"a1"', "X_Repo_Commit": "1" * 40}
    hub.model = lambda handler: handler.answer(200, b"{}", **{**plain, header: f'"{tmp_path}/important"'})
    with pytest.raises(RadtError, match=r"embed_language\.model a/b cannot be read"):
        language.load("a/b", 1, 4)
    assert snapshot(tmp_path, cache) == before


def test_a_link_out_of_the_cache_is_not_followed(tmp_path, hub, download, cache, room):
    (name,) = published.file_names(room)[0]
    folder = cache / "datasets--ml-jku--dark_room" / "snapshots" / COMMIT / "4x3"
    folder.mkdir(parents=True)
    (tmp_path / "important").write_text("of the user", encoding="utf-8")
    (folder / name).symlink_to(tmp_path / "important")
    assert_error(download(hub.endpoint), f"leads out of the cache of the Hugging Face Hub to {tmp_path / 'important'}")
    (folder / name).unlink()
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    assert_error(download(hub.endpoint), "leads out of the cache")
    assert (tmp_path / "important").read_text(encoding="utf-8") == "of the user" and not list((tmp_path / "elsewhere").iterdir())


def test_what_other_programs_of_the_hub_have_fetched_is_used(hub, download, cache, room):
    """Their snapshots hold links to blobs, which stay as they are."""
    (name,) = published.file_names(room)[0]
    blob = cache / "datasets--ml-jku--dark_room" / "blobs" / hub.digest(name)
    link = cache / "datasets--ml-jku--dark_room" / "snapshots" / COMMIT / "4x3" / name
    for path in (blob, link):
        path.parent.mkdir(parents=True)
    blob.write_bytes(hub.content[name])
    link.symlink_to(blob)
    assert download(hub.endpoint) is None
    assert name not in [asked for asked, _ in hub.log] and link.is_symlink()


def silent(handler):
    handler.hub.ended.wait(30)


def drip(*, headers):
    begin = b"HTTP/1.1 200 OK\r\n" + (b"" if headers else b"Content-Length: 100000000\r\n\r\n")
    return lambda handler: handler.stream(begin, b"X-A: b\r\n" if headers else b" ", 0.05)


def flood(handler):
    """More than was stated, without an end."""
    handler.stream(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n", b" " * 2**20, 0.0)


def status(number, **headers):
    return lambda handler: handler.answer(number, b"{}", **headers)


def body(content, **headers):
    return lambda handler: handler.answer(200, content, **headers)


def circle(handler):
    handler.answer(307, Location=handler.path)


NOT_THE_HUB = "does not answer as the Hugging Face Hub does"
UNREACHED = "cannot be reached"
HOSTILE = [
    (silent, UNREACHED),
    (drip(headers=True), UNREACHED),
    (drip(headers=False), UNREACHED),
    (flood, NOT_THE_HUB),
    (circle, "redirects without end"),
    (status(401), "refuses ml-jku/dark_room"),
    (status(401), "hf auth login"),
    (status(403), "hf auth login"),
    (status(404), "check trajectories.download"),
    (status(418), "refuses ml-jku/dark_room"),
    (status(429, Retry_After="1000000"), "429 Too Many Requests): run again in some minutes"),
    (status(500), "run again in some minutes"),
    (status(503), "run again in some minutes"),
    (body(b"<!DOCTYPE html><title>Log in</title>", Content_Type="text/html"), "log in where the network asks for that"),
    (lambda handler: handler.answer(302, Location="ftp://x/y"), UNREACHED),
    (lambda handler: handler.answer(302, Location="http://[bad"), "ml-jku/dark_room"),
    (lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n"), UNREACHED),
]


@pytest.mark.parametrize(("answer", "words"), HOSTILE)
@pytest.mark.parametrize("place", ["listing", "resolved", "stored"])
def test_every_answer_comes_to_an_end_and_to_one_sentence(tmp_path, hub, download, cache, place, answer, words):
    setattr(hub, place, answer)
    begun = time.monotonic()
    assert_error(download(hub.endpoint), words, "source: generate")
    assert time.monotonic() - begun < 5 and not (tmp_path / "data").exists()
    assert sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) < 2**20


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        (b"", "no list of files"),
        (b"[{", "no list of files"),
        (b"{}", "no list of files"),
        (b"[1, 2]", "no list of files"),
        (b"\xff\xfe[]", "no list of files"),
        (b"[" * 100_000, "no list of files"),
        (b'[{"path": "4x3/a.npz", "lfs": {"oid": "../../x", "size": 1}}]', "no list of files"),
        (b"[]", "has no sha256 of"),
    ],
)
def test_malformed_listings(hub, download, listing, words):
    hub.listing = body(listing, Content_Type="application/json")
    assert_error(download(hub.endpoint), words)


def test_files_are_not_larger_than_stated_and_not_of_any_size(hub, download, room, monkeypatch):
    sent = []

    def content(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(200):
            sent.append(handler.wfile.write(b"\0" * 2**20))

    hub.stored = content
    assert_error(download(hub.endpoint), "more content than the size that was stated")
    assert sum(sent) < 50 * 2**20
    monkeypatch.setattr(module, "LARGEST", 1000)
    assert_error(download(hub.endpoint), "has more than 1000 bytes")
