"""The configuration files are valid, documented and in step with schema and manual; what is wrong is refused in a sentence."""

import json
import re
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from radt.__main__ import main
from radt.errors import RadtError
from radt.pipeline import targets
from radt.pipeline.runs import Runs
from radt.settings import configuration, layers
from radt.settings.manual import MANUAL, manual
from radt.settings.renamed import RENAMED, with_new_names
from radt.settings.stages import Stages
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.worlds import optimum

CONFIG = Path(__file__).parents[1] / "config"
SHORT = {"world": "darkroom", "width": 5, "height": 5, "horizon": 100, "num_tasks": 9, "num_held_out": 2, "num_validation": 0}


@cache
def text_of(name):
    """JSON of a configuration file, which is read by PyYAML once."""
    return json.dumps(yaml.load((CONFIG / name).read_text(encoding="utf-8"), yaml.CSafeLoader))


def merged(*names):
    """The files that are always read with other files merged over them, one after the other."""
    values = {}
    for name in ("config.yaml", "ablations.yaml", *names):
        values = layers.merge(values, layers.written_out(json.loads(text_of(name))))
    return values


def changed(path, value):
    """The defaults with one value changed."""
    values = merged()
    *sections, last = path.split(".")
    inner = values
    for section in sections:
        inner = inner[section]
    inner[last] = value
    return values


def checked(values):
    """The settings, all runs of which are asked for."""
    loaded = configuration.load(values)
    targets.check(loaded, ["all", "ablations"])
    return loaded


@pytest.mark.parametrize("names", [(), ("paper.yaml",), ("smoke.yaml",), ("validation.yaml",), ("gpu.yaml",)])
def test_every_configuration_is_valid(names):
    loaded = configuration.read([CONFIG / name for name in ("config.yaml", "ablations.yaml", *names)])
    asked = [f"results/{name}/figure.pdf" for name in loaded.experiments if not names or name.startswith(names[0][:5])]
    targets.check(loaded, asked or ["all", "ablations"])
    assert loaded == configuration.load(merged(*names))


@pytest.mark.parametrize("name", ["paper.yaml", "smoke.yaml", "validation.yaml", "gpu.yaml"])
def test_other_configurations_name_only_keys_that_exist(name):
    def keys(values, prefix=""):
        for key, value in values.items():
            yield from keys(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]

    known = set(keys(merged()))
    new = set(keys(yaml.safe_load((CONFIG / name).read_text(encoding="utf-8")))) - known
    new -= {key for key in new if any(other.startswith(f"{key}.") for other in known)}  # null, which removes all of it
    assert {key.split(".")[0] for key in new} <= {"experiments"}


def test_on_a_gpu_all_that_trains_or_embeds_asks_for_it_and_agents_do_not():
    runs = Runs(configuration.load(merged("gpu.yaml")))
    sections = ("pretrain", "embed", "train_retrieval", "train_ad", "train_dpt", "evaluate")
    assert {name: runs.gpus("keydoor_40x20", name) for name in sections} == {**dict.fromkeys(sections, 1), "evaluate": 0}


def leaves(values, prefix=()):
    """Paths of all values of a nested mapping."""
    for key, value in values.items():
        yield from leaves(value, (*prefix, key)) if isinstance(value, dict) else [(*prefix, key)]


@pytest.mark.parametrize(
    ("run", "batch", "window", "chunk", "ad", "context", "later", "episodes", "target", "every"),
    [
        ("darkroom", 128, 50, 25, 100, 200, 100, 40, (90.0, 5.0), 1),
        ("darkroom_20x20", 128, 100, 50, 400, 800, 100, 40, (370.0, 10.0), 1),
        ("darkroom_40x20", 32, 100, 50, 800, 1600, 100, 40, (500.0, 10.0), 1),
        ("keydoor", 128, 50, 25, 100, 200, 100, 40, (90.0, 5.0), 1),
        ("keydoor_20x20", 128, 100, 50, 400, 800, 100, 40, (370.0, 10.0), 1),
        ("keydoor_40x20", 32, 100, 50, 800, 1600, 100, 40, (500.0, 10.0), 1),
        ("mazerunner", 128, 50, 25, 400, 800, 1000, 30, (3.0, 0.0), 25),
    ],
)
def test_paper_configuration_has_the_published_settings(run, batch, window, chunk, ad, context, later, episodes, target, every):
    loaded = configuration.load(merged("paper.yaml"))
    paper, evaluate = loaded.stages(run), loaded.stages(run).evaluate
    for training in (paper.pretrain, paper.train_retrieval, paper.train_ad, paper.train_dpt):
        model, optimization = training.model, training.optimization
        assert (model.tokens, model.width, model.layers, model.heads, model.return_bin) == ("interleaved", 512, 4, 8, 1)
        assert (optimization.updates, optimization.batch_size) == (100_000, batch)
        assert (optimization.learning_rate, optimization.warmup) == (1e-4, 4000)
    assert (paper.pretrain.model.window, paper.train_retrieval.model.window, paper.train_ad.model.window) == (window, window, ad)
    assert (paper.embed.chunk_length, paper.embed.query_stride, paper.train_dpt.context, paper.train_ad.episode_gap) == (
        chunk,
        None,
        context,
        later,
    )
    assert (evaluate.episodes, evaluate.memory.query_stride, evaluate.splits) == (episodes, every, ["held_out", "train"])
    assert (evaluate.target_mean, evaluate.target_std) == target
    assert evaluate.methods["radt"].target_return == evaluate.methods["radt_lm"].target_return == "fixed"
    language = paper.embed_language
    assert (language.model, language.layers, language.tokens, language.beta) == ("bert-base-uncased", 12, "interleaved", 10.0)


def test_paper_configuration_says_all_that_the_defaults_override():
    """Files are merged key by key: what only an experiment of config.yaml says would hold for the paper, too."""
    defaults, paper = (yaml.safe_load((CONFIG / name).read_text(encoding="utf-8")) for name in ("config.yaml", "paper.yaml"))
    not_of_the_paper = {("evaluate", "target_low")}  # of no use with fixed targets
    for name, changes in layers.written_out(defaults)["experiments"].items():
        if paper["experiments"].get(name, {}) is None:  # left out
            continue
        wanted = {path for path in leaves(changes) if path[0] in Stages.model_fields and path[0] != "trajectories"}
        assert wanted - set(leaves(layers.written_out(paper)["experiments"].get(name, {}))) <= not_of_the_paper, name
    assert configuration.load(merged("paper.yaml")).methods == ["radt", "radt_lm", "ad", "dpt", "dt", "retrieve", "random"]


@pytest.mark.parametrize("main", yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))["experiments"])
def test_validation_tasks_are_training_tasks_of_an_experiment_with_its_settings(main):
    loaded = configuration.load(merged("validation.yaml"))
    name = main.replace("darkroom", "validation", 1) if main.startswith("darkroom") else f"validation_{main}"
    sizes = {"metaworld": 5, "dmcontrol": 3, "procgen_maze": 24, "procgen_heist": 24, "procgen": 24}
    assert loaded.experiments[name].num_validation == sizes.get(main, 16)
    assert loaded.experiments[name].model_copy(update={"num_validation": 0}) == loaded.experiments[main]
    own, shown = (json.loads(loaded.select(one, *Stages.model_fields)) for one in (name, main))
    assert set(own["evaluate"].pop("splits")) <= {"validation", "train"} and shown["evaluate"].pop("splits")
    assert {key: own[key] for key in Stages.model_fields} == {key: shown[key] for key in Stages.model_fields}


def test_downloads_are_of_the_world_and_the_size_of_their_experiment():
    loaded = configuration.load(merged())
    repositories = {"darkroom": "ml-jku/dark_room", "keydoor": "ml-jku/dark_keydoor", "mazerunner": "ml-jku/mazerunner"}
    grids = {name: one for name, one in loaded.experiments.items() if one.suite == "grid"}
    assert len(grids) == 7
    for name, experiment in grids.items():
        download = loaded.stages(name).trajectories.download
        size = f"{experiment.width}x{experiment.height}"
        assert (download.repository, download.folder) == (repositories[experiment.world], size)
        assert "url" not in download.model_dump()  # recorded settings stay as they were


def test_schema_file_is_in_step():
    assert (CONFIG / "schema.json").read_text(encoding="utf-8") == configuration.schema(), "run: make format"


def test_manual_is_in_step():
    text = (CONFIG.parent / MANUAL).read_text(encoding="utf-8")
    assert text == manual(text), "run: make format"


def test_every_number_of_the_defaults_has_a_comment():
    """Those of an ablation are told by the names of its variants."""
    lines = (CONFIG / "config.yaml").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if re.search(r"[:\[] ?\d", line.partition("#")[0]) and "#" not in line]


def test_every_ablation_has_a_comment():
    block = (CONFIG / "ablations.yaml").read_text(encoding="utf-8").partition("\nablations:")[2]
    names = re.findall(r"^  (\w+):(.*)$", block, flags=re.MULTILINE)
    assert names and all("#" in rest for _, rest in names)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("sedes", [1], ["unknown", "sedes", "config/README.md"]),
        ("train_ad.optimization.lr", 0.1, ["unknown", "train_ad.optimization.lr"]),
        ("seeds", ["a"], ["seeds.0", "'a'", "integer"]),
        ("seeds", [1.5], ["seeds.0", "1.5", "integer"]),
        ("seeds", [42, 42], ["seeds", "[42, 42]", "once"]),
        ("seeds", [], ["seeds", "[]", "at least 1"]),
        ("encoder_seed", 7, ["encoder_seed", "7", "[42, 43, 44]"]),
        ("methods", ["radt", "dqn"], ["methods", "dqn", "evaluate.methods"]),
        ("pretrain.model.tokens", "words", ["pretrain.model.tokens", "'words'", "'step' or 'interleaved'"]),
        ("pretrain.model.heads", 5, ["pretrain.model", "heads is 5", "width"]),
        ("pretrain.model", {"past_actions": "hidden", "tokens": "interleaved"}, ["past_actions is 'hidden'", "tokens 'step'"]),
        ("pretrain.optimization.updates", "many", ["pretrain.optimization.updates", "'many'", "integer"]),
        ("pretrain.optimization.warmup", 10**9, ["warmup is 1000000000", "less than updates"]),
        ("train_ad.optimization.ranks", 33, ["train_ad.optimization", "ranks is 33", "at most batch_size (32)"]),
        ("train_ad.optimization.ranks", 0, ["train_ad.optimization.ranks", "0", "greater than or equal to 1"]),
        ("embed.device", "gpu", ["embed.device", "'gpu'", "'auto'"]),
        ("experiments.darkroom.num_tasks", 101, ["experiments.darkroom", "num_tasks is 101", "100 cells"]),
        ("experiments.darkroom.num_held_out", 100, ["experiments.darkroom", "num_held_out 100", "train on"]),
        ("trajectories.source", "import", ["trajectories", "import_folder", "name the folder"]),
        ("trajectories.download.revision", "main", ["revision", "'main'", "40 hex digits"]),
        ("evaluate.target_low", [5.0, 1.0], ["target_low", "[5.0, 1.0]", "low <= high"]),
        ("embed.chunk_length", 101, ["embed.chunk_length is 101", "horizon of 'darkroom' (100)"]),
        ("evaluate.splits", [], ["evaluate.splits", "at least 1"]),
        ("evaluate.splits", ["validation"], ["evaluate.splits is ['validation']", "'darkroom'", "'validation': 0"]),
        ("experiments.darkroom.horizon", 1, ["embed.chunk_length is 50", "horizon of 'darkroom' (1)"]),
        ("experiments.recorded", SHORT, ["experiments", "'recorded'", "another name"]),
        ("experiments.overview", SHORT, ["experiments", "'overview'", "another name"]),
        ("experiments." + "x" * 65, SHORT, ["experiments", "[a-z]"]),
        ("evaluate.target_mean", 1e300, ["evaluate", "target_mean is 1e+300", "up to 3e+38"]),
        ("evaluate.target_low", [0.0, 1e39], ["evaluate", "target_low is (0.0, 1e+39)"]),
        ("figure.confidence", 0.0, ["figure.confidence", "greater than 0"]),
        ("figure.confidence", 1.0, ["figure.confidence", "less than 1"]),
        ("figure.bootstrap_samples", 1, ["figure.bootstrap_samples", "greater than or equal to 2"]),
        ("trajectories.ppo.batch_size", 1, ["trajectories.ppo.batch_size", "1", "greater than or equal to 2"]),
        ("trajectories.ppo.rollout", 1, ["trajectories.ppo.rollout", "greater than or equal to 2"]),
        ("trajectories.download.repository", "https://huggingface.co/datasets/ml-jku/dark_room", ["repository", "pattern"]),
        ("trajectories.download.repository", "dark_room", ["repository", "pattern"]),
        ("trajectories.download.folder", "../10x10", ["folder is '../10x10'", "inside the repository"]),
        ("trajectories.download.folder", "/10x10", ["folder is '/10x10'", "inside the repository"]),
        ("trajectories.import_folder", "~nobody_of_this_name/data", ["import_folder", "write the whole path"]),
        ("pretrain.model.tokens", "x" * 10_000, ["pretrain.model.tokens", "x..."]),
        ("evaluate.splits", ["train", "train"], ["evaluate.splits", "each of them once"]),
        ("evaluate.methods.ad.target_return", "from_memory", ["evaluate.methods.ad", "'from_memory'", "none"]),
        ("evaluate.methods.radt.target_return", "none", ["evaluate.methods.radt", "fixed or from_memory"]),
        ("train_retrieval.model.tokens", "interleaved", ["scope is 'segment'", "tokens 'step'"]),
        ("embed.query_stride", 30, ["query_stride 30", "a divisor of the horizon"]),
        ("embed.query_stride", None, ["query_stride None", "a divisor of the horizon"]),
        ("train_retrieval.retrieval.query_dropout", 0.2, ["query_dropout 0.2", "no query dropout"]),
        ("train_retrieval.retrieval.k_context", 51, ["k_context is 51", "k_rerank (50)"]),
        ("experiments.darkroom.width", 300, ["experiments.darkroom.width", "300", "256"]),
        ("pretrain.optimization.learning_rate", float("inf"), ["pretrain.optimization.learning_rate", "finite"]),
        ("experiments.mazerunner.width", 14, ["experiments.mazerunner", "14x15", "15x15"]),
        ("experiments.mazerunner.num_tasks", 120, ["experiments.mazerunner", "num_tasks is 120", "99 published"]),
        ("experiments.darkroom.world", "minihack", ["experiments.darkroom.world", "'minihack'", "'keydoor'"]),
        ("pretrain.model.window", 51, ["pretrain.model.window is 51", "even", "horizon of 'darkroom' (100)"]),
        ("train_ad.model.window", 1, ["train_ad.model.window is 1", "even"]),
        ("train_retrieval.cross_attention", [0, 2], ["cross_attention is [0, 2]", "blocks 0 to 1"]),
        ("train_retrieval.cross_attention", [], ["cross_attention"]),
        ("overrides", {"keydoor": {}}, ["'overrides' is gone", "write what overrides.keydoor has into experiments.keydoor"]),
        ("experiments.keydoor.like", "nowhere", ["keydoor.like is 'nowhere'", "'darkroom'"]),
        ("experiments.keydoor.like", ["darkroom"], ["keydoor.like is ['darkroom']"]),
        ("experiments.keydoor.like", "keydoor", ["keydoor.like is 'keydoor'", "'darkroom'"]),
        ("experiments.keydoor.embed", {"chunks": 3}, ["keydoor", "unknown", "embed.chunks"]),
        ("experiments.keydoor.embedd", {}, ["unknown", "experiments.keydoor.embedd"]),
        ("experiments.keydoor.model", {"widht": 3}, ["keydoor", "unknown", "model.widht"]),
        ("experiments.keydoor.model", 3, ["keydoor", "pretrain.model", "3"]),
        ("model.widht", 3, ["unknown", "'model.widht'"]),
        ("model", 3, ["'model' has the value 3"]),
        ("optimization.warmup", 500, ["'optimization': warmup is 500", "updates (500)"]),
        ("embed.aggregate", "all", ["embed.aggregate is 'all'", "pretrain.model.tokens 'interleaved'"]),
        ("embed.aggregate", "mean", ["embed.aggregate", "'mean'", "states"]),
        ("experiments.keydoor.embed", {"chunk_length": 101}, ["embed.chunk_length is 101", "horizon of 'keydoor' (100)"]),
        ("experiments.keydoor.seeds", [1], ["keydoor", "unknown", "seeds"]),
        ("experiments.keydoor.pretrain", 3, ["keydoor", "pretrain", "3"]),
        ("ablations", {"a": {"experiment": "b", "methods": ["ad"], "variants": {"c": {}}}}, ["ablations.a.experiment", "'b'"]),
        (
            "ablations",
            {"a": {"experiment": "darkroom", "methods": ["dqn"], "variants": {"c": {}}}},
            ["ablations/a/c", "dqn", "evaluate.methods"],
        ),
        (
            "ablations",
            {"a": {"experiment": "darkroom", "methods": ["ad"], "variants": {"c": {"embed": {"query_stride": 30}}}}},
            ["query_stride 30", "'ablations/a/c'"],
        ),
        (
            "ablations",
            {"a": {"experiment": "darkroom", "methods": ["ad"], "variants": {}}},
            ["ablations.a.variants", "at least 1"],
        ),
    ],
)
def test_bad_values_are_refused_with_key_value_and_what_is_allowed(path, value, words):
    with pytest.raises(RadtError) as error:
        checked(changed(path, value))
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def test_one_rank_is_not_told_so_that_what_was_made_before_there_were_ranks_stays_as_it_is():
    one, two = (configuration.load(changed("train_ad.optimization.ranks", count)) for count in (1, 2))
    without = merged()
    del without["train_ad"]["optimization"]["ranks"]
    assert one == configuration.load(without)
    assert "ranks" not in one.select("darkroom", "train_ad")
    assert '"ranks": 2' in two.select("darkroom", "train_ad")


def test_a_stage_gets_only_the_sections_that_it_names():
    selected = configuration.load(merged()).select("darkroom", "index")
    assert set(yaml.safe_load(selected)) == {"experiment", "index"}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("results/darkrom/figure.pdf", ["experiment 'darkrom'", "keydoor_20x20"]),
        ("results/darkrom/evaluate/ad/seed42.csv", ["experiment 'darkrom'", "keydoor_20x20"]),
        ("results/keydoor/evaluate/add/seed42.csv", ["method 'add'", "radt_fixed"]),
        ("results/ablations/pools.pdf", ["ablation", "pools.pdf", "context_source"]),
        ("results/ablations/pools/uniform/evaluate/radt/seed42.csv", ["ablation", "context_source"]),
    ],
)
def test_a_target_that_there_is_not_is_refused_with_those_that_there_are(target, words):
    with pytest.raises(RadtError, match="unknown") as error:
        targets.check(configuration.load(merged()), [target])
    assert all(word in str(error.value) for word in (target, *words))


@pytest.mark.parametrize(
    "target", ["all", "--cores", "results/overview.pdf", "results/keydoor/figure.pdf", "results/ablations/chunks.pdf"]
)
def test_a_target_that_there_is_is_let_through(target):
    targets.check(configuration.load(merged()), [target])


def test_windows_shorter_than_an_episode_must_fit_queries_and_segments():
    values = merged()
    short = {"train_retrieval": {"model": {"window": 100}}, "evaluate": {"memory": {"query_stride": 30}}}
    with pytest.raises(RadtError, match=r"evaluate\.memory\.query_stride is 30, allowed is a divisor of half a window \(50\)"):
        checked(layers.merge(values, {"experiments": {"darkroom_20x20": short}}))
    short["evaluate"]["memory"]["query_stride"] = 50
    short["embed"] = {"query_stride": 20}
    with pytest.raises(RadtError, match=r"embed\.query_stride 20"):
        checked(layers.merge(values, {"experiments": {"darkroom_20x20": short}}))


def test_merging_goes_key_by_key_and_replaces_what_is_no_mapping():
    values = {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2]}
    assert layers.merge(values, {"a": {"c": {"f": 3}}, "e": [9]}) == {"a": {"b": 1, "c": {"d": 2, "f": 3}}, "e": [9]}
    assert layers.merge(values, {"a": {"c": 5}, "g": {"h": 1}}) == {"a": {"b": 1, "c": 5}, "e": [1, 2], "g": {"h": 1}}
    assert values == {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2]}


def test_runs_are_experiments_and_variants_with_what_they_override():
    own = {"evaluate": {"episodes": 7}, "pretrain": {"model": {"width": 32}}}
    values = layers.merge(merged(), {"experiments": {"keydoor": own}})
    values["ablations"] = {
        "pool": {
            "experiment": "keydoor",
            "methods": ["radt"],
            "variants": {"uniform": {"train_retrieval": {"retrieval": {"pool": "uniform"}}}, "same": {}},
        }
    }
    loaded = configuration.load(values)
    variant = "ablations/pool/uniform"
    assert loaded.runs == [*loaded.experiments, variant, "ablations/pool/same"]
    assert loaded.base(variant) == loaded.base("keydoor") == "keydoor"
    assert loaded.experiment(variant) == loaded.experiments["keydoor"]
    plain, key, uniform = (loaded.stages(run) for run in ("darkroom", "keydoor", variant))
    assert (plain.evaluate.episodes, key.evaluate.episodes, uniform.evaluate.episodes) == (40, 7, 7)
    assert (plain.pretrain.model.width, key.pretrain.model.width) == (64, 32)
    assert key.pretrain.model.layers == plain.pretrain.model.layers
    assert uniform.train_retrieval.retrieval == key.train_retrieval.retrieval.model_copy(update={"pool": "uniform"})
    assert loaded.stages("ablations/pool/same") == key
    assert loaded.select("ablations/pool/same", "pretrain", "embed") == loaded.select("keydoor", "pretrain", "embed")
    assert loaded.select(variant, "train_retrieval") != loaded.select("keydoor", "train_retrieval")
    for run in ("ablations/pool/none", "ablations/pool", "nowhere"):
        with pytest.raises(RadtError, match="unknown experiment"):
            loaded.select(run, "pretrain")


def written(folder, *texts):
    """The settings of the files that are always read and of files with some texts."""
    files = [folder / f"{number}.yaml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text, encoding="utf-8")
    return configuration.read([CONFIG / "config.yaml", CONFIG / "ablations.yaml", *files])


UNFIT = "{model: {window: 50}, embed: {query_stride: 25, chunk_length: 25}, evaluate: {memory: {query_stride: 25}}}"
"""Fits every experiment with this horizon, and no variant that sets another `embed.query_stride`."""


def test_what_was_not_asked_for_stops_nothing(tmp_path):
    loaded = written(tmp_path, UNFIT)
    targets.check(loaded, ["results/darkroom/figure.pdf", "all", "results/ablations/chunks/one/evaluate/radt/seed42.csv"])
    for target in (
        "ablations",
        "results/ablations/retrieval_steps.pdf",
        "./results/ablations/retrieval_steps/every_10/figure.pdf",
    ):
        with pytest.raises(RadtError, match=r"ablations/retrieval_steps/every_10"):
            targets.check(loaded, [target])
    with pytest.raises(RadtError, match="every_10"):
        Runs(loaded).select("ablations/retrieval_steps/every_10", ["embed"])
    other = written(
        tmp_path,
        json.dumps({"experiments": {"short": {**SHORT, "horizon": 10}}}),
    )
    targets.check(other, ["results/darkroom/figure.pdf"])
    with pytest.raises(RadtError, match="horizon of 'short'"):
        targets.check(other, ["all"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ablations: {chunks: {variants: {one: {embed: {chunks: 3}}}}}", ["ablations/chunks/one", "embed.chunks"]),
        ("ablations: {chunks: {variants: {one: {pretrain: {model: {width: wide}}}}}}", ["ablations/chunks/one", "'wide'"]),
        ("experiments: {keydoor: {evaluate: {methods: {mine: {model: none}}}}}", ["keydoor", "methods.mine"]),
    ],
)
def test_unknown_keys_and_wrong_types_are_refused_wherever_they_are(tmp_path, text, words):
    with pytest.raises(RadtError) as error:
        written(tmp_path, text)
    assert all(word in str(error.value) for word in words)


def test_values_that_do_not_fit_stop_only_the_run_that_has_them(tmp_path):
    loaded = written(
        tmp_path, "{pretrain: {model: {heads: 2}}, ablations: {chunks: {variants: {odd: {pretrain: {model: {heads: 3}}}}}}}"
    )
    targets.check(loaded, ["all"])
    assert "random" in Runs(loaded).methods("random")
    with pytest.raises(RadtError, match=r"ablations/chunks/odd: .*heads is 3"):
        targets.check(loaded, ["results/ablations/chunks.pdf"])


def test_null_removes_an_entry_and_is_a_value_elsewhere(tmp_path):
    loaded = written(tmp_path, "{}", "ablations: {}")
    assert "chunks" in loaded.ablations and loaded.trajectories.download.checksums is None
    assert written(tmp_path, "ablations: null").ablations == {}
    loaded = written(
        tmp_path,
        "ablations: {chunks: ~, source: {variants: {ppo: ~}}, a: {experiment: keydoor, methods: [ad], variants: {a: {}, b: ~}}}",
        "{methods: [ad, random], evaluate: {methods: {random: null}}}",
        "experiments: {keydoor: {evaluate: {methods: {dpt: null}}}}",
    )
    assert "chunks" not in loaded.ablations and "ppo" not in loaded.ablations["source"].variants
    assert list(loaded.ablations["a"].variants) == ["a"] and "random" not in loaded.evaluate.methods
    assert "dpt" in loaded.stages("darkroom").evaluate.methods and "dpt" not in loaded.stages("keydoor").evaluate.methods
    with pytest.raises(RadtError, match="'random'"):
        targets.check(loaded, ["results/darkroom/figure.pdf"])
    with pytest.raises(RadtError, match="unknown method 'dpt'"):
        targets.check(loaded, ["results/keydoor/evaluate/dpt/seed42.csv"])
    variants = "experiments: {keydoor: {embed: {query_stride: null}, train_retrieval: {retrieval: {scope: window}}}}"
    assert written(tmp_path, variants).stages("keydoor").embed.query_stride is None
    with pytest.raises(RadtError, match="'embed' has the value None"):
        written(tmp_path, "embed: null")


TRAININGS = ("pretrain", "train_retrieval", "train_ad", "train_dpt")


def test_a_shared_key_changes_all_networks_and_that_of_a_section_one(tmp_path):
    def of(text, *keys):
        sections = json.loads(written(tmp_path, *text).select("darkroom", *TRAININGS))
        return [sections[name][keys[0]][keys[1]] for name in TRAININGS]

    assert of(["model: {width: 128}"], "model", "width") == [128] * 4
    assert of(["pretrain: {model: {width: 128}}"], "model", "width") == [128, 64, 64, 64]
    assert of(["{model: {width: 128}, train_ad: {model: {width: 32}}}"], "model", "width") == [128, 128, 32, 128]
    assert of(["train_ad: {model: {width: 32}}", "model: {width: 128}"], "model", "width") == [128] * 4
    assert of(["optimization: {updates: 150}"], "optimization", "updates") == [150] * 4  # although three have their own
    assert of(["experiments: {darkroom: {model: {width: 96}}}", "model: {width: 32}"], "model", "width") == [96] * 4


def test_shared_keys_of_a_variant_and_like_work_as_if_they_were_written_out(tmp_path):
    loaded = written(
        tmp_path,
        "experiments: {mine: {like: keydoor, horizon: 60, evaluate: {methods: {dpt: null}}}, other: {like: keydoor}}",
        "ablations: {a: {experiment: mine, methods: [ad], variants: {one: {model: {width: 32}}}}}",
        "ablations: {a: {variants: {two: {like: one, embed: {chunk_length: 5}}}}}",
    )
    assert loaded.experiments["mine"] == loaded.experiments["keydoor"].model_copy(update={"horizon": 60})
    assert loaded.stages("other") == loaded.stages("keydoor") and "dpt" not in loaded.stages("mine").evaluate.methods
    one, two = (loaded.stages(f"ablations/a/{name}") for name in ("one", "two"))
    assert {getattr(two, name).model.width for name in TRAININGS} == {32} and (
        one.embed.chunk_length,
        two.embed.chunk_length,
    ) == (50, 5)
    with pytest.raises(RadtError, match=r"^two\.like is 'three', allowed is one that is like no other: \['one'\]$"):
        written(tmp_path, "ablations: {a: {experiment: mine, methods: [ad], variants: {one: {}, two: {like: three}}}}")


def test_the_settings_of_a_run_are_printed_as_its_stages_get_them(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.yaml").write_text("{model: {width: 128}, train_ad: {model: {width: 32}}}", encoding="utf-8")
    monkeypatch.chdir(CONFIG.parent)
    main(["config", "keydoor", "--configfile", str(tmp_path / "mine.yaml")])
    shown = yaml.safe_load(capsys.readouterr().out)
    assert {name: shown[name]["model"]["width"] for name in TRAININGS} == {**dict.fromkeys(TRAININGS, 128), "train_ad": 32}
    assert shown["experiment"] == configuration.load(merged()).experiments["keydoor"].model_dump(mode="json")
    with pytest.raises(RadtError, match="unknown experiment 'keydor'"):
        main(["config", "keydor"])


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.name)
def test_no_section_of_a_file_refers_to_another_by_an_anchor(path):
    events = yaml.parse(path.read_text(encoding="utf-8"))
    assert not [event.start_mark.line + 1 for event in events if getattr(event, "anchor", None)]


def test_a_removed_experiment_takes_what_it_overrides_along(tmp_path):
    loaded = written(tmp_path, "experiments: {keydoor: null, darkroom: null}")
    assert "keydoor" not in loaded.overrides and "keydoor_20x20" in loaded.overrides
    targets.check(loaded, ["all"])  # ablations of Dark-Room are not asked for
    with pytest.raises(RadtError, match=r"ablations\.chunks\.experiment is 'darkroom'"):
        targets.check(loaded, ["results/ablations/chunks.pdf"])
    with pytest.raises(RadtError, match="unknown experiment 'darkroom'"):
        targets.check(loaded, ["results/darkroom/figure.pdf"])
    with pytest.raises(RadtError, match=r"'experiments\.keydor\.suite' is missing"):
        written(tmp_path, "experiments: {keydor: {embed: {chunk_length: 5}}}")


def test_settings_of_the_command_line_are_those_of_a_file(tmp_path):
    files = [CONFIG / "config.yaml", CONFIG / "ablations.yaml"]
    told = configuration.read(
        files, ["seeds=[42, 7]", "train_ad={episode_gap: 3, optimization: {batch_size: 16}}", "ablations={chunks: null}"]
    )
    assert told == written(
        tmp_path, "{seeds: [42, 7], train_ad: {episode_gap: 3, optimization: {batch_size: 16}}, ablations: {chunks: null}}"
    )
    assert (told.seeds, told.train_ad.episode_gap, told.train_ad.optimization.updates) == ([42, 7], 3, 2800)
    for argument, words in {
        "seeds=[042]": "--config seeds, line 1: 042",
        "train_ad={episode_gap: 3, episode_gap: 2}": "'episode_gap'",
        "seeds": "write KEY=VALUE",
        "train_ad.episode_gap=3": "unknown configuration key 'train_ad.episode_gap'",
        "seeds=": "'seeds' has the value None",
    }.items():
        with pytest.raises(RadtError, match=re.escape(words)):
            configuration.read(files, [argument])


def started(folder, monkeypatch, *line, files=(), arguments=None, replace=False):
    """What workflow/settings.smk makes of a start of Snakemake in a folder: its names, or the sentence that it ends with."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["snakemake", *line])
    given = SimpleNamespace(configfiles=files, config_args=arguments, replace_workflow_config=replace)
    names = {"sys": sys, "workflow": SimpleNamespace(config_settings=given, basedir=str(CONFIG.parent))}
    text = (CONFIG.parent / "workflow/settings.smk").read_text(encoding="utf-8")
    try:
        exec(compile(text, "settings.smk", "exec"), names)
    except SystemExit as end:
        return str(end)
    return names["SETTINGS"]


def test_the_workflow_ends_with_a_sentence_where_its_settings_are_not_those_of_this_folder(tmp_path, monkeypatch):
    assert started(tmp_path, monkeypatch).endswith(f"is not in {tmp_path}: run Snakemake with --directory {CONFIG.parent}")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_bytes((CONFIG / "config.yaml").read_bytes() + b"# caf\xe9\n")
    assert re.fullmatch(r"error: config/config\.yaml, line \d+: this is not UTF-8 text: .*", started(tmp_path, monkeypatch))


def test_the_workflow_reads_the_files_and_arguments_that_snakemake_was_given(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("train_ad: {episode_gap: 3}\nseeds: [42]", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("train_ad: {start_probability: 0.5}", encoding="utf-8")
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    settings = started(CONFIG.parent, monkeypatch, "--report", "results/r.html", files=files, arguments=["seeds=[42, 7]"])
    assert (settings.train_ad.episode_gap, settings.train_ad.start_probability, settings.seeds) == (3, 0.5, [42, 7])
    assert "is missing" in started(CONFIG.parent, monkeypatch, files=files, replace=True)
    assert "unknown experiment 'r'" in started(CONFIG.parent, monkeypatch, "--", "results/r/figure.pdf")


def test_home_and_variables_in_paths_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DATA", "/disk")
    text = "{trajectories: {import_folder: ~/rooms, download: {checksums: $DATA/sums}}, embed_language: {model: $NOT_SET/bert}}"
    loaded = written(tmp_path, text)
    assert (loaded.trajectories.import_folder, loaded.trajectories.download.checksums) == ("/home/me/rooms", "/disk/sums")
    assert loaded.embed_language.model == "$NOT_SET/bert"
    kept = written(tmp_path, "trajectories: {import_folder: ./rooms/}")
    assert kept.trajectories.import_folder == "./rooms/"


@pytest.mark.parametrize(
    ("world", "horizon", "held_out", "refused"),
    [
        ("darkroom", 1, 1, True),
        ("darkroom", 19, 1, False),
        ("keydoor", 1, 5, True),
        ("keydoor", 20, 9, False),
        ("mazerunner", 2, 2, True),
    ],
)
def test_a_horizon_in_which_no_task_of_a_split_pays_is_refused(world, horizon, held_out, refused):
    size = 15 if world == "mazerunner" else 10
    room = {
        "world": world,
        "width": size,
        "height": size,
        "horizon": horizon,
        "num_tasks": 30,
        "num_held_out": held_out,
        "num_validation": 0,
    }
    small = {
        "embed": {"chunk_length": 1, "query_stride": 1},
        "train_retrieval": {"model": {"window": 2}},
        "evaluate": {"memory": {"query_stride": 1}},
    }
    values = {**merged(), "experiments": {"short": {**room, **small}}, "ablations": {}}
    loaded, best = configuration.load(values), optimum(GridExperiment(**room))
    assert refused == (not best[:-held_out].any() or not best[-held_out:].any())
    if refused:
        with pytest.raises(RadtError, match=f"horizon of 'short' is {horizon}"):
            targets.check(loaded, ["all"])
    else:
        targets.check(loaded, ["all"])


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            "-n --report results/r.html --configfile results/mine/x.yaml -- results/darkroom/figure.pdf",
            ["results/darkroom/figure.pdf"],
        ),
        ("results/a/figure.pdf -c 1 --report results/r.html", ["results/a/figure.pdf"]),
        ("-n --until results/b/figure.pdf", ["all", "results/b/figure.pdf"]),
        ("-R train_ad", ["all", "train_ad"]),
        ("--cores 1", ["all"]),
        ("--target-jobs train_ad:experiment=darkroom,seed=42 --cores 1", ["results/darkroom/figure.pdf"]),
        ("--target-jobs ablation:ablation=chunks", ["results/ablations/chunks.pdf"]),
        ("--cores", []),
    ],
)
def test_targets_are_those_that_snakemake_reads(line, found, capsys):
    assert targets.given(line.split()) == found


def test_span_and_stride():
    model = configuration.load(merged()).pretrain.model.model_copy(update={"window": 100})
    loaded = configuration.load(merged())
    small, large = loaded.experiments["darkroom"], loaded.experiments["darkroom_20x20"]
    assert (model.span(small), model.span(large), model.stride(large)) == (100, 100, 50)
    interleaved = model.model_copy(update={"tokens": "interleaved", "window": 500})
    assert (interleaved.span(large), interleaved.stride(large)) == (400, 0)


def at(key, value):
    """`value` below the keys of a dotted name."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_key_is_refused_with_its_new_name(old, tmp_path):
    """In a section, in an experiment, in a variant and in `--config`, whatever its value."""
    section, _, key = old.rpartition(".")
    sentence = rf"configuration key '[\w.]*{key}' is now {RENAMED[old]}: rename it$"
    if section == "experiment":
        changes = [at(f"experiments.darkroom.{key}", 3), {"experiments": {"mine": {"world": "darkroom", key: 9}}}]
    else:
        variant = {"a": {"experiment": "darkroom", "methods": ["ad"], "variants": {"b": at(old, None)}}}
        changes = [at(old, "x"), at(f"experiments.keydoor.{old}", 3), {"ablations": variant}]
    for values in changes:
        with pytest.raises(RadtError, match=sentence):
            written(tmp_path, json.dumps(values))
    name = next(iter(changes[0]))
    with pytest.raises(RadtError, match=sentence):
        configuration.read(configuration.defaults(), [f"{name}={json.dumps(changes[0][name])}"])


@pytest.mark.parametrize("old", RENAMED)
def test_the_new_name_of_an_old_key_is_a_key(old):
    section, _, key = old.rpartition(".")
    values = json.loads(configuration.load(merged()).select("darkroom", *Stages.model_fields))
    for part in section.split("."):
        values = values[part]
    assert RENAMED[old] in values and key not in values


def test_records_of_older_versions_have_the_present_keys():
    for old, new in RENAMED.items():
        section, _, key = old.rpartition(".")
        assert with_new_names(at(old, 3)) == at(f"{section}.{new}", 3)
        assert with_new_names({key: 3, "other": at(old, 3)}) == {key: 3, "other": at(old, 3)}
