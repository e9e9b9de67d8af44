"""G10 and G7 of a workflow that has run: what reruns and why, and what a job that fails leaves behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import project
from project import FIGURE, change, edit, planned, snakemake
from radt import artifacts

EVALUATE = {"evaluate_retrieval": 6, "evaluate_plain": 6, "evaluate_reference": 4}
AFTER_INDEX = {"train_retrieval": 4, "evaluate_retrieval": 6, "figure": 1}
AD = "results/darkroom/train/ad/seed42/model.safetensors"
PARAMS = "Params have changed since last execution: "
OF_A_TRAINING = ("config.json", "metrics.csv", "model.safetensors", "provenance.json")
PLAIN = """
rule partial:
    output: "partial.csv"
    shell: "echo a,b,c > {output}; exit 1"

rule updated:
    output: update("updated.csv")
    shell: "echo new > {output}; exit 1"

rule newer:
    input: "in.txt"
    output: "out.txt"
    shell: "cp {input} {output}"
"""
"""Rules without a record, as a user may add them."""


def reasons(text):
    """The reason of each job in what a dry run printed, by rule."""
    return dict(re.findall(r"^(?:local)?rule (\w+):\n(?: .*\n)*?    reason: (.*)$", text, flags=re.MULTILINE))


@pytest.mark.guarantee
def test_g10_a_comment_and_the_clock_rerun_nothing(copy):
    edit(copy / "src/radt/training/loop.py", '"""', '"""Changed. ')
    with (copy / "src/radt/settings/base.py").open("a", encoding="utf-8") as file:
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
    change(copy, "index.max_similarity", 0.9)
    assert planned("--", FIGURE, folder=copy) == {"index": 2, **AFTER_INDEX}


@pytest.mark.guarantee
def test_g10_what_a_part_of_the_workflow_made_anew_reruns_the_rest_later(copy):
    """Each call of Snakemake sees only its own target: the change must not be forgotten between two of them."""
    edit(copy / "config/paper_curves.csv", "darkroom", "# darkroom")
    assert planned("--", FIGURE, folder=copy) == {"figure": 1}
    change(copy, "train_ad.episode_gap", 3)
    target = "results/darkroom/train/ad/seed42/model.safetensors"
    assert planned("--", FIGURE, folder=copy) == {"train_ad": 2, "evaluate_plain": 2, "figure": 1}
    status, text = snakemake("--cores", "1", "--", target, folder=copy)
    assert status == 0, text
    assert planned("--", target, folder=copy) == {}
    assert planned("--", FIGURE, folder=copy) == {"train_ad": 1, "evaluate_plain": 2, "figure": 1}


@pytest.mark.guarantee
def test_g10_an_edited_command_reruns_the_rules_that_have_it(copy):
    edit(copy / "workflow/rules/evaluate.smk", "--seed {seed}", "--seed 7")
    assert planned("--", FIGURE, folder=copy) == {**EVALUATE, "figure": 1}


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
    later = yaml.safe_load((copy / "config/config.yaml").read_text(encoding="utf-8"))["train_ad"]["episode_gap"]
    change(copy, "train_ad.episode_gap", later + 1)
    assert planned("--", FIGURE, folder=copy) == {"train_ad": 2, "evaluate_plain": 2, "figure": 1}
    change(copy, "train_ad.episode_gap", later)
    assert planned("--", FIGURE, folder=copy) == {}


def test_a_result_without_a_record_is_made_again_and_the_reason_told(copy):
    (copy / "results/darkroom/index/dt/provenance.json").unlink()
    status, text = snakemake("--dry-run", "--", FIGURE, folder=copy)
    assert status == 0
    assert (
        reasons(text)["index"] == "Params have changed since last execution: results/darkroom/index/dt/provenance.json is missing"
    )
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
        ("index.max_similarity", 0.8, "index/dt.log", {"index": 2, **AFTER_INDEX}),
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
    change(copy, "train_ad.episode_gap", 3)
    snakemake_itself = Path(sys.executable).with_name("snakemake")  # not a warm one, whose process a signal would not stop
    command = [snakemake_itself, "--cores", "1", "--", "results/darkroom/train/ad/seed42/model.safetensors"]
    first = subprocess.Popen(
        command, cwd=copy, env=project.environment(copy), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not any(path.stat().st_size for path in (copy / ".snakemake/locks").glob("*.output.lock")):
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # or it may end, and take its lock away, while the second one looks
    try:
        status, text = snakemake("--cores", "1", "--", FIGURE, folder=copy)
    finally:
        first.send_signal(signal.SIGCONT)
    assert status != 0 and "Error: Directory cannot be locked" in text and "Traceback" not in text
    assert first.wait(timeout=300) == 0


def test_without_git_the_commit_is_unknown(copy, monkeypatch):
    change(copy, "figure.bootstrap_samples", 50)
    bare = copy / "bin"
    bare.mkdir()
    for name in ("sh", "bash", "dirname", "which"):
        (bare / name).symlink_to(shutil.which(name))
    status, text = project.run(["snakemake", "--cores", "1", "--", FIGURE], copy, PATH=str(bare))
    assert status == 0, text
    assert artifacts.read_json(copy / "results/darkroom/provenance.json")["commit"] == "unknown"


@pytest.mark.guarantee
def test_g10_the_reason_of_a_job_names_what_changed_whatever_the_options(copy):
    change(copy, "train_ad.episode_gap", 3)
    edit(copy / "config/paper_curves.csv", "darkroom", "# darkroom")
    with (copy / "src/radt/stages/index.py").open("a", encoding="utf-8") as file:
        file.write("\nassert True\n")
    options = ("--workflow-profile", "none", "--cores", "1", "--rerun-triggers", "mtime", "--ignore-incomplete")
    status, text = snakemake("--dry-run", *options, "--", FIGURE, folder=copy)
    assert status == 0, text
    told = reasons(text)
    assert told["train_ad"] == f"{PARAMS}train_ad.episode_gap: 2 -> 3"
    assert told["index"] == "Code has changed since last execution"
    assert told["figure"].startswith("Input files updated by another job: ")


@pytest.mark.guarantee
def test_g10_an_input_and_a_line_of_a_rule_that_changed_are_named(copy):
    edit(copy / "config/paper_curves.csv", "darkroom", "# darkroom")
    edit(copy / "workflow/rules/train.smk", "train --method dpt --seed {seed}", "train --method dpt --seed 7")
    status, text = snakemake("--dry-run", "--", FIGURE, "results/darkroom/train/dpt/seed42/model.safetensors", folder=copy)
    assert status == 0, text
    told = reasons(text)["train_dpt"]
    assert told.startswith(f"{PARAMS}command line: --method dpt --seed 4") and " -> --method dpt --seed 7 " in told
    edit(copy / "workflow/rules/train.smk", "train --method dpt --seed 7", "train --method dpt --seed {seed}")
    status, text = snakemake("--dry-run", "--", FIGURE, folder=copy)
    assert reasons(text) == {"figure": "Updated input files: config/paper_curves.csv"}


def test_summaries_and_lists_of_changes_tell_the_same(copy):
    change(copy, "train_ad.episode_gap", 3)
    status, text = snakemake("--detailed-summary", "--", FIGURE, folder=copy)
    assert status == 0, text
    rows = {line.split("\t")[0]: line.split("\t")[-2:] for line in text.splitlines() if line.startswith("results/")}
    assert rows[AD] == ["params changed", "update pending"]
    assert rows["results/darkroom/train/dpt/seed42/model.safetensors"] == ["ok", "no update"]
    assert rows[FIGURE] == ["ok", "update pending"]
    status, text = snakemake("--list-params-changes", "--", FIGURE, folder=copy)
    listed = {line for line in text.splitlines() if line.startswith("results/")}
    assert listed == {f"results/darkroom/train/ad/seed{seed}/{name}" for seed in (42, 43) for name in OF_A_TRAINING}


@pytest.mark.parametrize("options", [("--touch", "--forceall", "--", FIGURE), ("--cleanup-metadata", AD)], ids=["touch", "notes"])
def test_options_that_would_only_seem_to_make_results_current_are_refused(copy, options):
    change(copy, "train_ad.episode_gap", 3)
    before = project.content(copy)
    status, text = snakemake("--cores", "1", *options, folder=copy)
    assert status != 0 and "Traceback" not in text
    assert text.strip().splitlines()[-1].startswith("error: ") and text.strip().endswith("run `python -m radt accept`")
    assert project.content(copy) == before


def test_deleting_all_output_deletes_what_only_records_name(copy):
    mine = copy / "results/darkroom/trajectories/notes.txt"
    mine.write_text("mine", encoding="utf-8")
    status, text = snakemake("--delete-all-output", "--dry-run", "--", FIGURE, folder=copy)
    assert status == 0 and "Would delete results/darkroom/trajectories/tasks_" in text, text
    status, text = snakemake("--delete-all-output", "--", FIGURE, folder=copy)
    assert status == 0, text
    assert [path for path in (copy / "results").rglob("*") if path.is_file()] == [mine]


@pytest.mark.guarantee
def test_g10_damaged_files_that_were_asked_for_are_made_again(copy):
    weights = copy / AD
    kept = {path: path.read_bytes() for path in (copy / FIGURE, weights)}
    (copy / FIGURE).write_bytes(b"")
    weights.write_bytes(kept[weights][:-1] + b"x")
    assert planned("--", FIGURE, folder=copy) == {"figure": 1}
    assert f"{FIGURE} is damaged" in snakemake("--dry-run", "--", "all", folder=copy)[1]
    assert planned("--until", "train_ad", "--", FIGURE, folder=copy) == {"train_ad": 1}
    status, text = snakemake("--cores", "2", "--", FIGURE, AD, folder=copy)
    assert status == 0 and f"{AD} is damaged" in text, text
    assert f"{FIGURE}:\n  return of the first and the last episode, held-out tasks: RA-DT " in text
    assert {path: path.read_bytes() for path in kept} == kept


def test_rules_without_a_record_are_left_to_snakemake(copy):
    with (copy / "Snakefile").open("a", encoding="utf-8") as file:
        file.write(PLAIN)
    (copy / "updated.csv").write_text("old", encoding="utf-8")
    (copy / "in.txt").write_text("1", encoding="utf-8")
    status, text = snakemake("--cores", "1", "--keep-going", "--", "partial.csv", "updated.csv", "out.txt", folder=copy)
    assert status != 0 and (copy / "out.txt").read_text(encoding="utf-8") == "1", text
    assert not (copy / "partial.csv").exists() and (copy / "updated.csv").read_text(encoding="utf-8") == "old"
    assert planned("--", "partial.csv", "out.txt", folder=copy) == {"partial": 1}
    (copy / "in.txt").write_text("2", encoding="utf-8")
    assert planned("--", "out.txt", folder=copy) == {"newer": 1}


@pytest.mark.guarantee
def test_g10_the_code_beside_the_snakefile_runs_not_that_of_another_checkout(copy, tmp_path):
    other = tmp_path / "other/src"
    (other / "radt").mkdir(parents=True)
    (other / "radt/__init__.py").write_text("raise SystemExit('the other checkout runs')", encoding="utf-8")
    change(copy, "figure.bootstrap_samples", 50)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--", FIGURE]
    status, text = project.run(command, copy, PYTHONPATH=str(other))
    assert status == 0, text
    assert planned("--", FIGURE, folder=copy) == {}
