"""dvc.yaml is the workflow seen by results directory: the same stages, edges, files and sections of the configuration."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
RESULTS = "results/darkroom/"
FIGURE = RESULTS + "figure.pdf"


def jobs(*options):
    """Rule, inputs, outputs and settings of every job that Snakemake would run for the figure."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--printshellcmds", *options, "--", FIGURE]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    found = []
    for block in re.split(r"^(?=(?:local)?rule )", done.stdout, flags=re.MULTILINE)[1:]:
        lines = dict(re.findall(r"^(?:    )?([A-Za-z ]+): (.+)$", block, flags=re.MULTILINE))
        words = shlex.split(lines["Shell command"])
        found.append(
            {
                "rule": re.match(r"(?:local)?rule (\w+):", block)[1],
                "inputs": set(lines["input"].split(", ")) if "input" in lines else set(),
                "outputs": {path.removesuffix(" (update)") for path in lines["output"].split(", ")},
                "settings": json.loads(words[words.index("--settings") + 1]),
            }
        )
    return found


def stage_of(path):
    """The DVC stage of a file: its directory, or `figure` for the files beside the directories."""
    inside = path.removeprefix(RESULTS)
    return inside.split("/")[0] if "/" in inside else "figure"


def mirror(found):
    """For each stage its rules, outs, deps, configuration sections and files."""
    stages = {}
    for job in found:
        name = stage_of(next(iter(job["outputs"])))
        stage = stages.setdefault(name, {key: set() for key in ("rules", "outs", "deps", "params", "files")})
        stage["rules"].add(job["rule"])
        stage["outs"] |= {tracked(path) for path in job["outputs"]}
        stage["deps"] |= {tracked(path) for path in job["inputs"]}
        stage["params"] |= {"experiments.darkroom" if key == "experiment" else key for key in job["settings"]}
        stage["files"].add((frozenset(job["inputs"]), frozenset(job["outputs"])))
    return stages


def tracked(path):
    """What DVC tracks of a file: its directory below the experiment, or itself."""
    inside = path.removeprefix(RESULTS)
    return RESULTS + inside.split("/")[0] if inside != path else path


@pytest.fixture(scope="module")
def expected():
    return mirror(jobs())


@pytest.fixture(scope="module")
def dvc():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def names(entries):
    return {name for entry in entries for name in ([entry] if isinstance(entry, str) else entry)}


def test_stages_edges_and_outs_are_those_of_the_snakefile(expected, dvc):
    assert set(dvc) == set(expected)
    for name, stage in dvc.items():
        assert names(stage.get("deps", [])) == expected[name]["deps"], name
        assert names(stage["outs"]) == expected[name]["outs"], name


def test_commands_run_the_rules_of_their_directory_and_keep_what_is_there(expected, dvc):
    for name, stage in dvc.items():
        rules = re.fullmatch(rf"snakemake --until ([a-z_ ]+) -- {re.escape(FIGURE)}", stage["cmd"])
        assert rules, stage["cmd"]
        assert set(rules[1].split()) == expected[name]["rules"]
        assert all(next(iter(out.values())) == {"persist": True} for out in stage["outs"]), name


def test_params_are_the_sections_that_the_rules_read_and_what_chooses_their_files(expected, dvc, tmp_path):
    params = {name: set(stage["params"]) for name, stage in expected.items()}
    for key, value in {"seeds": [42], "encoder_seed": 43, "methods": ["radt"]}.items():
        changed = tmp_path / f"{key}.yaml"
        changed.write_text(yaml.safe_dump({key: value}))
        after = mirror(jobs("--configfile", str(changed)))
        for name, stage in expected.items():
            if stage["files"] != after[name]["files"]:
                params[name].add(key)
    assert {name: set(stage["params"][0]["config/config.yaml"]) for name, stage in dvc.items()} == params
