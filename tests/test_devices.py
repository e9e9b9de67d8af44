"""Every job on a GPU gets a device of its own, or a share where the workflow allows more jobs than GPUs; devices are faked."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from radt import devices, machine
from radt.errors import RadtError
from radt.training import ranks

HOLD = (
    "import sys; from radt import devices; print(*devices.take(int(sys.argv[1]), int(sys.argv[2])), flush=True); sys.stdin.read()"
)
WAITING = "waiting for a free GPU: {} may be used at once"


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """Starts a process that takes so many of so many devices and keeps them; all of one test see the same locks."""
    for name in (devices.SLOTS, devices.VISIBLE, *devices.TASK):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(devices.tempfile, "tempdir", None)
    started = []

    def start(count, number, **variables):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-c", HOLD, str(count), str(number)]
        started.append(subprocess.Popen(command, env={**os.environ, **variables}, encoding="utf-8", **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def line(process):
    return process.stdout.readline().strip()


def test_no_two_jobs_get_one_device_and_a_killed_one_frees_its_own(hold):
    first = hold(1, 2)
    assert line(first) == "0"
    assert line(hold(1, 2)) == "1"
    third = hold(1, 2)
    assert line(third) == WAITING.format(2)
    first.send_signal(signal.SIGKILL)
    assert line(third) == "0"


def test_jobs_that_start_at_once_get_different_devices(hold):
    started = [hold(1, 4) for _ in range(4)]
    assert sorted(map(line, started)) == ["0", "1", "2", "3"]


def test_more_slots_than_devices_share_them_evenly(hold):
    started = [hold(1, 2, **{devices.SLOTS: "4"}) for _ in range(5)]
    assert sorted(map(line, started)) == ["0", "0", "1", "1", WAITING.format(4)]


def test_a_job_of_several_ranks_gets_different_devices_and_waits_for_all_of_them(hold):
    first, pair = hold(1, 2), {devices.SLOTS: "6"}
    assert line(first) == "0"
    assert line(hold(2, 2, **pair)) == "1 0"  # slots 1 and 2
    assert line(hold(2, 2, **pair)) == "1 0"  # slots 3 and 4
    third = hold(2, 2, **pair)
    assert line(third) == WAITING.format(6)  # slot 5 is of device 1
    first.send_signal(signal.SIGKILL)
    assert line(third) == "1 0"


def test_jobs_that_see_different_devices_are_told_apart_by_these(hold):
    assert line(hold(2, 2, **{devices.VISIBLE: "3,5"})) == "0 1"
    assert line(hold(1, 1, **{devices.VISIBLE: "4"})) == "0"
    assert line(hold(1, 1, **{devices.VISIBLE: "5"})) == WAITING.format(1)


def test_tasks_of_slurm_have_devices_of_their_own(hold):
    tasks = [{"SLURM_JOB_ID": "7", "SLURM_PROCID": "0"}, {"SLURM_JOB_ID": "7", "SLURM_PROCID": "1"}, {"SLURM_JOB_ID": "8"}]
    assert [line(hold(1, 1, **{devices.VISIBLE: "0"}, **task)) for task in tasks] == ["0", "0", "0"]
    assert line(hold(1, 1, **{devices.VISIBLE: "0"}, **tasks[0])) == WAITING.format(1)


@pytest.mark.parametrize(
    ("count", "number", "slots", "words"),
    [(3, 2, "8", "3 processes need 3 GPUs, but torch finds 2"), (2, 4, "1", "run snakemake with --resources gpu=2")],
)
def test_what_never_can_be_is_refused(hold, monkeypatch, count, number, slots, words):
    monkeypatch.setenv(devices.SLOTS, slots)
    with pytest.raises(RadtError, match=words):
        devices.take(count, number)


def test_a_job_computes_on_the_device_of_its_slot(hold, monkeypatch):
    used = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    assert line(hold(1, 2)) == "0"
    ranks.join("cuda")
    ranks.join("cuda")
    assert used == [1, 1]
    ranks.join("cpu")
    assert used == [1, 1]
    devices.take.cache_clear()
    while devices._held:
        devices._held.pop().close()


def test_auto_is_a_gpu_where_torch_finds_one(monkeypatch):
    for found, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=found: found)
        assert devices.choose("auto") == device
        assert devices.choose("cpu") == "cpu"
    with pytest.raises(RadtError, match="torch finds no GPU"):
        devices.choose("cuda")


def test_the_record_names_the_gpu_that_a_process_has_used(monkeypatch):
    machine.machine.cache_clear()
    without = machine.machine()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    machine.machine.cache_clear()
    assert machine.machine() == f"{without}, Some GPU"
    machine.machine.cache_clear()


@pytest.mark.parametrize(("visible", "there"), [("0", True), ("GPU-5,1", True), ("", False), ("-1", False)])
def test_planning_looks_for_a_gpu_without_torch(visible, there):
    code = "import sys, radt.pipeline.runs; from radt import devices; print(devices.present(), 'torch' in sys.modules)"
    environment = {**os.environ, devices.VISIBLE: visible}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split() == [str(there), "False"]
