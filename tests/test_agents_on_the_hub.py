"""Agents on a small server on loopback that speaks the Hub's routes for repositories of models."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest
from huggingface_hub import constants

import radt
from helpers import alone
from radt.errors import RadtError

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
            if self.server.private is None:
                self.server.private = json.loads(body).get("visibility") == "private"
            return self.told({"url": f"{self.server.endpoint}/{NAME}"})
        if path == "/api/validate-yaml":
            return self.told({"errors": [], "warnings": []})
        if path.endswith("/preupload/main"):
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            return self.told({"files": [{**file, "shouldIgnore": False} for file in files]})
        assert path == f"/api/models/{NAME}/commit/main", path
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "deletedFile":
                del self.server.content[line["value"]["path"]]
            if line["key"] == "file":
                self.server.content[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return self.told({"commitUrl": f"{self.server.endpoint}/{NAME}/commit/{COMMIT}", "commitOid": COMMIT, "success": True})

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path, content = unquote(urlsplit(self.path).path), self.server.content
        if path in (f"/api/models/{NAME}", f"/api/models/{NAME}/revision/main"):
            return self.told(
                {"id": NAME, "sha": COMMIT, "private": self.server.private, "siblings": [{"rfilename": name} for name in content]}
            )
        if path.startswith(f"/api/models/{NAME}/tree/"):
            files = [{"type": "file", "path": name, "size": len(own), "oid": "0" * 40} for name, own in content.items()]
            return self.told(files)
        found = re.fullmatch(rf"/{NAME}/resolve/\w+/(.*)", path)
        if not found or found[1] not in content:
            return self.answer(404, X_Error_Code="RepoNotFound" if not found else "EntryNotFound")
        return self.answer(200, content[found[1]], ETag=f'"{hashlib.sha1(content[found[1]]).hexdigest()}"')


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.private, server.refuses, server.endpoint = {}, None, False, f"http://127.0.0.1:{server.server_port}"
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
