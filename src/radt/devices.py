"""Which GPU a job computes on: every job gets its own GPU, or a share of one where the workflow allows more jobs than GPUs.

A job on a GPU takes the lowest free slot by locking a file. Its device is the slot's number modulo the number of devices. There
are as many slots as jobs of the workflow may use GPUs at once (`snakemake --resources gpu=N`), else one for each device. The
system drops the lock when the process ends, however it ends. Planning needs no torch.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TextIO

from radt.errors import RadtError

SLOTS = "RADT_GPU_SLOTS"
"""Environment variable with the number of jobs that may use GPUs at once; the workflow sets it."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
TASK = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PROCID")
"""Each task of Slurm has its own devices, which may be numbered from 0 in each, so tasks share no slots."""
SECONDS = 0.2

_held: list[TextIO] = []
"""Locks that last until this process ends."""


def present() -> bool:
    """Whether a GPU seems to be visible. For planning; torch decides in the job."""
    visible = os.environ.get(VISIBLE)
    return any(Path("/dev").glob("nvidia[0-9]*")) if visible is None else visible.strip() not in ("", "-1", "NoDevFiles")


def choose(device: str) -> str:
    """`cpu` or `cuda` for a `device` of the settings; raises `RadtError` where it is `cuda` and torch finds no GPU."""
    import torch

    if device == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if device == "auto":
        return "cpu"
    raise RadtError("a device is set to 'cuda', but torch finds no GPU: set every `device` to cpu, or run where there is one")


@cache
def take(count: int, devices: int) -> list[int]:
    """Numbers of `count` different devices out of the `devices` of this machine; their slots are taken until this process ends.

    A second call returns the same numbers. Waits until enough are free. Raises `RadtError` when there can never be enough.
    """
    slots = int(os.environ.get(SLOTS) or devices)
    if count > devices:
        raise RadtError(f"{count} processes need {count} GPUs, but torch finds {devices}: set `ranks` to {devices} or less")
    if count > slots:
        raise RadtError(f"a job needs {count} GPUs, but the workflow may use {slots}: run snakemake with --resources gpu={count}")
    folder = _folder()
    # jobs look for slots one after the other, so that two jobs cannot wait for each other
    queue = (folder / "queue").open("w", encoding="utf-8")
    fcntl.flock(queue, fcntl.LOCK_EX)
    found: list[int] = []
    waiting = False
    while True:
        for slot in range(slots):
            if len(found) < count and slot % devices not in found and _lock(folder / _name(slot, devices)):
                found.append(slot % devices)
        if len(found) == count:
            queue.close()
            return found
        if not waiting:
            print(f"waiting for a free GPU: {slots} may be used at once", flush=True)
        waiting = True
        time.sleep(SECONDS)


def _folder() -> Path:
    """Folder of this user's locks on this machine, or in this task of Slurm."""
    task = "-".join(os.environ.get(name, "") for name in TASK).strip("-")
    folder = Path(tempfile.gettempdir()) / f"radt-{os.getuid()}" / (task or "machine")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _name(slot: int, devices: int) -> str:
    """File name of a slot: the device, by a name that is the same in all jobs, and the number of the slot on that device."""
    visible = os.environ.get(VISIBLE, "").split(",")
    number = slot % devices
    name = visible[number].strip().replace("/", "-") if len(visible) >= devices and visible[0] else number
    return f"gpu-{name}-{slot // devices}"


def _lock(path: Path) -> bool:
    """Lock a file until this process ends; false when another process has it."""
    file = path.open("w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _held.append(file)
    return True
