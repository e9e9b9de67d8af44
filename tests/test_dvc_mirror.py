"""dvc.yaml is the workflow seen by results directory: the same stages, edges, files and sections of the configuration."""

import json
import re
import shlex

import pytest
import yaml

from project import ROOT, snakemake
from radt.settings.layers import SHARING

EXPERIMENTS = ("darkroom", "keydoor_20x20")
"""Those whose stages are derived from the Snakefile; all have the same, written once in dvc.yaml."""


ENCODED = "procgen_maze"
"""One whose images are encoded."""


def figure(experiment):
    return f"results/{experiment}/figure.pdf"


def jobs(text):
    """By experiment: rule, inputs, outputs and settings of every job that Snakemake prints for its figure."""
    found = {name: [] for name in (*EXPERIMENTS, ENCODED)}
    for block in re.split(r"^(?=(?:local)?rule )", text, flags=re.MULTILINE)[1:]:
        lines = dict(re.findall(r"^(?:    )?([A-Za-z ]+): (.+)$", block, flags=re.MULTILINE))
        outputs = {path.removesuffix(" (update)") for path in lines.get("output", "results/").split(", ")}
        experiment = next(iter(outputs)).split("/")[1]
        if experiment not in found:
            continue
        words = shlex.split(lines["Shell command"])
        found[experiment].append(
            {
                "rule": re.match(r"(?:local)?rule (\w+):", block)[1],
                "inputs": set(lines["input"].split(", ")) if "input" in lines else set(),
                "outputs": outputs,
                "settings": json.loads(words[words.index("--settings") + 1]),
            }
        )
    return found


def inside(path):
    """A path below the directory of its experiment, or the whole path of a file that is not there."""
    return path.split("/", 2)[2] if path.startswith("results/") else path


def stage_of(path):
    """The DVC stage of an output: its directory, or `figure` for the files beside the directories."""
    return inside(path).split("/")[0] if "/" in inside(path) else "figure"


def mirror(found, experiment):
    """For each stage its rules, outs, deps, configuration sections and files."""
    stages = {}
    for job in found[experiment]:
        name = stage_of(next(iter(job["outputs"])))
        stage = stages.setdefault(name, {key: set() for key in ("rules", "outs", "deps", "params", "files")})
        stage["rules"].add(job["rule"])
        stage["outs"] |= {tracked(path) for path in job["outputs"]}
        stage["deps"] |= {tracked(path) for path in job["inputs"]}
        stage["params"] |= {f"experiments.{experiment}" if key == "experiment" else key for key in job["settings"]}
        stage["params"] |= {key for section in job["settings"].values() for key in SHARING if isinstance(section.get(key), dict)}
        stage["files"].add((frozenset(job["inputs"]), frozenset(job["outputs"])))
    return stages


def tracked(path):
    """What DVC tracks of a file: its directory below the experiment, or itself."""
    return "/".join(path.split("/")[:3]) if path.startswith("results/") else path


@pytest.fixture(scope="module")
def found(everything):
    return jobs(everything)


@pytest.fixture(scope="module")
def groups():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


@pytest.fixture(scope="module", params=EXPERIMENTS)
def experiment(request):
    return request.param


@pytest.fixture
def expected(found, experiment):
    return mirror(found, experiment)


@pytest.fixture
def dvc(groups, experiment):
    """The stages of dvc.yaml of one experiment."""
    return yaml.safe_load(
        yaml.safe_dump({name: group["do"] for name, group in groups.items() if name != "features"}).replace("${item}", experiment)
    )


def names(entries):
    return {name for entry in entries for name in ([entry] if isinstance(entry, str) else entry)}


def test_every_experiment_has_every_stage(groups):
    known = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))["experiments"]
    experiments = list(known)
    encoded = groups["features"]
    assert all(group["foreach"] == experiments for name, group in groups.items() if name != "features")
    assert encoded["foreach"] == [name for name, values in known.items() if values.get("numbers_per_frame")]


def test_stages_edges_and_outs_are_those_of_the_snakefile(expected, dvc, experiment):
    assert set(dvc) == set(expected)
    for name, stage in dvc.items():
        assert names(stage.get("deps", [])) == expected[name]["deps"], name
        copies = {f"results/recorded/{experiment}"} if name == "figure" else set()
        assert names(stage["outs"]) == expected[name]["outs"] | copies, name


def test_the_encoder_of_images_is_a_stage_where_there_is_one(found, groups):
    expected, group = mirror(found, ENCODED)["features"], groups["features"]
    assert ENCODED in group["foreach"] and "deps" not in group["do"] and not expected["deps"]
    stage = json.loads(json.dumps(group["do"]).replace("${item}", ENCODED))
    assert names(stage["outs"]) == expected["outs"]
    assert set(stage["params"][0]["config/config.yaml"]) == expected["params"]
    assert stage["cmd"][0] == f"snakemake --until features -- {figure(ENCODED)}" and expected["rules"] == {"features"}


def test_commands_run_the_rules_of_their_directory_and_keep_what_is_there(expected, dvc, experiment):
    for name, stage in dvc.items():
        command, *more = [stage["cmd"]] if isinstance(stage["cmd"], str) else stage["cmd"]
        rules = re.fullmatch(rf"snakemake --until ([a-z_ ]+) -- {re.escape(figure(experiment))}", command)
        assert rules, command
        last = (
            "summarize " + experiment if name == "figure" else f"verify results/{experiment}/{name}"
        )  # of a figure Snakemake hashes
        assert more == [f"python -m radt {last}"]
        assert set(rules[1].split()) == expected[name]["rules"]
        assert all(next(iter(out.values()))["persist"] for out in stage["outs"]), name


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """The jobs with other seeds, with another seed's encoder, and with fewer methods."""
    folder, after, targets = tmp_path_factory.mktemp("changed"), {}, [figure(name) for name in EXPERIMENTS]
    for key, value in {"seeds": [42], "encoder_seed": 43, "methods": ["radt"]}.items():
        (folder / f"{key}.yaml").write_text(yaml.safe_dump({key: value}), encoding="utf-8")
        options = ["--dry-run", "--forceall", "--printshellcmds", "--configfile", str(folder / f"{key}.yaml")]
        status, text = snakemake(*options, "--", *targets)
        assert status == 0, text
        after[key] = jobs(text)
    return after


def test_params_are_the_sections_that_the_rules_read_and_what_chooses_their_files(expected, dvc, experiment, changed):
    params = {name: set(stage["params"]) for name, stage in expected.items()}
    for key, after in changed.items():
        other = mirror(after, experiment)
        for name, stage in expected.items():
            if stage["files"] != other[name]["files"]:
                params[name].add(key)
    assert {name: set(stage["params"][0]["config/config.yaml"]) for name, stage in dvc.items()} == params
