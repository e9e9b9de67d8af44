"""The stages end to end on a tiny room, through their command lines: determinism, resuming, refusals."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from helpers import tiny_bert
from radt import artifacts
from radt.configuration import load
from radt.errors import RadtError
from radt.stages import embed, embed_language, evaluate, index, pretrain, train_ad, train_dpt, train_retrieval, trajectories

ROOT = Path(__file__).parents[1]
TINY = {"updates": 12, "batch_size": 4, "warmup": 2, "checkpoint_every": 5, "log_every": 4}


def configuration(experiment=None):
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    room = {"world": "darkroom", "width": 4, "height": 3, "horizon": 12, "tasks": 10, "held_out": 2, "validation": 1}
    config |= {"experiments": {"tiny": {**room, **(experiment or {})}}, "overrides": {}, "ablations": {}}
    config["trajectories"]["generate"] |= {"episodes": 30, "epsilon_episodes": 20}
    for name in ("pretrain", "train_retrieval", "train_ad", "train_dpt"):
        config[name] = copy.deepcopy(config[name])
        config[name]["model"] |= {"width": 16, "layers": 2, "heads": 2, "window": 12}
        config[name]["optimization"] |= TINY
    config["embed"] |= {"chunk": 3, "every": 4}
    config["train_ad"]["later"] = 5
    config["train_dpt"] |= {"context": 24, "queries": 6}
    config["evaluate"]["memory"]["every"] = 4
    config["evaluate"] |= {"episodes": 3, "splits": ["held_out", "train", "validation"]}
    return config


def select(config, *sections):
    return load(config).select("tiny", *sections)


class Chain:
    """Directories of one small pipeline, and the commands that fill them."""

    def __init__(self, root, config=None, seed=1):
        self.root, self.config, self.seed = root, config or configuration(), seed

    def common(self, *sections):
        return ["--settings", select(self.config, *sections)]

    def training(self, output, state="state"):
        places = ["--trajectories", str(self.root / "trajectories"), "--state", str(self.root / state / output)]
        return ["--seed", str(self.seed), *places, "--output", str(self.root / output)]

    def trajectories(self):
        return trajectories.main(
            ["--experiment", "tiny", *self.common("trajectories"), "--output", str(self.root / "trajectories")]
        )

    def pretrain(self, output="dt"):
        return pretrain.main([*self.common("pretrain"), *self.training(output)])

    def embed(self):
        inputs = ["--trajectories", str(self.root / "trajectories"), "--encoder", str(self.root / "dt")]
        return embed.main([*self.common("embed"), *inputs, "--output", str(self.root / "embed")])

    def embed_language(self):
        inputs = ["--trajectories", str(self.root / "trajectories"), "--output", str(self.root / "embed_lm")]
        return embed_language.main([*self.common("embed", "embed_language"), *inputs])

    def index(self, encoder="dt"):
        suffix = "" if encoder == "dt" else "_lm"
        inputs = ["--embeddings", str(self.root / f"embed{suffix}"), "--output", str(self.root / f"index{suffix}")]
        return index.main(["--encoder", encoder, *self.common("index"), *inputs])

    def radt(self, output="radt"):
        places = (("encoder", "dt"), ("embeddings", "embed"), ("index", "index"))
        inputs = [word for name, folder in places for word in (f"--{name}", str(self.root / folder))]
        return train_retrieval.main(
            ["--model", "radt", *self.common("embed", "train_retrieval"), *self.training(output), *inputs]
        )

    def radt_lm(self, output="radt_lm"):
        inputs = ["--embeddings", str(self.root / "embed_lm"), "--index", str(self.root / "index_lm")]
        sections = self.common("embed", "embed_language", "train_retrieval")
        return train_retrieval.main(["--model", "radt_lm", *sections, *self.training(output), *inputs])

    def dpt(self, output="dpt"):
        return train_dpt.main([*self.common("train_dpt"), *self.training(output)])

    def ad(self, output="ad"):
        return train_ad.main([*self.common("train_ad"), *self.training(output)])

    def evaluate(self, method, model, output):
        inputs = ["--experiment", "tiny", "--method", method, "--seed", str(self.seed), "--output", str(self.root / output)]
        if model:
            inputs += ["--model", str(self.root / model)]
        if model == "radt":
            inputs += ["--encoder", str(self.root / "dt")]
        sections = {"radt": ("embed",), "radt_lm": ("embed", "embed_language")}.get(model, ())
        return evaluate.main([*self.common(*sections, "evaluate"), *inputs])


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    made = Chain(tmp_path_factory.mktemp("chain"))
    for stage in (made.trajectories, made.pretrain, made.embed, made.index, made.radt, made.ad):
        assert stage() == 0
    return made


@pytest.fixture
def copied(chain, tmp_path):
    """A copy that a test may damage."""
    shutil.copytree(chain.root, tmp_path / "copy")
    return Chain(tmp_path / "copy")


@pytest.mark.parametrize(("method", "model"), [("radt", "radt"), ("radt_fixed", "radt"), ("ad", "ad"), ("dt", "dt")])
def test_evaluation_has_a_row_per_task_and_episode(chain, method, model):
    chain.evaluate(method, model, f"{method}.csv")
    table = pd.read_csv(chain.root / f"{method}.csv")
    assert len(table) == 10 * 3 and not table.duplicated(["task", "episode"]).any()
    assert table.groupby("split").task.nunique().to_dict() == {"held_out": 2, "train": 7, "validation": 1}
    assert (table["return"] <= table.optimum).all() and (table["return"] >= 0).all()
    again = chain.root / f"{method}_again.csv"
    chain.evaluate(method, model, again.name)
    assert again.read_bytes() == (chain.root / f"{method}.csv").read_bytes()


def test_metrics_and_config(chain):
    for directory, kind in (("dt", "dt"), ("radt", "radt"), ("ad", "ad")):
        metrics = pd.read_csv(chain.root / directory / "metrics.csv")
        config = artifacts.read_json(chain.root / directory / "config.json")
        assert metrics["update"].tolist() == [4, 8, 12] and set(metrics.model) == {kind}
        tensors = artifacts.read_tensors(chain.root / directory / "model.safetensors")
        assert metrics.parameters.iloc[-1] == sum(np.size(array) for array in tensors.values())
        assert config["kind"] == kind and config["sha256"] == artifacts.sha256(chain.root / directory / "model.safetensors")


def test_near_duplicates_are_looked_for_within_a_learning_history(chain):
    keys, episode = (artifacts.read_tensors(chain.root / "embed/embeddings.safetensors")[name] for name in ("keys", "episode"))
    shards = artifacts.read_json(chain.root / "trajectories/manifest.json")["shards"]
    tables = [artifacts.read_tensors(chain.root / "trajectories" / shard["file"]) for shard in shards]
    history = np.concatenate([table["episode_task"].astype(int) * 1000 + table["episode_history"] for table in tables])[episode]
    limit, stay = chain.config["index"]["duplicate_similarity"], []
    for one in np.unique(history)[:50]:
        kept = []
        for row in np.flatnonzero(history == one):
            if all(round(float(keys[row] @ keys[other]), 6) <= limit for other in kept):
                kept.append(int(row))
        stay += kept
    index_keys = artifacts.read_tensors(chain.root / "index/index.safetensors")["keys"]
    np.testing.assert_array_equal(index_keys[: len(stay)], keys[sorted(stay)])


@pytest.mark.parametrize("stage", ["pretrain", "radt", "ad"])
def test_the_same_seed_trains_the_same_bytes(chain, stage):
    getattr(chain, stage)(output=f"{stage}_again")
    original = {"pretrain": "dt"}.get(stage, stage)
    again = chain.root / f"{stage}_again" / "model.safetensors"
    assert artifacts.sha256(again) == artifacts.sha256(chain.root / original / "model.safetensors")


def test_both_search_engines_train_the_same_bytes(chain):
    hashes = set()
    for engine in ("faiss", "torch"):
        other = configuration()
        other["train_retrieval"]["retrieval"] |= {"engine": engine, "pool": "all"}  # short histories need no engine
        Chain(chain.root, other).radt(output=f"radt_{engine}")
        hashes.add(artifacts.sha256(chain.root / f"radt_{engine}" / "model.safetensors"))
    assert len(hashes) == 1


def test_a_search_that_is_not_exact_trains_and_tells_its_recall(chain):
    other = configuration()
    other["train_retrieval"]["retrieval"] |= {"pool": "all", "exact_keys": 20, "probes": 1}
    Chain(chain.root, other).radt(output="radt_approximate")
    assert 0 < artifacts.read_json(chain.root / "radt_approximate/config.json")["recall"] < 1
    assert artifacts.read_json(chain.root / "radt/config.json")["recall"] == 1


@pytest.mark.parametrize("stage", ["pretrain", "radt", "ad"])
def test_an_interrupted_training_ends_in_the_same_bytes(chain, monkeypatch, stage, capsys):
    from radt.training import loop

    calls = 0

    def interrupt_late(*arguments):
        nonlocal calls
        calls += 1
        if calls == 9:
            raise KeyboardInterrupt
        return action_loss(*arguments)

    action_loss = loop.action_loss
    with monkeypatch.context() as patch:
        patch.setattr(loop, "action_loss", interrupt_late)
        with pytest.raises(KeyboardInterrupt):
            getattr(chain, stage)(output=f"{stage}_resumed")
    assert not (chain.root / f"{stage}_resumed").exists()
    getattr(chain, stage)(output=f"{stage}_resumed")
    assert "going on from update 5" in capsys.readouterr().out
    original = {"pretrain": "dt"}.get(stage, stage)
    resumed = artifacts.sha256(chain.root / f"{stage}_resumed" / "model.safetensors")
    assert resumed == artifacts.sha256(chain.root / original / "model.safetensors")


def test_a_killed_process_leaves_a_checkpoint_and_no_output(chain):
    slow = configuration()
    slow["pretrain"]["optimization"] |= {"updates": 100_000, "checkpoint_every": 3}
    run = Chain(chain.root, slow)
    command = [sys.executable, "-m", "radt.stages.pretrain", *run.common("pretrain"), *run.training("killed")]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a parent in the background may ignore Ctrl-C
    )
    checkpoint = chain.root / "state/killed/checkpoint.safetensors"
    while not checkpoint.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.strip().endswith("goes on from its last checkpoint")
    assert not (chain.root / "killed").exists() and checkpoint.exists()


def test_a_checkpoint_of_other_settings_is_not_continued(chain, monkeypatch, capsys):
    from radt.training import checkpoints

    monkeypatch.setattr(checkpoints, "remove", lambda directory: None)
    chain.pretrain(output="first")
    other = configuration()
    other["pretrain"]["optimization"]["learning_rate"] = 5e-4
    Chain(chain.root, other).pretrain(output="first")
    assert "other settings" in capsys.readouterr().out


def run_command(stage, arguments):
    """Exit status and last line of stderr of a stage run as its rule runs it."""
    done = subprocess.run([sys.executable, "-m", f"radt.stages.{stage}", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_refusals_name_the_thing_and_the_remedy(copied):
    encoder = artifacts.read_json(copied.root / "index/config.json")
    artifacts.write_json(copied.root / "index/config.json", {**encoder, "encoder": "0" * 64})
    places = (("encoder", "dt"), ("embeddings", "embed"), ("index", "index"))
    inputs = [word for name, folder in places for word in (f"--{name}", str(copied.root / folder))]
    arguments = ["--model", "radt", *copied.common("embed", "train_retrieval"), *copied.training("new"), *inputs]
    status, message = run_command("train_retrieval", arguments)
    assert status == 1 and "made from another encoder" in message and "embed and index" in message
    assert not (copied.root / "new").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "ad/model.safetensors").unlink(), "missing or damaged"),
        (lambda root: flip(root / "ad/model.safetensors"), "missing or damaged"),
        (lambda root: change(root / "ad/config.json", kind="dt"), "is of a 'dt' model"),
        (lambda root: change(root / "ad/config.json", room={"width": 9}), "was trained on"),
    ],
)
def test_a_damaged_model_is_refused(copied, damage, message):
    damage(copied.root)
    with pytest.raises(Exception, match=message):
        copied.evaluate("ad", "ad", "refused.csv")
    assert not (copied.root / "refused.csv").exists()


def test_radt_of_another_encoder_is_refused(copied):
    Chain(copied.root, seed=2).pretrain(output="dt")
    with pytest.raises(Exception, match="trained with another encoder"):
        copied.evaluate("radt", "radt", "refused.csv")


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no GPU")
def test_a_gpu_that_is_not_there_is_named(chain):
    config = configuration()
    config["pretrain"]["optimization"]["device"] = "cuda"
    with pytest.raises(RadtError, match="torch finds no GPU"):
        Chain(chain.root, config).pretrain(output="gpu")
    assert not (chain.root / "gpu").exists()


def test_a_flipped_byte_in_the_index_is_refused(copied):
    flip(copied.root / "index/index.safetensors")
    with pytest.raises(RadtError, match=r"index\.safetensors is missing or damaged"):
        copied.radt(output="refused")


def test_queries_of_other_settings_and_damaged_ones_are_refused(copied):
    change(copied.root / "embed/config.json", every=6)
    with pytest.raises(RadtError, match="made from another every"):
        copied.radt(output="refused")
    change(copied.root / "embed/config.json", every=4)
    flip(copied.root / "embed/embeddings.safetensors")
    with pytest.raises(RadtError, match=r"embeddings\.safetensors is missing or damaged"):
        copied.radt(output="refused")


def test_other_queries_start_a_training_anew(copied, monkeypatch, capsys):
    """A checkpoint says from which queries it came."""
    from radt.training import checkpoints

    monkeypatch.setattr(checkpoints, "remove", lambda directory: None)
    copied.radt(output="new")
    path = copied.root / "embed/embeddings.safetensors"
    tensors = artifacts.read_tensors(path, mmap=False)
    artifacts.write_tensors(path, {**tensors, "queries": tensors["queries"][::-1].copy()})
    change(copied.root / "embed/config.json", sha256=artifacts.sha256(path))
    copied.radt(output="new")
    assert "is of other settings, data or code" in capsys.readouterr().out


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


PUBLISHED = {"tokens": "interleaved", "window": 6}


def test_the_papers_form_runs_end_to_end(tmp_path):
    config = configuration()
    for name in ("pretrain", "train_retrieval", "train_ad"):
        config[name]["model"] |= PUBLISHED
    config["embed"]["every"] = None
    config["train_retrieval"] |= {
        "cross_attention": "all",
    }
    config["train_retrieval"]["retrieval"] |= {
        "scope": "window", "pool": "all", "weight_task": 1.0, "weight_return": 0.0, "weight_reward": 0.0, "cutoff": 0.98,
        "query_dropout": 0.2, "random_before": 3, "chunks": 2,
    }  # fmt: skip
    made = Chain(tmp_path, config)
    for stage in (made.trajectories, made.pretrain, made.embed, made.index, made.radt, made.ad):
        assert stage() == 0
    for method, model in (("radt_fixed", "radt"), ("ad", "ad"), ("dt", "dt")):
        made.evaluate(method, model, f"{method}.csv")
        assert len(pd.read_csv(tmp_path / f"{method}.csv")) == 30


WORLDS = {
    "darkroom": {"horizon": 24},
    "keydoor": {"world": "keydoor", "horizon": 24},
    "mazerunner": {"world": "mazerunner", "width": 15, "height": 15, "horizon": 48},
}


@pytest.mark.parametrize("world", WORLDS)
def test_every_world_and_method_runs_end_to_end_in_windows_shorter_than_an_episode(tmp_path, world):
    config = configuration(WORLDS[world])
    for name in ("pretrain", "train_retrieval", "train_ad"):
        config[name]["model"]["window"] = 8
    tiny_bert(tmp_path / "bert")
    config["embed_language"] |= {"model": str(tmp_path / "bert"), "layers": 2, "return_bin": 4}
    made = Chain(tmp_path, config)
    for stage in (made.trajectories, made.pretrain, made.embed, made.index, made.radt, made.ad, made.dpt):
        assert stage() == 0
    assert made.embed_language() == made.index("lm") == made.radt_lm() == 0
    for method in ("radt", "radt_lm", "ad", "dpt", "dt", "retrieve", "random"):
        made.evaluate(method, None if method in ("retrieve", "random") else method, f"{method}.csv")
        table = pd.read_csv(tmp_path / f"{method}.csv")
        assert len(table) == 30 and (table["return"] >= 0).all() and (table["return"] <= table.optimum).all()
        assert set(table.method) == {method}


def test_a_language_model_of_other_weights_or_settings_is_refused(tmp_path):
    """The memory of an agent must be embedded as the index was that it was trained on."""
    tiny_bert(tmp_path / "bert")
    config = configuration()
    config["embed_language"] |= {"model": str(tmp_path / "bert"), "layers": 1, "return_bin": 4}
    made = Chain(tmp_path, config)
    assert made.trajectories() == made.embed_language() == made.index("lm") == made.radt_lm() == 0
    config["embed_language"]["layers"] = 2
    with pytest.raises(RadtError, match="trained with another encoder"):
        made.evaluate("radt_lm", "radt_lm", "refused.csv")
    with pytest.raises(RadtError, match="made from another encoder"):
        made.radt_lm("again")


@pytest.mark.parametrize("change", [{"cross_attention": [1]}, {"retrieval": "task"}, {"retrieval": "uniform"}])
def test_variants_of_radt_train(chain, change):
    other = configuration()
    if "retrieval" in change:
        other["train_retrieval"]["retrieval"]["pool"] = change["retrieval"]
    else:
        other["train_retrieval"] |= change
    name = f"radt_{len(str(change))}"
    assert Chain(chain.root, other).radt(output=name) == 0
    tensors = artifacts.read_tensors(chain.root / name / "model.safetensors")
    reading = [any(key.startswith(f"blocks.{block}.cross") for key in tensors) for block in (0, 1)]
    assert reading == ["cross_attention" not in change, True]
