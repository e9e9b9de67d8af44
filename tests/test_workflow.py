"""The workflow plans every target, refuses bad settings, reruns what an edit reaches, and tells why a job failed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SMOKE = ["--configfile", "config/smoke.yaml"]
FIGURE = "results/smoke/figure.pdf"
SHORT = {"width": 5, "height": 5, "horizon": 30, "goals": 25, "held_out": 5, "validation": 0}


def snakemake(*options, folder=ROOT):
    """Run Snakemake on the code and the workflow of `folder`: exit status and everything that it printed."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    command = [sys.executable, "-m", "snakemake", *options]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def planned(*options, folder=ROOT):
    """How many jobs of each rule a dry run plans."""
    status, text = snakemake("--dry-run", *options, folder=folder)
    assert status == 0, text
    table = text.rpartition("Job stats:")[2].partition("total")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}


def accept(folder):
    """Make everything that is there count as up to date."""
    status, text = snakemake("--touch", "--forceall", *SMOKE, "--", FIGURE, folder=folder)
    assert status == 0, text
    assert planned(*SMOKE, "--", FIGURE, folder=folder) == {}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project in which every file of the smoke experiment is there and up to date, but holds only its name."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("Snakefile", "environment.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("config", "profiles", "src", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    _, text = snakemake("--dry-run", *SMOKE, "--", FIGURE, folder=folder)
    for names in re.findall(r"^ +output: (.+)$", text, flags=re.MULTILINE):
        for path in (folder / name.removesuffix(" (update)") for name in names.split(", ")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.name)
    accept(folder)
    return folder


def edit(path, old, new):
    """Replace a text in a file, once."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("configuration", "target", "evaluations"),
    [
        ([], "results/darkroom/figure.pdf", 12),
        ([], "all", 12),
        (["--configfile", "config/paper.yaml"], "results/darkroom/figure.pdf", 9),
        (["--configfile", "config/validation.yaml"], "results/validation/figure.pdf", 12),
        (SMOKE, FIGURE, 8),
    ],
    ids=["figure", "all", "paper", "validation", "smoke"],
)
def test_every_target_is_planned(configuration, target, evaluations):
    plan = planned("--forceall", *configuration, "--", target)
    assert plan["trajectories"] == plan["embed"] == plan["index"] == plan["figure"] == 1
    assert plan["evaluate_retrieval"] + plan["evaluate_plain"] == evaluations
    assert plan["pretrain"] == plan["train_retrieval"] == plan["train_ad"]


@pytest.mark.parametrize(
    ("name", "evaluations"), [("paper", 9), ("validation", 24), ("smoke", 16)], ids=["paper", "validation", "smoke"]
)
def test_all_is_planned_whatever_the_splits_of_an_experiment(name, evaluations):
    plan = planned("--forceall", "--configfile", f"config/{name}.yaml")
    assert plan["figure"] == (1 if name == "paper" else 2)
    assert plan["evaluate_retrieval"] + plan["evaluate_plain"] == evaluations


def test_evaluation_reads_weights_only_and_the_figure_tables_only():
    _, text = snakemake("--dry-run", "--forceall", *SMOKE, "--", FIGURE)
    inputs = re.findall(r"rule (\w+):\n +input: (.+)$", text, flags=re.MULTILINE)
    for rule, paths in inputs:
        if rule.startswith("evaluate"):
            assert all(path.endswith("/model.safetensors") for path in paths.split(", "))
        if rule == "figure":
            assert all(path.endswith(".csv") for path in paths.split(", "))
        if rule in ("pretrain", "train_ad"):
            assert paths == "results/smoke/trajectories/manifest.json"
    assert {"figure", "evaluate_plain", "evaluate_retrieval"} <= {rule for rule, _ in inputs}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"train_ad": {"optimisation": {}}}, ["unknown", "train_ad.optimisation"]),
        ({"seeds": ["first"]}, ["seeds.0", "'first'", "integer"]),
        ({"encoder_seed": 1}, ["encoder_seed", "1", "[42, 43, 44]"]),
        ({"experiments": {"short": SHORT}}, ["every", "25", "'short'", "30"]),
    ],
    ids=["unknown key", "seed", "combination", "one of two experiments"],
)
def test_bad_settings_are_refused_before_the_graph_is_built(values, words, tmp_path):
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(values))
    status, text = snakemake("--dry-run", "--configfile", str(tmp_path / "bad.yaml"))
    assert status != 0
    assert "Building DAG" not in text
    assert "Traceback" not in text
    last = text.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert all(word in last for word in words)


def test_old_python_is_refused_in_a_sentence(monkeypatch):
    head = (ROOT / "Snakefile").read_text().partition("configfile:")[0]
    compile(head, "Snakefile", "exec", dont_inherit=True)
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer, this is 3\.10"):
        exec(head, {})


def test_rules_are_short_and_complete():
    blocks = [
        block
        for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
        for block in re.split(r"^(?=rule )", path.read_text(), flags=re.MULTILINE)[1:]
    ]
    assert len(blocks) == 9
    for block in blocks:
        assert len(block.strip().splitlines()) <= 32, block
        assert re.match(r'rule \w+:\n    """.+"""\n', block), block
        for directive in ("output", "log", "benchmark", "threads", "resources", "params", "shell"):
            assert re.search(rf"^    {directive}:", block, flags=re.MULTILINE), (directive, block)
        assert block.count("python -m radt.stages.") == 1
        assert "{params.settings:q}" in block
        assert "code=CODE[" in block


def test_a_comment_reruns_nothing(copy):
    edit(copy / "src/radt/training/loop.py", '"""', '"""Changed. ')
    with (copy / "src/radt/settings.py").open("a") as file:
        file.write("# a comment\n")
    assert planned(*SMOKE, "--", FIGURE, folder=copy) == {}


def test_a_real_edit_reruns_what_uses_it_and_what_follows(copy):
    path = copy / "src/radt/evaluation/rollout.py"
    text = path.read_text()
    try:
        path.write_text(text + "\nassert True\n")
        assert planned(*SMOKE, "--", FIGURE, folder=copy) == {"evaluate_plain": 4, "evaluate_retrieval": 4, "figure": 1}
    finally:
        path.write_text(text)


@pytest.mark.parametrize(
    ("key", "value", "rerun"),
    [
        ("figure", {"bootstrap_samples": 100}, {"figure": 1}),
        (
            "evaluate",
            {"methods": {"ad": {"model": "ad", "target_return": "none", "actions": "greedy"}}},
            {"evaluate_plain": 2, "figure": 1},
        ),
        ("index", {"duplicate_similarity": 0.9}, {"index": 1, "train_retrieval": 2, "evaluate_retrieval": 4, "figure": 1}),
    ],
    ids=["figure", "one method", "index"],
)
def test_a_changed_setting_reruns_what_reads_it_and_what_follows(copy, tmp_path, key, value, rerun):
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump({key: value}))
    assert planned(*SMOKE, str(tmp_path / "changed.yaml"), "--", FIGURE, folder=copy) == rerun


def test_the_report_is_one_page_with_captions(copy):
    status, text = snakemake("--report", "report.html", *SMOKE, "--", FIGURE, folder=copy)
    assert status == 0, text
    page = (copy / "report.html").read_text()
    assert "read off its" in page  # the captions name their source
    assert not re.search(r"<(script|link|img)[^>]* (src|href)=.?https?:", page)


def test_every_output_outlives_a_failure(copy):
    _, text = snakemake("--dry-run", "--forceall", *SMOKE, "--", FIGURE, folder=copy)
    outputs = re.findall(r"^ +output: (.+)$", text, flags=re.MULTILINE)
    assert outputs
    assert all(name.endswith(" (update)") for names in outputs for name in names.split(", "))


@pytest.mark.parametrize(
    ("key", "value", "log", "rerun"),
    [
        ("figure", {"bootstrap_samples": 50}, "figure/figure.log", {"figure": 1}),
        (
            "index",
            {"duplicate_similarity": 0.8},
            "index/dt.log",
            {"index": 1, "train_retrieval": 2, "evaluate_retrieval": 4, "figure": 1},
        ),
    ],
    ids=["figure", "index"],
)
def test_a_failing_job_tells_why_removes_nothing_and_is_tried_again(copy, tmp_path, key, value, log, rerun):
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump({key: value}))
    options = (*SMOKE, str(tmp_path / "changed.yaml"), "--", FIGURE)
    before = {path: path.read_bytes() for path in (copy / "results").rglob("*") if path.is_file()}
    assert copy / FIGURE in before
    try:
        status, text = snakemake("--cores", "1", *options, folder=copy)
        assert status != 0
        last = (copy / "logs/smoke" / log).read_text().strip().splitlines()[-1]
        assert last.startswith("error: ")
        assert last in text
        assert {path: path.read_bytes() for path in (copy / "results").rglob("*") if path.is_file()} == before
        assert planned(*options, folder=copy) == rerun
    finally:
        accept(copy)
