"""A pipeline on a tiny room, stage by stage through their command lines, and how to damage what it made."""

import copy
from pathlib import Path

import yaml

from radt import artifacts
from radt.settings.configuration import load
from radt.settings.layers import written_out
from radt.stages import embed, evaluate, index, train, trajectories

ROOT = Path(__file__).parents[1]


TINY = {"updates": 12, "batch_size": 4, "warmup": 2, "checkpoint_every": 5, "log_every": 4}


def configuration(experiment=None):
    config = written_out(yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8")))
    room = {"world": "darkroom", "width": 4, "height": 3, "horizon": 12, "num_tasks": 10, "num_held_out": 2, "num_validation": 1}
    config |= {"experiments": {"tiny": {**room, **(experiment or {})}}}
    config["trajectories"]["generate"] |= {"histories": 8, "episodes": 30, "epsilon_episodes": 20}
    for name in ("pretrain", "train_retrieval", "train_ad", "train_dpt"):
        config[name] = copy.deepcopy(config[name])
        config[name]["model"] |= {"width": 16, "layers": 2, "heads": 2, "window": 12}
        config[name]["optimization"] |= TINY
    config["embed"] |= {"chunk_length": 3, "query_stride": 4}
    config["train_ad"]["episode_gap"] = 5
    config["train_dpt"] |= {"context": 24, "queries": 6}
    config["evaluate"]["memory"]["query_stride"] = 4
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
        return train.main(["--method", "dt", *self.common("pretrain"), *self.training(output)])

    def embed(self):
        inputs = ["--trajectories", str(self.root / "trajectories"), "--encoder", str(self.root / "dt")]
        return embed.main(["--kind", "dt", *self.common("embed"), *inputs, "--output", str(self.root / "embed")])

    def embed_language(self):
        inputs = ["--trajectories", str(self.root / "trajectories"), "--output", str(self.root / "embed_lm")]
        return embed.main(["--kind", "lm", *self.common("embed", "embed_language"), *inputs])

    def index(self, encoder="dt"):
        suffix = "" if encoder == "dt" else "_lm"
        inputs = ["--embeddings", str(self.root / f"embed{suffix}"), "--output", str(self.root / f"index{suffix}")]
        return index.main(["--kind", encoder, *self.common("index"), *inputs])

    def radt(self, output="radt"):
        places = (("encoder", "dt"), ("embeddings", "embed"), ("index", "index"))
        inputs = [word for name, folder in places for word in (f"--{name}", str(self.root / folder))]
        return train.main(["--method", "radt", *self.common("embed", "train_retrieval"), *self.training(output), *inputs])

    def radt_lm(self, output="radt_lm"):
        inputs = ["--embeddings", str(self.root / "embed_lm"), "--index", str(self.root / "index_lm")]
        sections = self.common("embed", "embed_language", "train_retrieval")
        return train.main(["--method", "radt_lm", *sections, *self.training(output), *inputs])

    def dpt(self, output="dpt"):
        return train.main(["--method", "dpt", *self.common("train_dpt"), *self.training(output)])

    def ad(self, output="ad"):
        return train.main(["--method", "ad", *self.common("train_ad"), *self.training(output)])

    def evaluate(self, method, model, output, features=None):
        inputs = ["--experiment", "tiny", "--method", method, "--seed", str(self.seed), "--output", str(self.root / output)]
        if model:
            inputs += ["--model", str(self.root / model)]
        if model == "radt":
            inputs += ["--encoder", str(self.root / "dt")]
        if features:
            inputs += ["--features", str(features)]
        sections = {"radt": ("embed",), "radt_lm": ("embed", "embed_language")}.get(model, ())
        return evaluate.main([*self.common(*sections, "evaluate"), *inputs])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change(path, **values):
    """Change values of a JSON file that has a checksum, which is right again."""
    artifacts.write_checked_json(path, {**artifacts.read_checked_json(path), **values})
