"""A training that a signal interrupts writes a checkpoint and goes on to the same bytes, alone and as several ranks; other stages
end at once."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import project
import warm
from project import environment, programs, timeless
from radt import artifacts
from stages import Chain, configuration

SETTINGS = {"updates": 200, "checkpoint_every": 1000, "log_every": 10, "precision": "float32"}
"""Checkpoints are only those that signals ask for."""


class Job:
    """A pre-training as its rule runs it, in a process of its own, whose output is in a file; started warm unless `cold`."""

    def __init__(self, root, ranks=1, cold=False):
        self.ranks, self.config = ranks, configuration()
        self.python = sys.executable if cold else f"{programs()}/python"
        self.pid_file = root / "pid"
        self.config["pretrain"]["optimization"] |= {**SETTINGS, "ranks": ranks}
        self.chain, self.log = Chain(root, self.config), root / "job.log"
        self.output = root / "job"

    def command(self):
        inputs = str(self.chain.root / "trajectories/manifest.json")
        prefix = [self.python, "-m", "radt.training.torchrun", str(self.ranks)] if self.ranks > 1 else []
        stage = [
            self.python,
            "-m",
            "radt.stages.train",
            "--method",
            "dt",
            *self.chain.common("pretrain"),
            *self.chain.training("job"),
        ]
        return [*prefix, *stage, "--inputs", inputs, "--record", str(self.output / "provenance.json")]

    def warned(self, number, whom=None, **variables):
        """Send a signal to the job, or to one of its ranks, when it has trained a little; the process."""
        with self.log.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                env=environment(project.ROOT, **{warm.PID_FILE: str(self.pid_file)}, **variables),
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a parent in the background may ignore Ctrl-C
            )
        while not re.search(r"^update ", self.log.read_text(encoding="utf-8"), re.MULTILINE):
            assert process.poll() is None, self.log.read_text(encoding="utf-8")
            time.sleep(0.02)
        os.kill(process.pid if whom is None else self.processes()[whom], number)
        return process

    def processes(self):
        """Those that train: the ranks, or a process alone."""
        own = int(self.pid_file.read_text(encoding="utf-8"))
        return children(own) if self.ranks > 1 else [own]

    def interrupted(self, number, whom=None):
        """The same; exit status and lines of the output."""
        return self.warned(number, whom).wait(timeout=60), self.log.read_text(encoding="utf-8").splitlines()


def children(pid):
    """Processes that a process has started, in order."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def begun_and_ended(lines):
    """The update that a job went on from, 0 for none, and the one that its last line says that the next goes on from."""
    begun = re.match(r"going on from update (\d+) of .*checkpoint.safetensors$", lines[0])
    ended = re.fullmatch(r"interrupted at update (\d+) of 200; run again: goes on from update \1", lines[-1])
    assert ended, lines
    return int(begun[1]) if begun else 0, int(ended[1])


def test_a_training_goes_on_from_the_update_that_a_signal_interrupted_to_the_same_bytes(copied, capsys):
    job, last = Job(copied.root), 0
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        status, lines = job.interrupted(number)
        begun, ended = begun_and_ended(lines)
        assert status == 130 and begun == last < ended < 200, lines
        assert not any(job.output.iterdir())
        last = ended
    job.chain.pretrain(output="job")
    assert f"going on from update {last} " in capsys.readouterr().out
    job.chain.pretrain(output="undisturbed")
    for name in ("model.safetensors", "metrics.csv"):
        assert timeless(copied.root / "job" / name) == timeless(copied.root / "undisturbed" / name)


def test_ranks_end_at_one_update_and_another_number_of_them_goes_on(copied, capsys):
    """A signal to one rank, a rank that is killed, a signal to torchrun; then one process ends what three and two began."""
    status, lines = Job(copied.root, 2).interrupted(signal.SIGUSR1, whom=1)
    begun, first = begun_and_ended(lines)
    assert status == 130 and begun == 0 < first
    job = Job(copied.root, 3)
    status, lines = job.interrupted(signal.SIGKILL, whom=2)
    assert status == 1 and lines[-1] == "error: rank 2 was killed by SIGKILL"
    assert lines[0].startswith(f"going on from update {first} ")
    status, lines = job.interrupted(signal.SIGTERM)
    begun, second = begun_and_ended(lines)
    assert status == 130 and begun == first < second
    assert len([line for line in lines if line.startswith("update ")]) == second // 10 - first // 10
    assert not any(job.output.iterdir())
    alone = Job(copied.root)
    alone.chain.pretrain(output="job")
    assert f"going on from update {second} " in capsys.readouterr().out
    alone.chain.pretrain(output="undisturbed")
    tensors, expected = (artifacts.read_tensors(copied.root / name / "model.safetensors") for name in ("job", "undisturbed"))
    for name, array in expected.items():
        np.testing.assert_allclose(tensors[name], array, atol=1e-4, err_msg=name)


def test_ranks_that_lose_torchrun_write_a_checkpoint_and_end(copied):
    job = Job(copied.root, 2, cold=True)
    status, _ = job.interrupted(signal.SIGKILL)
    assert status == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while not job.log.read_text(encoding="utf-8").splitlines()[-1].startswith("interrupted at update"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (copied.root / "state/job/checkpoint.safetensors").exists()


@pytest.mark.parametrize(("number", "ranks"), [(signal.SIGTERM, 1), (signal.SIGUSR1, 1), (signal.SIGTERM, 2)])
def test_in_slurm_a_warned_training_waits_with_its_checkpoint_to_be_ended(copied, number, ranks):
    """A job that ends by itself would not be queued again."""
    job = Job(copied.root, ranks)
    process = job.warned(number, RADT_STAYS_WHEN_WARNED="1")
    deadline = time.monotonic() + 60
    while not job.log.read_text(encoding="utf-8").endswith("waits for Slurm to end this job\n"):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    assert (copied.root / "state/job/checkpoint.safetensors").exists()
    process.send_signal(number)  # some schedulers warn twice
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    for pid in [process.pid, *job.processes()]:
        os.kill(pid, signal.SIGKILL)
    assert process.wait(timeout=10) == -signal.SIGKILL
    *told, last = job.log.read_text(encoding="utf-8").splitlines()
    assert last == "waits for Slurm to end this job"
    _, ended = begun_and_ended(told)
    _, lines = job.interrupted(signal.SIGTERM)
    assert begun_and_ended(lines)[0] == ended


def test_the_workflow_outlives_the_warning_of_a_scheduler_and_goes_on_with_its_ranks(tmp_path):
    """SIGUSR1 to all processes of the workflow but the ranks, which have a session of their own."""
    folder = project.copy_of_the_project(tmp_path / "project")
    for key, value in {**SETTINGS, "ranks": 2}.items():
        project.change(folder, f"pretrain.optimization.{key}", value)
    target, place = "results/darkroom/pretrain/seed42/model.safetensors", folder / "results/darkroom/pretrain/seed42"
    log = folder / "logs/darkroom/pretrain/seed42.log"
    command = [f"{programs()}/snakemake", "--cores", "2", "--", target]  # it and its job start warm
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    workflow = subprocess.Popen(command, cwd=folder, env=environment(folder), **quiet)
    while not log.exists() or not re.search(r"^update ", log.read_text(encoding="utf-8"), re.MULTILINE):
        assert workflow.poll() is None
        time.sleep(0.05)
    os.killpg(workflow.pid, signal.SIGUSR1)
    assert workflow.wait(timeout=60) == 1
    _, ended = begun_and_ended(log.read_text(encoding="utf-8").splitlines())
    assert not (place / "model.safetensors").exists()
    status, text = project.snakemake("--cores", "2", "--", target, folder=folder)
    assert status == 0, text
    assert log.read_text(encoding="utf-8").startswith(
        f"going on from update {ended} of state/darkroom/pretrain/seed42/checkpoint.safetensors\n"
    )
    record = artifacts.read_json(place / "provenance.json")
    assert record["settings"]["pretrain"]["optimization"]["ranks"] == 2
    assert {path.name for path in place.iterdir()} == {*record["outputs"], "provenance.json"}
    assert not (folder / "state/darkroom/pretrain/seed42").exists()
    assert project.planned("--", target, folder=folder) == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("slurm", [False, True], ids=["alone", "in Slurm"])
def test_other_stages_end_at_once_or_in_slurm_go_on(number, slurm):
    code = "import time; from radt.stages import run; run(lambda given: print('begun', flush=True) or time.sleep(2) or 0)"
    variables = {**os.environ, **({"RADT_STAYS_WHEN_WARNED": "1"} if slurm else {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    process = subprocess.Popen([sys.executable, "-c", code], env=variables, **pipes)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    ended = (0, "") if slurm else (130, "interrupted; run again: a training goes on from its last checkpoint\n")
    assert (process.returncode, errors) == ended
