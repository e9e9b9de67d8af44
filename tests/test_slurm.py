"""Jobs through a real Slurm on this machine end in the bytes of a local run, whatever happens to them on the way."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from project import FIGURE, change, content, edit, environment, plain, programs, run
from slurm import THERE, Slurm

pytestmark = pytest.mark.skipif(not THERE, reason="needs root, slurm-wlm and munge of Debian, and no other Slurm")

TRAINING = "results/darkroom/train/ad/seed42/model.safetensors"
SUBMIT = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm"]
SUBMIT += ["--seconds-between-status-checks", "2", "--slurm-init-seconds-before-status-checks", "2"]  # a small, quick queue


@pytest.fixture
def submit(copy):
    """Start Snakemake that submits jobs of a project: the process, and the file that has what it says."""
    started, log = [], copy / "submitted.log"

    def start(*options):
        with log.open("w", encoding="utf-8") as told:
            environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
            started.append(subprocess.Popen([*SUBMIT, *options], cwd=copy, env=environment, stdout=told, stderr=told))
        return started[-1], log

    yield start
    for process in started:
        process.kill()


def megabytes(text):
    """MB of a size as Slurm prints it."""
    return float(text[:-1]) * {"M": 1, "G": 1024}[text[-1]]


@pytest.fixture(scope="module")
def queue(tmp_path_factory):
    with Slurm(tmp_path_factory.mktemp("slurm") / "run") as queue:
        yield queue


def test_figure_made_by_slurm_is_the_local_one(queue, copy):
    """Evaluations are grouped, so that this takes two jobs."""
    edit(copy / "workflow/package.smk", "str(Path(sys.executable).parent), ", "")  # jobs take the first python: they start warm
    other = Path(shutil.copytree(copy, copy.parent / "other"))
    for folder in (copy, other):
        change(folder, "evaluate.target_mean", 3.0)
        change(folder, "methods", ["ad"])
    status, text = run([sys.executable, "-m", "snakemake", "--cores", "2", "--", FIGURE], other)
    assert status == 0, text
    before = len(queue.jobs("COMPLETED"))
    status, text = plain([*SUBMIT, "--", FIGURE], copy, PATH=environment(copy, programs())["PATH"])
    assert status == 0, text
    assert len(queue.jobs("COMPLETED")) - before == 2  # evaluations of two seeds, and the figure
    assert content(copy) == content(other)


@pytest.mark.guarantee
@pytest.mark.skipif(os.environ.get("RADT_TORTURE") != "1", reason="minutes of waiting for Slurm: make torture")
def test_g2_training_that_is_cancelled_preempted_and_drained_ends_in_the_same_bytes(queue, copy, submit):
    """Its checkpoints are only those that signals ask for."""
    other = Path(shutil.copytree(copy, copy.parent / "other"))
    for folder in (copy, other):
        change(folder, "train_ad.optimization.updates", 3000)
        change(folder, "train_ad.optimization.checkpoint_every", 100000)
    status, text = run([sys.executable, "-m", "snakemake", "--cores", "1", "--", TRAINING], other)
    assert status == 0, text
    log = copy / "logs/darkroom/train_ad/seed42.log"
    log.unlink()

    def begun():
        """The update that the running job went on from, 0 for none, when it has trained a little; else None."""
        found = re.match(
            r"(?:going on from update (\d+) .*\n)?update \d+/", log.read_text(encoding="utf-8") if log.exists() else ""
        )
        return int(found[1] or 0) if found and queue.jobs("RUNNING") else None

    def interrupted():
        """The update of the checkpoint of a job that was warned."""
        queue.wait(lambda: "waits for Slurm" in log.read_text(encoding="utf-8"), 60)
        return int(re.search(r"interrupted at update (\d+) of 3000", log.read_text(encoding="utf-8"))[1])

    submitted, told = submit("--", TRAINING)
    queue.wait(lambda: begun() == 0, 90)
    queue.run("scancel", *queue.jobs("RUNNING"))
    first = interrupted()
    queue.wait(lambda: begun() == first, 120)
    (job,) = queue.jobs("RUNNING")
    queue.run("sbatch", "--partition=urgent", "--ntasks=2", "--output=/dev/null", "--wrap=sleep 1")
    second = interrupted()
    queue.wait(lambda: job in queue.jobs("PENDING"), 60)
    queue.wait(lambda: begun() == second, 200)  # a job that was queued again waits two minutes at most
    queue.run("scontrol", "update", f"nodename={queue.host}", "state=drain", "reason=test")
    assert queue.jobs("RUNNING") == [job]
    assert submitted.wait(timeout=300) == 0, told.read_text(encoding="utf-8")
    queue.run("scontrol", "update", f"nodename={queue.host}", "state=resume")
    assert content(copy) == content(other)


def test_training_that_needs_more_memory_than_it_asked_for_gets_it_at_its_second_try(queue, copy, submit):
    """What is known of the job is too little: a benchmark file of a time when its batches were smaller."""
    for key, value in {"batch_size": 4000, "updates": 8, "warmup": 0, "precision": "float32"}.items():
        change(copy, f"train_ad.optimization.{key}", value)
    shutil.rmtree(copy / "results/darkroom/train/ad/seed42")

    def asked():
        """The memory of every job that Slurm remembers, by its number, also of one that was killed at once."""
        jobs = queue.run("scontrol", "show", "jobs", "--oneliner")
        return {int(number): memory for number, memory in re.findall(r"JobId=(\d+).* MinMemoryNode=(\S+)", jobs)}

    before = asked()
    submitted, told = submit("--", TRAINING)
    queue.wait(lambda: submitted.poll() is not None, 300)
    assert submitted.returncode == 0, told.read_text(encoding="utf-8")
    first, second = (megabytes(memory) for number, memory in sorted(asked().items()) if number not in before)
    assert second == pytest.approx(2 * first, abs=2)
    assert (copy / TRAINING).exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            ["--set-resources", "train_ad:slurm_partition=nowhere"],
            "error: unknown partition 'nowhere'; this Slurm has main, urgent",
        ),
        (["--set-resources", "train_ad:slurm_account=nobody"], "error: this Slurm has no accounts: leave slurm_account out"),
        (["--set-resources", "train_ad:gpu=1"], "error: .*(gres|node configuration is not available)"),
        (["--slurm-status-command", "sacct"], "error: this Slurm has no accounting.*use --workflow-profile profiles/slurm"),
    ],
)
def test_what_this_slurm_does_not_have_is_named(queue, copy, submit, options, reason):
    change(copy, "train_ad.optimization.updates", 30)
    before = content(copy)
    submitted, told = submit("--retries", "0", *options, "--", TRAINING)
    assert submitted.wait(timeout=120) == 1, told.read_text(encoding="utf-8")
    assert re.search(reason, told.read_text(encoding="utf-8")), told.read_text(encoding="utf-8")
    assert content(copy) == before
