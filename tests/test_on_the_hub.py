"""Agents and learning histories on a small server on loopback that speaks the Hub's routes for models and data sets."""

import base64
import hashlib
import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest
import yaml
from huggingface_hub import constants
from safetensors.numpy import load_file

import radt
from helpers import alone
from histories import trajectories_stage
from radt.__main__ import main
from radt.artifacts import sha256
from radt.cards import CITATION
from radt.errors import RadtError
from radt.pipeline import config, provenance
from radt.stages import trajectories as stage
from test_trajectories import forge

NAME, COMMIT = "someone/radt-tiny", "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def told(self, values):
        self.answer(200, json.dumps(values).encode(), Content_Type="application/json")

    def do_POST(self):
        body, path = self.rfile.read(int(self.headers["Content-Length"])), urlsplit(self.path).path
        if self.server.refuses:
            return self.answer(403, b'{"error": "no"}', X_Error_Message="no rights to write")
        if path == "/api/repos/create":
            asked = json.loads(body)
            self.server.kind = "datasets" if asked.get("type") == "dataset" else "models"
            if self.server.private is None:
                self.server.private = asked.get("visibility") == "private"
            return self.told({"url": f"{self.server.endpoint}/{self.place()}"})
        if path == "/api/validate-yaml":
            return self.told({"errors": [], "warnings": []})
        if path.endswith("/preupload/main"):
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            return self.told({"files": [{**file, "shouldIgnore": False} for file in files]})
        assert path == f"/api/{self.server.kind}/{NAME}/commit/main", path
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "deletedFile":
                del self.server.content[line["value"]["path"]]
            if line["key"] == "file":
                self.server.content[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return self.told(
            {"commitUrl": f"{self.server.endpoint}/{self.place()}/commit/{COMMIT}", "commitOid": COMMIT, "success": True}
        )

    def place(self):
        """Path of the repository's page."""
        return NAME if self.server.kind == "models" else f"{self.server.kind}/{NAME}"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path, content = unquote(urlsplit(self.path).path), self.server.content
        page = f"/api/{self.server.kind}/{NAME}"
        if path in (page, f"{page}/revision/main", f"{page}/revision/{COMMIT}"):
            return self.told(
                {"id": NAME, "sha": COMMIT, "private": self.server.private, "siblings": [{"rfilename": name} for name in content]}
            )
        if path.startswith(f"{page}/tree/"):
            files = [{"type": "file", "path": name, "size": len(own), "oid": "0" * 40} for name, own in content.items()]
            return self.told(files)
        found = re.fullmatch(rf"/{self.place()}/resolve/\w+/(.*)", path)
        if not found or found[1] not in content:
            return self.answer(404, X_Error_Code="RepoNotFound" if not found else "EntryNotFound")
        return self.answer(200, content[found[1]], ETag=f'"{hashlib.sha1(content[found[1]]).hexdigest()}"')


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.private, server.refuses, server.kind = {}, None, False, "models"
    server.endpoint = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_something")
    yield server
    server.shutdown()
    server.server_close()


def test_an_agent_is_pushed_and_its_model_card_works(hub, made, capsys):
    """The card's program loads the agent from the Hub; its returns are those of the agent that was pushed."""
    folder = made / "results/darkroom/train/radt/seed42"
    agent = radt.load(folder)
    hub.content |= {"picture.png": b"mine", "model/old.safetensors": b"old"}
    assert agent.push_to_hub(NAME) == f"{hub.endpoint}/{NAME}"
    networks = {f"{part}/{name}" for part in ("model", "encoder") for name in ("config.json", "model.safetensors")}
    assert {"agent.json", "README.md"} | networks <= hub.content.keys()
    assert hub.content["picture.png"] == b"mine" and "model/old.safetensors" not in hub.content
    pushed = dict(hub.content)
    with pytest.raises(RadtError, match="is there and public: make it private on the Hub"):
        agent.push_to_hub(NAME, private=True)
    assert hub.content == pushed
    text = hub.content["README.md"].decode()
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], {})
    returns = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines() if re.fullmatch(r"\d+ [\d.]+", line)]
    assert returns == alone(agent, agent.suite.environment(int(re.search(r"environment\((\d+)\)", text)[1])), 5)
    table = pd.read_csv(made / "results/darkroom/evaluate/radt/seed42.csv")
    for split, rows in table.groupby("split"):
        first, last = (rows.loc[rows["episode"] == n, "return"].mean() for n in (1, rows["episode"].max()))
        line = f"| {split.replace('_', '-')} | {rows['task'].nunique()} | {first:.6g} | {last:.6g} |"
        assert line in text


def test_a_new_repository_may_be_private(hub, made):
    radt.load(made / "results/darkroom/train/ad/seed42").push_to_hub(NAME, private=True)
    assert hub.private is True and "agent.json" in hub.content


def test_what_the_hub_does_not_have_or_refuses_is_a_sentence(hub, made):
    agent = radt.load(made / "results/darkroom/train/ad/seed42")
    with pytest.raises(RadtError, match="'radt-tiny' is no repository of the Hub: write one like user/radt-darkroom"):
        agent.push_to_hub("radt-tiny")
    with pytest.raises(RadtError, match="someone/else is no folder here, and cannot be read from the Hub"):
        radt.load("someone/else")
    with pytest.raises(RadtError, match="push_to_hub writes one"):
        radt.load(NAME)
    hub.refuses = True
    with pytest.raises(RadtError, match="cannot be written on the Hub"):
        agent.push_to_hub(NAME)
    hub.shutdown()
    hub.server_close()
    with pytest.raises(RadtError, match="cannot be written on the Hub"):
        agent.push_to_hub(NAME)
    with pytest.raises(RadtError, match="cannot be read from the Hub"):
        radt.load("someone/third")


HISTORIES = "results/darkroom/trajectories"


def plain_returns(folder):
    """Returns of the episodes by task and history, added up one by one."""
    found = {}
    for path in sorted(folder.glob("tasks_*.safetensors")):
        columns = {name: values.tolist() for name, values in load_file(path).items()}
        for episode, key in enumerate(zip(columns["episode_task"], columns["episode_history"], strict=True)):
            begin, end = columns["episode_start"][episode : episode + 2]
            found.setdefault(key, []).append(sum(columns["rewards"][begin:end]))
    return found


def test_histories_are_pushed_and_their_card_works(hub, made, capsys):
    """The card's program loads them from the Hub, and its table says how many there are and what they return."""
    hub.content |= {"picture.png": b"mine", "tasks_0000000000000000.safetensors": b"old"}
    assert main(["export", str(made / HISTORIES), "--hub", NAME]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{hub.endpoint}/datasets/{NAME}"
    local = {path.name: path.read_bytes() for path in (made / HISTORIES).iterdir() if path.name != provenance.FILE}
    assert {name: content for name, content in hub.content.items() if name != "README.md"} == {"picture.png": b"mine", **local}
    text, returns = hub.content["README.md"].decode(), plain_returns(made / HISTORIES)
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], {})
    assert re.findall(r"^task.*", capsys.readouterr().out, re.MULTILINE) == [
        f"task {task}, history {number}: {len(own)} episodes, return {own[0]:g} in the first, {own[-1]:g} in the last"
        for (task, number), own in returns.items()
    ]
    told = dict(re.findall(r"^\| ([a-z ]+) \| (.+) \|$", text, re.MULTILINE))
    first, last = (sum(own[place] for own in returns.values()) / len(returns) for place in (0, -1))
    record, manifest = provenance.read(made / HISTORIES / provenance.FILE), json.loads(local["manifest.json"])
    assert told["mean return"] == f"{first:.6g} in the first episode of a history, {last:.6g} in the last"
    assert told["histories"].startswith(f"{len(returns)}, ") and told["suite"] == "grid"
    assert told["episodes"].startswith(f"{sum(map(len, returns.values()))}, ") and told["transitions"] == str(manifest["steps"])
    assert told["tasks"] == "{num_tasks}: {train} train, {num_validation} validation, {num_held_out} held-out".format(
        **manifest["room"], train=len({task for task, _ in returns})
    )
    assert (
        "Tasks differ in `goal`." in text and "license: mit\n" in text and f"commit {record.commit}" in text and CITATION in text
    )
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert blocks[0] == manifest["tasks"][0] and blocks[2] == manifest["source"]
    shard = load_file(next((made / HISTORIES).glob("tasks*")))
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| \[(.+?)\] \|", text, re.MULTILINE)
    assert {name: (dtype, len(shape.split(","))) for name, dtype, shape in rows} == {
        name: (str(values.dtype), values.ndim) for name, values in shard.items()
    }


def test_downloaded_histories_are_imported_as_the_card_says(hub, made, tmp_path, monkeypatch, capsys):
    assert main(["export", str(made / HISTORIES), "--hub", NAME, "--private", "--license", "cc-by-4.0"]) == 0
    assert hub.private is True and b"license: cc-by-4.0\n" in hub.content["README.md"]
    capsys.readouterr()
    assert main(["download", NAME, "--revision", COMMIT]) == 0
    folder = capsys.readouterr().out.strip()
    assert COMMIT in folder
    block = re.findall(r"```yaml\n(.*?)```", hub.content["README.md"].decode(), re.DOTALL)[1]
    (tmp_path / "mine.yaml").write_text(block.replace("FOLDER", folder), encoding="utf-8")
    monkeypatch.chdir(made)
    shown = yaml.safe_load(config.show("darkroom", [tmp_path / "mine.yaml"]))
    settings = json.dumps({name: shown[name] for name in ("experiment", "trajectories")})
    assert stage.main(["--experiment", "darkroom", "--settings", settings, "--output", str(tmp_path / "imported")]) == 0
    shards = {path.name: path.read_bytes() for path in (made / HISTORIES).glob("tasks_*")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "imported").glob("tasks_*")} == shards


def test_histories_that_cannot_be_shared_are_a_sentence(hub, made, tmp_path, room, generate, published_folder, monkeypatch):
    def refused(words, *arguments):
        with pytest.raises(RadtError, match=words) as error:
            main([*map(str, arguments)])
        assert "\n" not in str(error.value)

    refused("'radt-tiny' is no repository of the Hub", "export", made / HISTORIES, "--hub", "radt-tiny")
    refused("no learning histories: name one like", "export", made / "results/elsewhere/trajectories", "--hub", NAME)
    (tmp_path / "results/darkroom").mkdir(parents=True)
    refused(r"let snakemake make it \(snakemake -- ", "export", tmp_path / HISTORIES, "--hub", NAME)
    refused("'M I T' is no license of the Hub", "export", made / HISTORIES, "--hub", NAME, "--license", "M I T")
    refused("leave them out with --minari", "export", made / HISTORIES, "--minari", "a/b-v0", "--private")
    done = trajectories_stage(tmp_path / "without", room, generate, "import", import_folder=str(published_folder))
    assert done.returncode == 0, done.stderr
    refused(r"provenance\.json is missing", "export", tmp_path / "without", "--hub", NAME)
    assert hub.content == {}
    copy = Path(shutil.copytree(made / HISTORIES, tmp_path / HISTORIES))
    shard = next(copy.glob("tasks_*"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    refused("is damaged", "export", copy, "--hub", NAME)
    hub.refuses = True
    refused("cannot be written on the Hub .*may write", "export", made / HISTORIES, "--hub", NAME)
    hub.refuses, hub.kind = False, "datasets"
    refused(r"someone/radt-tiny has no manifest\.json", "download", NAME)
    refused("someone/else cannot be read from the Hub", "download", "someone/else")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    refused("cannot be written on the Hub", "export", made / HISTORIES, "--hub", NAME)
    refused("someone/third cannot be read from the Hub", "download", "someone/third")


def test_histories_of_others_need_a_license_and_encoded_frames_stay_here(hub, made, tmp_path):
    copy = Path(shutil.copytree(made / HISTORIES, tmp_path / HISTORIES))
    forge(copy, source={"name": "download", "repository": "a/b", "files": {"a.npz": "0" * 64, "b.npz": "1" * 64}})
    record = provenance.read(copy / provenance.FILE)
    outputs = {**record.outputs, "manifest.json": sha256(copy / "manifest.json")}
    provenance.write(copy / provenance.FILE, record.model_copy(update={"outputs": outputs}))
    with pytest.raises(RadtError, match=r"source 'download', whose license is not known: name it, as in --license mit"):
        main(["export", str(copy), "--hub", NAME])
    assert main(["export", str(copy), "--hub", NAME, "--license", "mit"]) == 0
    assert "converted from 2 files" in hub.content["README.md"].decode()
    sizes = {"horizon": 9, "num_tasks": 4, "num_held_out": 1, "num_validation": 0}
    forge(copy, room={"suite": "procgen", "games": ["maze"], "levels": 4, "numbers_per_frame": 8, **sizes})
    with pytest.raises(RadtError, match="holds frames as numbers of an encoder, which the data set would lack"):
        main(["export", str(copy), "--hub", NAME])
