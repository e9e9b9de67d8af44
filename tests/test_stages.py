"""The stages end to end on tiny rooms, through their command lines: what they write, in every world, method and variant."""

import numpy as np
import pandas as pd
import pytest

from helpers import tiny_bert
from radt import artifacts
from radt.data.windows import Episodes
from stages import Chain, configuration


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
    limit, stay = chain.config["index"]["max_similarity"], []
    for one in np.unique(history)[:50]:
        kept = []
        for row in np.flatnonzero(history == one):
            if all(round(float(keys[row] @ keys[other]), 6) <= limit for other in kept):
                kept.append(int(row))
        stay += kept
    index_keys = artifacts.read_tensors(chain.root / "index/index.safetensors")["keys"]
    np.testing.assert_array_equal(index_keys[: len(stay)], keys[sorted(stay)])


def test_a_search_that_is_not_exact_trains_and_tells_its_recall(chain):
    other = configuration()
    other["train_retrieval"]["retrieval"] |= {"pool": "all", "max_exact_keys": 20, "nprobe": 1}
    Chain(chain.root, other).radt(output="radt_approximate")
    assert 0 < artifacts.read_json(chain.root / "radt_approximate/config.json")["recall"] < 1
    assert artifacts.read_json(chain.root / "radt/config.json")["recall"] == 1


PUBLISHED = {"tokens": "interleaved", "window": 6}


def test_the_papers_form_runs_end_to_end(tmp_path):
    config = configuration()
    for name in ("pretrain", "train_retrieval", "train_ad"):
        config[name]["model"] |= PUBLISHED
    config["embed"]["query_stride"] = None
    config["train_retrieval"]["retrieval"] |= {
        "scope": "window", "pool": "all", "weight_task": 1.0, "weight_return": 0.0, "weight_reward": 0.0, "max_similarity": 0.98,
        "query_dropout": 0.2, "random_before": 3, "k_context": 2, "values": "around",
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


@pytest.mark.parametrize(("method", "section"), [("pretrain", "pretrain"), ("ad", "train_ad"), ("radt", "train_retrieval")])
def test_each_method_can_train_on_the_best_episodes_of_a_history(chain, monkeypatch, method, section):
    """Of 30 episodes of a history, windows come from the two with the highest returns."""
    other, sample, better = configuration(), Episodes.sample, []
    other[section]["best_share"] = 0.05

    def watched(episodes, *given, **named):
        drawn, steps = sample(episodes, *given, **named)
        for number in drawn.tolist():
            own = episodes.returns[episodes.history == episodes.history[number]]
            better.append(int((own > episodes.returns[number]).sum()))
        return drawn, steps

    monkeypatch.setattr(Episodes, "sample", watched)
    assert getattr(Chain(chain.root, other), method)(output=f"{method}_best") == 0
    assert len(better) == 12 * 4 and max(better) < 2
