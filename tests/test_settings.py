"""The configuration files are valid, documented and in step with schema and manual; what is wrong is refused in a sentence."""

from pathlib import Path

import pytest
import yaml

from radt import settings
from radt.errors import RadtError
from radt.manual import MANUAL, manual

CONFIG = Path(__file__).parents[1] / "config"


def merged(*names):
    """config.yaml with other files merged over it, as Snakemake does."""
    values = yaml.safe_load((CONFIG / "config.yaml").read_text())
    for name in names:
        merge(values, yaml.safe_load((CONFIG / name).read_text()))
    return values


def merge(values, changes):
    for key, value in changes.items():
        if isinstance(value, dict):
            merge(values.setdefault(key, {}), value)
        else:
            values[key] = value


def changed(path, value):
    """config.yaml with one value changed."""
    values = merged()
    *sections, last = path.split(".")
    inner = values
    for section in sections:
        inner = inner[section]
    inner[last] = value
    return values


@pytest.mark.parametrize("names", [(), ("paper.yaml",), ("smoke.yaml",), ("validation.yaml",)])
def test_every_configuration_is_valid(names):
    settings.load(merged(*names))


@pytest.mark.parametrize("name", ["paper.yaml", "smoke.yaml", "validation.yaml"])
def test_other_configurations_name_only_keys_that_exist(name):
    def keys(values, prefix=""):
        for key, value in values.items():
            yield from keys(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]

    new = set(keys(yaml.safe_load((CONFIG / name).read_text()))) - set(keys(merged()))
    assert {key.split(".")[0] for key in new} <= {"experiments"}


def test_paper_configuration_has_the_published_hyper_parameters():
    paper = settings.load(merged("paper.yaml"))
    for training in (paper.pretrain, paper.train_retrieval, paper.train_ad):
        assert (training.model.tokens, training.model.width, training.model.layers, training.model.heads) == (
            "interleaved",
            512,
            4,
            8,
        )
        assert (training.optimization.updates, training.optimization.batch_size) == (100_000, 128)
        assert (training.optimization.learning_rate, training.optimization.warmup) == (1e-4, 4000)
    assert paper.evaluate.methods["radt"].target_return == "fixed"
    assert paper.seeds == [42, 43, 44]


def test_validation_goals_are_training_goals_of_the_main_experiment():
    loaded = settings.load(merged("validation.yaml"))
    main, other = loaded.experiments["darkroom"], loaded.experiments["validation"]
    assert other.model_copy(update={"validation": main.validation}) == main
    assert "held_out" not in loaded.evaluate.splits


def test_schema_file_is_in_step():
    assert (CONFIG / "schema.json").read_text() == settings.schema(), "run: python -m radt.settings"


def test_manual_is_in_step():
    text = (CONFIG.parent / MANUAL).read_text()
    assert text == manual(text), "run: python -m radt.manual"


def test_every_number_of_the_defaults_has_a_comment():
    lines = (CONFIG / "config.yaml").read_text().splitlines()
    bare = [line for line in lines if any(character.isdigit() for character in line.partition("#")[0]) and "#" not in line]
    assert not bare


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
        ("pretrain.optimization.updates", "many", ["pretrain.optimization.updates", "'many'", "integer"]),
        ("pretrain.optimization.warmup", 10**9, ["warmup is 1000000000", "less than updates"]),
        ("experiments.darkroom.goals", 101, ["experiments.darkroom", "goals is 101", "100 cells"]),
        ("experiments.darkroom.held_out", 100, ["experiments.darkroom", "held_out 100", "train on"]),
        ("trajectories.source", "import", ["trajectories", "import_folder", "name the folder"]),
        ("trajectories.download.revision", "main", ["revision", "'main'", "40 hex digits"]),
        ("evaluate.target_low", [5.0, 1.0], ["target_low", "[5.0, 1.0]", "low <= high"]),
        ("embed.chunk", 101, ["embed.chunk is 101", "horizon of 'darkroom' (100)"]),
        ("evaluate.splits", [], ["evaluate.splits", "at least 1"]),
        ("evaluate.splits", ["train", "train"], ["evaluate.splits", "each of them once"]),
        ("evaluate.methods.ad.target_return", "from_memory", ["evaluate.methods.ad", "'from_memory'", "none"]),
        ("evaluate.methods.radt.target_return", "none", ["evaluate.methods.radt", "fixed or from_memory"]),
        ("train_retrieval.model.tokens", "interleaved", ["scope is 'segment'", "tokens 'step'"]),
        ("embed.every", 30, ["every 30", "a divisor of the horizon"]),
        ("embed.every", None, ["every None", "a divisor of the horizon"]),
        ("train_retrieval.retrieval.query_dropout", 0.2, ["query_dropout 0.2", "no query dropout"]),
        ("train_retrieval.retrieval.chunks", 51, ["chunks is 51", "(50)"]),
        ("experiments.darkroom.width", 300, ["experiments.darkroom.width", "300", "256"]),
        ("pretrain.optimization.learning_rate", float("inf"), ["pretrain.optimization.learning_rate", "finite"]),
    ],
)
def test_bad_values_are_refused_with_key_value_and_what_is_allowed(path, value, words):
    with pytest.raises(RadtError) as error:
        settings.load(changed(path, value))
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def test_a_stage_gets_only_the_sections_that_it_names():
    selected = settings.load(merged()).select("darkroom", "index")
    assert set(yaml.safe_load(selected)) == {"experiment", "index"}
