"""The machine and the commit of the source, for records of results."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from radt.errors import RadtError

CPU_INFO = Path("/proc/cpuinfo")
TORCHRUN = "TORCHELASTIC_RUN_ID"
"""Environment variable that torchrun sets for its processes, besides RANK and WORLD_SIZE."""
GIT = 60
"""Seconds that Git may take."""


def threads() -> int:
    """Threads of every stage and measurement: `OMP_NUM_THREADS`, which the rule sets, else 1.

    Of a list for nested levels, `4,2`, the first counts. Raises `RadtError` for anything else.
    """
    text = os.environ.get("OMP_NUM_THREADS", "")
    first = text.partition(",")[0].strip() or "1"
    if not re.fullmatch("0*[1-9][0-9]{0,4}", first):
        raise RadtError(f"OMP_NUM_THREADS is {text!r}: set it to the number of threads of a job, or unset it")
    return int(first)


def rank() -> int:
    """Number of this process among the processes of one training; 0 in a single process."""
    return int(os.environ["RANK"]) if TORCHRUN in os.environ else 0


def world_size() -> int:
    """Number of processes of one training that torchrun has started; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if TORCHRUN in os.environ else 1


def processor() -> tuple[str, list[str]]:
    """Name of the processor, and the SIMD instructions that torch uses; empty where the system does not tell them."""
    text = CPU_INFO.read_text(encoding="utf-8", errors="replace") if CPU_INFO.exists() else ""
    fields = dict(re.findall(r"^(model name|cpu family|model|flags)\s*: (.*)$", text, re.MULTILINE))
    flags = fields.get("flags", "").split()
    wide = [label for label, flag in {"AVX512": "avx512f", "BF16": "avx512_bf16", "AMX": "amx_bf16"}.items() if flag in flags]
    name = fields.get("model name", "")
    return (f"{name} {fields['cpu family']}-{fields['model']}" if name and "model" in fields else name), wide


def slow_bfloat16(precision: str, device: str) -> str | None:
    """A warning when trainings use bfloat16 and an x86 processor computes it in software; else None."""
    name, wide = processor()
    if precision != "bfloat16" or device != "cpu" or not name or os.uname().machine != "x86_64" or {"BF16", "AMX"} & {*wide}:
        return None
    return (
        "note: this processor computes bfloat16 in software, which is many times slower than float32. Put"
        " `optimization: {precision: float32}` into a file of your own, and run snakemake with --configfile and its name."
    )


@cache
def machine() -> str:
    """Kind of machine: processor, SIMD instructions, cores, threads in use, and the GPU if this process has used one."""
    name, wide = processor()
    found = [
        " ".join([name or os.uname().machine, *wide]),
        f"{os.cpu_count()} cores",
        f"{threads()} thread" + "s" * (threads() > 1),
    ]
    torch = sys.modules.get("torch")  # without torch, this process has used no GPU
    if torch is not None and torch.cuda.is_initialized():
        found.append(torch.cuda.get_device_name())
    return ", ".join(found)


def version() -> str:
    """Version of radt; "unknown" when it is on the path but not installed."""
    try:
        return metadata.version("radt")
    except metadata.PackageNotFoundError:
        return "unknown"


@cache
def commit(digits: int = 7) -> str:
    """Commit of the source, with "-dirty" when tracked files differ from it; "unknown" without Git or a clone.

    If Git fails in a clone, a sentence on stderr says why.
    """
    source = Path(__file__).resolve().parent
    command = ["git", "describe", "--always", "--dirty", f"--abbrev={digits}", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=source, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=GIT
        )
        why = done.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        done, why = None, str(error)
    if done and done.returncode == 0 and done.stdout.strip():
        return done.stdout.strip()
    clone = next((folder for folder in source.parents if (folder / ".git").exists()), None)
    if clone is not None:
        print(f"warning: records say commit 'unknown', since Git does not tell it: {_remedy(clone, why)}", file=sys.stderr)
    return "unknown"


def _remedy(clone: Path, why: str) -> str:
    """The remedy when Git does not tell the commit of a clone."""
    if "dubious ownership" in why:
        return f"{clone} belongs to somebody else, run `git config --global --add safe.directory {clone}`"
    return " ".join(why.split()) or "install Git"
