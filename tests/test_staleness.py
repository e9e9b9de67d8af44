"""G10 and G7 of a workflow that has run: what reruns, and what a job that fails leaves behind."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

import project
from project import FIGURE, change, edit, planned, snakemake
from radt import artifacts

EVALUATE = {"evaluate_retrieval": 6, "evaluate_plain": 6, "evaluate_reference": 4}
AFTER_INDEX = {"train_retrieval": 4, "evaluate_retrieval": 6, "figure": 1}


@pytest.mark.guarantee
def test_g10_a_comment_and_the_clock_rerun_nothing(copy):
    edit(copy / "src/radt/training/loop.py", '"""', '"""Changed. ')
    with (copy / "src/radt/settings.py").open("a", encoding="utf-8") as file:
        file.write("# a comment\n")
    later = 2_000_000_000
    for number, path in enumerate(sorted((copy / "results").rglob("*"))):
        os.utime(path, (later + number % 7, later + number % 7))
    os.utime(copy / "config/paper_curves.csv", (later * 2, later * 2))
    assert planned("--", FIGURE, folder=copy) == {}


@pytest.mark.guarantee
def test_g10_an_edited_function_reruns_its_users_and_what_follows(copy):
    with (copy / "src/radt/evaluation/rollout.py").open("a", encoding="utf-8") as file:
        file.write("\nassert True\n")
    assert planned("--", FIGURE, folder=copy) == {**EVALUATE, "figure": 1}


@pytest.mark.guarantee
def test_g10_a_changed_setting_reruns_what_depends_on_it_without_notes_of_snakemake(copy):
    shutil.rmtree(copy / ".snakemake")
    assert planned("--", FIGURE, folder=copy) == {}
    change(copy, "index.duplicate_similarity", 0.9)
    assert planned("--", FIGURE, folder=copy) == {"index": 2, **AFTER_INDEX}


@pytest.mark.guarantee
def test_g10_what_a_part_of_the_workflow_made_anew_reruns_the_rest_later(copy):
    """Each call of Snakemake sees only its own target: the change must not be forgotten between two of them."""
    edit(copy / "config/paper_curves.csv", "darkroom", "# darkroom")
    assert planned("--", FIGURE, folder=copy) == {"figure": 1}
    change(copy, "train_ad.later", 3)
    target = "results/darkroom/train/ad/seed42/model.safetensors"
    assert planned("--", FIGURE, folder=copy) == {"train_ad": 2, "evaluate_plain": 2, "figure": 1}
    status, text = snakemake("--cores", "1", "--", target, folder=copy)
    assert status == 0, text
    assert planned("--", target, folder=copy) == {}
    assert planned("--", FIGURE, folder=copy) == {"train_ad": 1, "evaluate_plain": 2, "figure": 1}


@pytest.mark.guarantee
def test_g10_an_edited_shell_line_reruns_its_rule(copy):
    edit(copy / "workflow/rules/evaluate.smk", "--seed {wildcards.seed}", "--seed 7")
    assert planned("--", FIGURE, folder=copy) == {"evaluate_retrieval": 6, "figure": 1}


def test_an_edit_that_cannot_change_results_can_be_accepted(copy):
    made = artifacts.read_json(copy / "results/darkroom/provenance.json")["code"]
    with (copy / "src/radt/figures/draw.py").open("a", encoding="utf-8") as file:
        file.write("\nassert True\n")
    assert planned("--", FIGURE, folder=copy) == {"figure": 1}
    status, text = project.run(["python", "-m", "radt", "accept"], copy)
    assert status == 0 and "1 records accept the present code" in text
    assert planned("--", FIGURE, folder=copy) == {}
    record = artifacts.read_json(copy / "results/darkroom/provenance.json")
    assert record["code"] == made and len(record["accepted"]) == 1


def test_a_setting_that_is_changed_back_reruns_nothing(copy):
    later = yaml.safe_load((copy / "config/config.yaml").read_text(encoding="utf-8"))["train_ad"]["later"]
    change(copy, "train_ad.later", later + 1)
    assert planned("--", FIGURE, folder=copy) == {"train_ad": 2, "evaluate_plain": 2, "figure": 1}
    change(copy, "train_ad.later", later)
    assert planned("--", FIGURE, folder=copy) == {}


def test_a_result_without_a_record_is_made_again_and_the_reason_told(copy):
    (copy / "results/darkroom/index/dt/provenance.json").unlink()
    status, text = snakemake("--dry-run", "--", FIGURE, folder=copy)
    assert status == 0
    assert "out of date: results/darkroom/index/dt/provenance.json: results/darkroom/index/dt/provenance.json is missing" in text
    assert planned("--", FIGURE, folder=copy) == {"index": 1, "train_retrieval": 2, "evaluate_retrieval": 4, "figure": 1}


def test_results_of_a_newer_format_are_not_replaced(copy):
    path = copy / "results/darkroom/index/dt/provenance.json"
    artifacts.write_checked_json(path, {**artifacts.read_checked_json(path), "format": 3, "radt": "7.0.0", "more": 1})
    status, text = snakemake("--cores", "1", "--", FIGURE, folder=copy)
    assert status != 0 and "has format 3, radt 0.1.0 reads up to 2: use radt 7.0.0 or a newer one" in text
    assert "Traceback" not in text


@pytest.mark.guarantee
@pytest.mark.parametrize(
    ("key", "value", "log", "rerun"),
    [
        ("figure.bootstrap_samples", 50, "figure/figure.log", {"figure": 1}),
        ("index.duplicate_similarity", 0.8, "index/dt.log", {"index": 2, **AFTER_INDEX}),
    ],
    ids=["figure", "index"],
)
def test_g7_a_failing_job_tells_why_removes_nothing_and_is_tried_again(copy, key, value, log, rerun):
    damaged = {"figure": "evaluate/ad/seed42.csv", "index": "embed/dt/embeddings.safetensors"}[key.partition(".")[0]]
    with (copy / "results/darkroom" / damaged).open("ab") as file:
        file.write(b"7")
    change(copy, key, value)
    before = project.content(copy)
    target = {"figure": FIGURE, "index": "results/darkroom/index/dt/index.safetensors"}[log.partition("/")[0]]
    status, text = snakemake("--cores", "1", "--", target, folder=copy)
    assert status != 0
    last = (copy / "logs/darkroom" / log).read_text(encoding="utf-8").strip().splitlines()[-1]
    assert last.startswith("error: ") and f"{damaged} is damaged: delete" in last
    assert last in text
    assert project.content(copy) == before
    assert planned("--", FIGURE, folder=copy) == rerun


def test_a_second_run_in_the_same_folder_says_so_and_leaves(copy):
    change(copy, "train_ad.later", 3)
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--", "results/darkroom/train/ad/seed42/model.safetensors"]
    first = subprocess.Popen(command, cwd=copy, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list((copy / ".snakemake/locks").glob("*.lock")):
        assert first.poll() is None
    status, text = snakemake("--cores", "1", "--", FIGURE, folder=copy)
    assert status != 0 and "Error: Directory cannot be locked" in text and "Traceback" not in text
    assert first.wait(timeout=300) == 0


def test_without_git_the_commit_is_unknown(copy, monkeypatch):
    change(copy, "figure.bootstrap_samples", 50)
    bare = copy / "bin"
    bare.mkdir()
    for name in ("sh", "bash", "dirname", "which"):
        (bare / name).symlink_to(shutil.which(name))
    (bare / "python").symlink_to(sys.executable)
    status, text = project.plain([sys.executable, "-m", "snakemake", "--cores", "1", "--", FIGURE], copy, PATH=str(bare))
    assert status == 0, text
    assert artifacts.read_json(copy / "results/darkroom/provenance.json")["commit"] == "unknown"
