"""Where artifacts are, which a variant shares with its experiment, and what a stage is told."""

import json
from pathlib import Path

import pytest
import yaml

from radt.errors import RadtError
from radt.pipeline.runs import ENCODERS, MADE_FROM, PLAIN, REFERENCES, WEIGHTS, Runs
from radt.settings.configuration import load, read
from radt.settings.stages import Stages

ROOT = Path(__file__).parents[1]
VARIANTS = {
    "same": {},
    "evaluation": {"evaluate": {"memory": {"k_rerank": 7}}},
    "index": {"index": {"max_similarity": 0.9}},
    "language": {"embed_language": {"layers": 2}},
    "data": {"trajectories": {"source": "ppo"}},
    "gpu": {"train_ad": {"optimization": {"device": "cuda"}}, "evaluate": {"device": "cuda"}},
    "ranks": {"train_ad": {"optimization": {"device": "cuda", "ranks": 4}}, "train_dpt": {"optimization": {"ranks": 3}}},
    "tasks": {"experiment": {"split_seed": 1}},
    "auto": {"pretrain": {"optimization": {"device": "auto", "ranks": 2}}, "embed": {"device": "auto"}},
}


@pytest.fixture(scope="module")
def runs():
    values = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    values["ablations"] = {"a": {"experiment": "keydoor", "methods": ["radt"], "variants": VARIANTS}}
    return Runs(load(values))


@pytest.mark.parametrize(
    ("variant", "own"),
    [
        ("same", []),
        ("evaluation", []),
        ("index", ["index/dt", "index/lm", "train/radt", "train/radt_lm"]),
        ("language", ["embed/lm", "index/lm", "train/radt_lm"]),
        ("data", list(MADE_FROM)),
        ("tasks", list(MADE_FROM)),
        ("gpu", ["train/ad"]),
        ("ranks", ["train/ad", "train/dpt"]),
    ],
)
def test_a_variant_shares_what_it_does_not_change(runs, variant, own):
    run = f"ablations/a/{variant}"
    assert [name for name in MADE_FROM if runs.home(run, name) == run] == own
    assert all(runs.home(run, name) == "keydoor" for name in MADE_FROM if name not in own)
    assert all(runs.home("keydoor", name) == "keydoor" for name in MADE_FROM)


def test_learning_curves_are_named_where_variants_learn_from_several_sources(runs):
    places = runs.sources("a")
    assert list(places) == list(VARIANTS) and places["data"] == "results/ablations/a/data/trajectories/learning.csv"
    shared = {place for variant, place in places.items() if variant not in ("data", "tasks")}
    assert shared == {"results/keydoor/trajectories/learning.csv"}
    shipped = Runs(read([ROOT / "config/config.yaml", ROOT / "config/ablations.yaml"]))
    assert [name for name in shipped.settings.ablations if shipped.sources(name)] == ["source"]


def test_a_variant_may_have_other_tasks(runs):
    given = {run: json.loads(runs.select(run, ["trajectories"])) for run in ("keydoor", "ablations/a/tasks")}
    assert given["ablations/a/tasks"].pop("experiment") == {**given["keydoor"].pop("experiment"), "split_seed": 1}
    assert given["ablations/a/tasks"] == given["keydoor"]
    for changes, fault in (({"split_seeds": 1}, "split_seeds"), ({"num_held_out": 100}, "num_held_out 100")):
        values = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
        variants = {"one": {"experiment": changes}}
        values["ablations"] = {"b": {"experiment": "keydoor", "methods": ["radt"], "variants": variants}}
        with pytest.raises(RadtError, match=f"ablations/b/one: experiment.*{fault}"):
            Runs(load(values)).select("ablations/b/one", ["trajectories"])


def test_places(runs):
    assert runs.path("keydoor", "index/dt") == runs.path("ablations/a/language", "index/dt") == "results/keydoor/index/dt"
    assert runs.path("ablations/a/index", "train/ad", "seed42/config.json") == "results/keydoor/train/ad/seed42/config.json"
    assert runs.path("ablations/a/index", "train/radt", "x.csv") == "results/ablations/a/index/train/radt/x.csv"


def test_metrics_are_those_of_the_weights_once_each(runs):
    seeds = runs.settings.seeds
    found = runs.metrics("ablations/a/index", ["radt", "radt_fixed", "ad", "retrieve", "random"])
    radt = [f"results/ablations/a/index/train/radt/seed{seed}/metrics.csv" for seed in seeds]
    assert found == [*radt, *(f"results/keydoor/train/ad/seed{seed}/metrics.csv" for seed in seeds)]


def test_a_stage_is_told_what_it_reads(runs):
    told = json.loads(runs.select("keydoor", ["index", "evaluate"], "ad"))
    assert set(told) == {"experiment", "index", "evaluate"} and set(told["evaluate"]["methods"]) == {"ad"}
    assert runs.select("keydoor", ["evaluate"]) == runs.settings.select("keydoor", "evaluate")
    assert "ad" in runs.sections("keydoor")["evaluate"]["methods"]


def test_methods_by_whose_weights_they_use(runs):
    assert runs.methods("radt") == ["radt", "radt_fixed"]
    assert set(runs.methods("retrieve", "random")) == {"retrieve", "random"}
    assert set(runs.methods()) == {*runs.settings.evaluate.methods, "expert"}  # which robots alone have
    assert {runs.model("keydoor", method) for method in runs.settings.evaluate.methods} == {*WEIGHTS, "retrieve", "random"}
    assert sorted([*ENCODERS, *PLAIN, *REFERENCES]) == ["ad", "dpt", "dt", "expert", "radt", "radt_lm", "random", "retrieve"]


def test_histories_of_ppo_are_those_of_the_training_tasks(runs):
    split = runs.settings.experiments["keydoor"]
    found = runs.learned("ablations/a/data")
    assert len(found) == len(set(found)) == split.num_tasks - split.num_held_out - split.num_validation
    assert found[3] == "results/ablations/a/data/rl/task3.safetensors"
    assert runs.learned("keydoor") == runs.learned("ablations/a/same") == []


def test_gpus_are_counted_where_a_stage_wants_one(runs):
    run = "ablations/a/gpu"
    counts = [runs.gpus(run, name) for name in ("train_ad", "evaluate", "pretrain", "embed")]
    assert counts == [1, 1, 0, 0]


@pytest.mark.parametrize(("visible", "counts"), [("0", [2, 1, 0]), ("", [0, 0, 0])])
def test_auto_counts_where_there_is_a_gpu(runs, monkeypatch, visible, counts):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [runs.gpus("ablations/a/auto", name) for name in ("pretrain", "embed", "evaluate")] == counts


def test_several_ranks_have_a_gpu_each_and_are_started_by_torchrun(runs):
    run, sections = "ablations/a/ranks", ("train_ad", "train_dpt", "pretrain")
    assert [runs.ranks(run, name) for name in sections] == [4, 3, 1]
    assert [runs.gpus(run, name) for name in sections] == [4, 0, 0]
    assert [runs.torchrun(run, name) for name in sections] == [*(f"python -m radt.training.torchrun {n} " for n in (4, 3)), ""]


def test_sections_behind_artifacts_exist():
    assert {name for sections in MADE_FROM.values() for name in sections} <= set(Stages.model_fields)
