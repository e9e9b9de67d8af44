"""`source: download` of Procgen against a real web server on loopback, which serves toy episodes in the published form."""

import gzip
import hashlib
import io
import json
import re
import shutil
import tarfile
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from histories import contents
from radt.data import trajectories, web, webfolder
from radt.errors import RadtError
from radt.settings.parsing import parse
from radt.settings.sources import Trajectories
from radt.suites import suite_of
from radt.suites.procgen import download as module
from radt.suites.procgen import sources
from stages import configuration
from test_procgen import experiment
from test_procgen_published import published_files
from webserver import Server

pytestmark = pytest.mark.skipif(find_spec("h5py") is None or find_spec("procgen") is None, reason="not all extras are installed")
WANTED = ["episode_seeds.json", "1.hdf5", "3.hdf5", "2.hdf5", "4.hdf5", "5.hdf5"]
"""Files of the levels 0, 1 and 2, in the order of tasks; episode 0 is of another level."""


@pytest.fixture
def server(tmp_path):
    published_files(tmp_path / "served/files")
    server = Server(tmp_path / "served/files")
    yield server
    server.ended.set()
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache of this test; time limits of requests are short."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in {"CONNECT": 1.0, "SILENCE": 0.2, "TOTAL": 0.6, "PAUSE": 0.0}.items():
        monkeypatch.setattr(web, name, value)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "radt"


@pytest.fixture
def place(server, cache):
    """Where the files of the server lie in the cache."""
    return cache / f"127.0.0.1:{server.server.server_port}" / "data/sets/toys"


@pytest.fixture
def download(server, cache):
    """Collect histories from the server; the source for the manifest, and shards."""

    def run(**changes):
        own = {"folder": "toys", "url": server.url, **changes}
        sections = configuration()["trajectories"]
        settings = {**sections, "source": "download", "download": {**sections["download"], **own}}
        return sources.collect(experiment(), parse(Trajectories, settings), None)

    return run


@pytest.fixture
def refused(download):
    """The sentence with which a download ends."""

    def run(**changes):
        with pytest.raises(RadtError) as caught:
            download(**changes)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return run


def written(folder, source, shards):
    """The manifest and the files of histories."""
    trajectories.write(folder, "tiny", suite_of(experiment()), source, shards)
    found = contents(folder)
    return json.loads(found.pop("manifest.json")), found


def packed(server, entries, game="maze"):
    """Serve an archive of these entries (name and content, or a `TarInfo`) instead of files."""
    (server.folder.parent / "packed").mkdir(exist_ok=True)
    with tarfile.open(server.folder.parent / "packed" / f"{game}.tar.gz", "w:gz", encoding="utf-8") as archive:
        for name, content in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    server.folder = server.folder.parent / "packed"


def episodes(server, prefix=""):
    """Names and contents of the published files."""
    return [(f"{prefix}maze/{name}", content) for name, content in contents(server.folder / "maze").items()]


def partials(place):
    return [path.name for path in place.rglob(".*") if path.name != ".lock"]


def test_download_makes_the_same_histories_as_import(tmp_path, server, download, place):
    """Only the files of levels that are trained on are fetched, once, over one connection; then no network is needed."""
    settings = {**configuration()["trajectories"], "source": "import", "import_folder": str(server.folder)}
    imported, shards = written(tmp_path / "a", *sources.collect(experiment(), parse(Trajectories, settings), None))
    manifest, found = written(tmp_path / "b", *download())
    assert found == shards and manifest["shards"] == imported["shards"]
    assert manifest["source"] == {**imported["source"], "name": "download", "url": f"{server.url}/toys"}
    assert server.asked() == WANTED and server.connections == 1 and not partials(place)
    lines = (place / "sha256sums.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [f"{hashlib.sha256((server.folder / f'maze/{n}').read_bytes()).hexdigest()}  maze/{n}" for n in WANTED]
    server.server.shutdown()
    server.server.server_close()
    assert written(tmp_path / "c", *download()) == (manifest, found)


def test_games_that_are_held_out_are_not_asked_for(server, cache, place):
    shutil.copytree(server.folder / "maze", server.folder / "heist")
    changes = {"games": ["heist", "maze"], "levels": 3, "num_held_out": 3, "num_validation": 0}
    assert module.published.trained(experiment(**changes)) == {"heist": [0, 1, 2]}
    sections = configuration()["trajectories"]["download"]
    settings = module.Download(**{**sections, "folder": "toys", "url": server.url + "/"})
    assert module.fetch(settings, experiment(**changes)) == (f"{server.url}/toys", place)
    assert {name.partition("/")[0] for name, _ in server.log} == {"heist"}


def test_file_that_is_cut_off_goes_on_in_the_same_run(server, download, place):
    size = (server.folder / "maze/2.hdf5").stat().st_size
    server.cut = {"maze/2.hdf5": size // 2}
    download()
    assert [asked for name, asked in server.log if name == "maze/2.hdf5"] == [None, f"bytes={size // 2}-"]
    assert (place / "maze/2.hdf5").read_bytes() == (server.folder / "maze/2.hdf5").read_bytes() and not partials(place)


@pytest.mark.parametrize("without", [(), ("etag",), ("ranges",), ("etag", "modified"), ("if-range",)], ids="-".join)
@pytest.mark.parametrize("changed", [False, True], ids=["same", "changed"])
def test_file_that_is_cut_off_goes_on_in_a_later_run(server, download, refused, place, monkeypatch, without, changed):
    """Unless the server has another file by then, has no ranges, or does not say whether it is the same."""
    server.without = set(without)
    content = (server.folder / "maze/2.hdf5").read_bytes()
    server.cut = {"maze/2.hdf5": len(content) // 2}
    monkeypatch.setattr(web, "TRIES", 1)
    assert "cannot be reached" in refused() and not (place / "maze/2.hdf5").exists()
    assert (place / "maze/.2.hdf5.partial").read_bytes() == content[: len(content) // 2]
    if changed:
        content = content[:-1] + bytes([content[-1] ^ 1])
        (server.folder / "maze/2.hdf5").write_bytes(content)
    monkeypatch.setattr(web, "TRIES", 2)
    server.log.clear()
    download()
    assert (place / "maze/2.hdf5").read_bytes() == content and not partials(place)
    first = server.log[0]
    assert first[0] == "maze/2.hdf5" and bool(first[1]) == (set(without) != {"etag", "modified"})
    assert server.asked()[1:] == (["2.hdf5", *WANTED[4:]] if changed and "if-range" in without else WANTED[4:])


def test_mark_of_a_file_is_not_taken_for_that_of_another(server, download, refused, place, monkeypatch):
    """The second beginning is of a file without a mark, the third one of the first file again."""
    path = server.folder / "maze/2.hdf5"
    content = path.read_bytes()
    monkeypatch.setattr(web, "TRIES", 1)
    for written, without in ((content, set()), (bytes(len(content)), {"etag", "modified"})):
        path.write_bytes(written)
        server.without, server.cut = without, {"maze/2.hdf5": len(content) // 2}
        assert "cannot be reached" in refused()
    path.write_bytes(content)
    server.without = set()
    download()
    assert (place / "maze/2.hdf5").read_bytes() == content


@pytest.mark.parametrize("other", [True, False], ids=["other", "short"])
def test_parts_that_are_not_what_they_say_are_not_used(server, download, place, other):
    """The server sends another part than the one that is asked for, or less than it says."""
    content = (server.folder / "maze/2.hdf5").read_bytes()

    def lie(handler):
        if not (asked := handler.headers["Range"]):
            return handler.answer(200, content, len(content) // 2 if len(server.log) < 6 else None, ETag='"a"')
        held = int(re.search(r"\d+", asked)[0])
        part = content[: len(content) - held] if other else content[held : held + 9]
        told = f"bytes {0 if other else held}-{len(content) - 1}/{len(content)}"
        return handler.answer(206, part, Content_Range=told, ETag='"a"')

    server.instead = {"maze/2.hdf5": lie}
    with suppress(RadtError):
        download()
    path = place / "maze/2.hdf5"
    assert not path.exists() or path.read_bytes() == content


def test_part_that_is_whole_needs_no_request(server, download, refused, place):
    """A run was killed before the file got its name."""
    content = (server.folder / "maze/2.hdf5").read_bytes()
    server.instead = {"maze/2.hdf5": lambda handler: handler.answer(503)}
    refused()
    (place / "maze/.2.hdf5.partial").write_bytes(content)
    (place / "maze/.2.hdf5.partial.version").write_text(json.dumps({"mark": '"a"', "size": len(content)}), encoding="utf-8")
    server.log.clear()
    download()
    assert server.asked() == WANTED[4:] and (place / "maze/2.hdf5").read_bytes() == content


def test_damaged_file_of_the_cache_is_fetched_again(server, download, place):
    download()
    kept = (place / "maze/1.hdf5").read_bytes()
    (place / "maze/1.hdf5").write_bytes(kept[:-1])
    server.log.clear()
    download()
    assert server.asked() == ["1.hdf5"] and (place / "maze/1.hdf5").read_bytes() == kept


def test_changed_file_of_the_server_is_refused(tmp_path, server, download, refused, place):
    """By the sums of the first download, and on another machine by that file."""
    download()
    shutil.copy(place / "sha256sums.txt", tmp_path / "sums.txt")
    shutil.copy(server.folder / "maze/4.hdf5", server.folder / "maze/1.hdf5")
    (place / "maze/1.hdf5").unlink()
    words = refused()
    assert f"{server.url}/toys/maze/1.hdf5 has sha256" in words and f"{place / 'sha256sums.txt'} expects" in words
    assert not (place / "maze/1.hdf5").exists() and not partials(place)
    shutil.rmtree(place)
    words = refused(checksums=str(tmp_path / "sums.txt"))
    assert f"{server.url}/toys/maze/1.hdf5 has sha256" in words and f"{tmp_path / 'sums.txt'} expects" in words
    download()  # without them, it is the first download


def test_sums_of_another_machine(tmp_path, server, download, refused, place):
    download()
    text = (place / "sha256sums.txt").read_text(encoding="utf-8")
    sums = tmp_path / "sums.txt"
    for before in ("./", "toys/", "./toys/"):
        sums.write_text(text.replace("maze/", f"{before}maze/"), encoding="utf-8")
        server.log.clear()
        download(checksums=str(sums))
        assert not server.log
    sums.write_text("".join(text.splitlines(True)[:-1]), encoding="utf-8")
    assert f"{sums} has no sha256 of 'maze/5.hdf5': check" in refused(checksums=str(sums))
    sums.write_text(text + "0" * 64 + "  maze/5.hdf5\n", encoding="utf-8")
    assert f"{sums} has two sums of 'maze/5.hdf5'" in refused(checksums=str(sums))
    sums.write_text("not a sum", encoding="utf-8")
    assert "is not a list of sha256 sums" in refused(checksums=str(sums))
    assert "trajectories.download.checksums" in refused(checksums=str(tmp_path))
    assert not server.log


def test_sums_of_a_run_that_was_killed_lack_the_end_of_a_line(server, download, place):
    download()
    text = (place / "sha256sums.txt").read_text(encoding="utf-8")
    (place / "sha256sums.txt").write_text(text[:-20], encoding="utf-8")
    server.log.clear()
    download()
    assert server.asked() == ["5.hdf5"] and (place / "sha256sums.txt").read_text(encoding="utf-8") == text


def page(handler):
    handler.answer(200, b"<!DOCTYPE html><title>Log in</title>", Content_Type="text/html; charset=utf-8")


def login(handler):
    handler.answer(302, Location="/login")


def plain_page(handler):
    handler.answer(200, b"<!DOCTYPE html><title>Log in</title>", Content_Type="application/octet-stream")


def silent(handler):
    handler.own.ended.wait(30)


def drip(handler):
    """Headers without an end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.own.ended.wait(0.05):
        handler.wfile.write(b"X-A: b\r\n")


def slow(handler):
    """Content without an end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not handler.own.ended.wait(0.05):
        handler.wfile.write(b" ")


def flood(handler):
    """Content without an end, in many pieces."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not handler.own.ended.is_set():
        handler.wfile.write(b"10000\r\n" + b" " * 2**16 + b"\r\n")


def truncated(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\x89HDF\r\n\x1a\n")
    handler.close_connection = True


def status(number, **headers):
    return lambda handler: handler.answer(number, b"{}", **headers)


NO_FILE = "is not answered by a file"
HOSTILE = [
    (page, "an HTML page instead of a file): log in where the network asks for that"),
    (login, "an HTML page instead of a file"),
    (plain_page, "is not {kind}: log in where the network asks for that"),
    (silent, "cannot be reached"),
    (drip, "cannot be reached"),
    (slow, "cannot be reached (slower than"),
    (flood, "more content than the size that was stated"),
    (truncated, "no size of the file, without which a cut is not noticed"),
    (status(200, Content_Length="100000000000000"), "100000000000000 bytes, of which 1048576 are allowed"),
    (status(206), "another part of the file than the missing one"),
    (status(307, Location="/data/sets/toys/maze/episode_seeds.json"), "redirects without end"),
    (status(302, Location="ftp://x/y"), "cannot be reached"),
    (status(302, Location="http://[bad"), "{url}"),
    (status(403), "is refused (403 Forbidden): check trajectories.download.url"),
    (status(416), "is refused (416"),
    (status(503), "run again in some minutes"),
    (lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n"), "cannot be reached"),
]


@pytest.mark.parametrize(("answer", "words"), HOSTILE)
@pytest.mark.parametrize("name", ["episode_seeds.json", "2.hdf5"])
def test_every_answer_comes_to_an_end_and_to_one_sentence(server, refused, place, monkeypatch, name, answer, words):
    """Nothing but a beginning stays; what came before stays."""
    kinds = {"episode_seeds.json": "TABLE", "2.hdf5": "EPISODE"}
    for one in kinds.values():
        monkeypatch.setattr(module, one, getattr(module, one)._replace(most=2**20))
    server.instead = {f"maze/{name}": answer, "/login": page}
    if words == "redirects without end" and name != "episode_seeds.json":
        answer = server.instead[f"maze/{name}"] = status(307, Location=f"/data/sets/toys/maze/{name}")
    told, url = refused(), f"{server.url}/toys/maze/{name}"
    assert words.format(kind=getattr(module, kinds[name]).words, url=url) in told and url in told, told
    assert "trajectories.source to import" in told
    assert not (place / "maze" / name).exists()
    assert sum(path.stat().st_size for path in place.rglob(".*")) < 1000


TABLES = [b"", b"[1]", b"{}", b'{"../x": 0}', b'{"1": "0"}', b'{"01": 0}', b'{"' + b"9" * 5000 + b'": 0}', b"[" * 9999]


@pytest.mark.parametrize("table", TABLES, ids=range(len(TABLES)))
def test_table_of_another_form_is_not_kept(server, refused, place, table):
    (server.folder / "maze/episode_seeds.json").write_bytes(table)
    assert "maze/episode_seeds.json is not a table with the level of each episode" in refused()
    assert [path.name for path in place.rglob("*") if path.is_file()] == [".lock"]


def test_what_the_server_does_not_have(server, download, refused, place):
    words = refused(folder="none")
    assert f"{server.url}/none/maze/episode_seeds.json is not there, nor is maze.tar.gz: check trajectories.download" in words
    (server.folder / "maze/3.hdf5").unlink()
    assert "maze/3.hdf5 is not there, nor is maze.tar.gz" in refused() and (place / "maze/1.hdf5").is_file()
    seeds = server.folder / "maze/episode_seeds.json"
    seeds.write_text('{"1": 0}', encoding="utf-8")
    shutil.rmtree(place)
    assert "has no episode of level 1" in refused()


def test_no_network(refused, place):
    words = refused(url="http://127.0.0.1:9")
    assert "http://127.0.0.1:9/toys/maze/episode_seeds.json cannot be reached" in words and "connect and run again" in words


@pytest.mark.parametrize("url", ["ftp://x/y", "http://", "http://a/../b", "http://a//b", "http://me:word@a", "http://a/b?c", "x"])
def test_addresses_of_another_form_are_refused(server, refused, url):
    assert "trajectories.download" in refused(url=url) or "url" in refused(url=url)


def test_full_disk_leaves_nothing_half_written(server, download, place, monkeypatch):
    opened = Path.open

    class Full(io.BytesIO):
        def write(self, content):
            raise OSError(28, "No space left on device")

    def open_(path, mode="r", **words):
        if path.name == ".2.hdf5.partial" and "a" in mode:
            opened(path, mode).close()
            return Full()
        return opened(path, mode, **words)

    monkeypatch.setattr(Path, "open", open_)
    with pytest.raises(OSError, match="No space left on device"):
        download()
    monkeypatch.undo()
    assert not partials(place) and not (place / "maze/2.hdf5").exists() and (place / "maze/1.hdf5").is_file()


def test_links_out_of_the_cache_are_not_followed(tmp_path, server, refused, place):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/1.hdf5").write_bytes(b"of the user")
    place.mkdir(parents=True)
    (place / "maze").symlink_to(tmp_path / "mine")
    assert f"leads out of the cache to {tmp_path / 'mine'}" in refused() and not server.log
    (place / "maze").unlink()
    (place / "maze").mkdir()
    (place / "maze/.1.hdf5.partial").symlink_to(tmp_path / "mine/1.hdf5")
    assert f"leads out of the cache to {tmp_path / 'mine/1.hdf5'}" in refused()
    shutil.rmtree(place)
    place.symlink_to(tmp_path / "mine")
    assert "leads out of the cache" in refused()
    assert contents(tmp_path / "mine") == {"1.hdf5": b"of the user"}


def test_cache_without_home(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/somewhere")
    assert webfolder._cache() == Path("/somewhere/.cache/radt")

    def none():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", none)
    with pytest.raises(RadtError, match="set XDG_CACHE_HOME"):
        webfolder._cache()


@pytest.mark.parametrize("prefix", ["", "toys/", "./"])
def test_archive_of_a_game_where_there_are_no_files(tmp_path, server, download, place, prefix):
    """Only what is wanted is unpacked, and it is not fetched again."""
    manifest, found = written(tmp_path / "files", *download())
    shutil.rmtree(place)
    entries = [("other/1.hdf5", b"of another game"), (f"{prefix}maze/stats.json", b"{}"), *episodes(server, prefix)]
    packed(server, entries)
    server.log.clear()
    assert written(tmp_path / "archive", *download()) == (manifest, found)
    assert sorted(path.name for path in (place / "maze").iterdir()) == sorted(WANTED)
    assert [name for name, _ in server.log].count("maze.tar.gz") == 1
    server.log.clear()
    download()
    assert not server.log


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


HOSTILE_ARCHIVES = [
    ("maze/../../x.hdf5", "leads outside"),
    ("/maze/1.hdf5", "leads outside"),
    (special("maze/1.hdf5", tarfile.SYMTYPE, "/etc/passwd"), "a link"),
    (special("maze/1.hdf5", tarfile.LNKTYPE, "maze/2.hdf5"), "a link"),
    (special("maze/1.hdf5", tarfile.CHRTYPE), "a device"),
    (special("maze/1.hdf5", tarfile.FIFOTYPE), "a device"),
    ("maze/1.hdf5", "1.hdf5 in"),
]


@pytest.mark.parametrize(("entry", "words"), HOSTILE_ARCHIVES)
def test_archives_are_not_trusted(tmp_path, server, refused, cache, entry, words):
    before = set(tmp_path.rglob("*"))
    packed(server, [(entry, b"" if isinstance(entry, tarfile.TarInfo) else b"no HDF5"), *reversed(episodes(server))])
    told = refused()
    assert "maze.tar.gz" in told and words in told, told
    outside = {path for path in tmp_path.rglob("*") if not path.is_relative_to(cache.parent) and "packed" not in path.parts}
    assert outside == before and not list(cache.rglob("1.hdf5"))


def test_archives_that_are_damaged_or_too_large(server, refused, place, monkeypatch):
    files = episodes(server)
    packed(server, files)
    archive = server.folder / "maze.tar.gz"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    assert re.search(r"maze.tar.gz (cannot be unpacked|has no maze/)", refused())
    for content, words in ((gzip.compress(b"no archive"), "cannot be unpacked"), (b"PK\x03\x04", "is not an archive")):
        shutil.rmtree(place)
        archive.write_bytes(content)
        assert words in refused()
    shutil.rmtree(place)
    packed(server, [one for one in files if one[0] != "maze/2.hdf5"])
    assert "maze.tar.gz has no maze/2.hdf5, nor has the server" in refused()
    shutil.rmtree(place)
    packed(server, files)
    monkeypatch.setattr(module, "UNPACKED", 10_000)
    assert "maze.tar.gz holds more than is allowed" in refused()
    monkeypatch.setattr(module, "UNPACKED", 2**37)
    monkeypatch.setattr(module, "EPISODE", module.EPISODE._replace(most=100))
    assert "maze.tar.gz holds more than is allowed" in refused() and not partials(place)


def test_two_runs_at_a_time_fetch_each_file_once(server, download):
    threads = [threading.Thread(target=download) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(server.asked()) == sorted(WANTED)
