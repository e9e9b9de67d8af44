"""Which GPU a job computes on: every job gets one of its own, or a share of one where the workflow allows more jobs than GPUs.

A job on a GPU takes a slot, the lowest that is free, by locking a file, and computes on the device of the slot's number, modulo
the number of devices. There are as many slots as the workflow lets its jobs use at once (`snakemake --resources gpu=N`), else
as many as devices. The system drops the lock of a process that ends, however it ends. Planning needs no torch.
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
"""Variable in which the workflow tells its jobs how many of them may use GPUs at once."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
TASK = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PROCID")
"""Each task of Slurm has devices of its own, which may be numbered from 0 in each: they share no slots."""
SECONDS = 0.2

_held: list[TextIO] = []
"""Locks that last until this process ends."""


def present() -> bool:
    """Whether there seems to be a GPU for us: one that may be seen, or any. For planning; torch decides in the job."""
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
    """Numbers of `count` different ones of the `devices` of this machine, in slots that stay taken until this process ends.

    Asked again, a process gets the same. Waits until there are free ones. Raises `RadtError` when there never can be.
    """
    slots = int(os.environ.get(SLOTS) or devices)
    if count > devices:
        raise RadtError(f"{count} processes need {count} GPUs, but torch finds {devices}: set `ranks` to {devices} or less")
    if count > slots:
        raise RadtError(f"a job needs {count} GPUs, but the workflow may use {slots}: run snakemake with --resources gpu={count}")
    folder = _folder()
    # one job after the other looks for slots, so that no two wait for what the other has
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
    """Where this user's locks are on this machine, or in this task of Slurm."""
    task = "-".join(os.environ.get(name, "") for name in TASK).strip("-")
    folder = Path(tempfile.gettempdir()) / f"radt-{os.getuid()}" / (task or "machine")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _name(slot: int, devices: int) -> str:
    """File of a slot: the device, by the name that all see it by, and how many slots it has before."""
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
