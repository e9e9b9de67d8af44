"""On what a number was made: the machine, and the commit of the source."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
TORCHRUN = "TORCHELASTIC_RUN_ID"
"""Variable that torchrun sets for each process that it starts, besides RANK and WORLD_SIZE."""


def threads() -> int:
    """Threads of every stage and measurement: `OMP_NUM_THREADS`, which the rule sets, else 1."""
    return int(os.environ.get("OMP_NUM_THREADS") or 1)


def rank() -> int:
    """Number of this process among those that train one network together; 0 where it is alone."""
    return int(os.environ["RANK"]) if TORCHRUN in os.environ else 0


def world_size() -> int:
    """How many processes train one network together: those that torchrun has started, else 1."""
    return int(os.environ["WORLD_SIZE"]) if TORCHRUN in os.environ else 1


@cache
def machine() -> str:
    """Kind of machine: processor, its wide instructions, cores, threads in use, and the GPU if this process has used one."""
    text = CPU_INFO.read_text(encoding="utf-8", errors="replace") if CPU_INFO.exists() else ""
    fields = dict(re.findall(r"^(model name|cpu family|model|flags)\s*: (.*)$", text, re.MULTILINE))
    flags = fields.get("flags", "").split()
    wide = [label for label, flag in {"AVX512": "avx512f", "BF16": "avx512_bf16", "AMX": "amx_bf16"}.items() if flag in flags]
    processor = fields.get("model name", os.uname().machine)
    if "model" in fields:
        processor += f" {fields['cpu family']}-{fields['model']}"
    found = [" ".join([processor, *wide]), f"{os.cpu_count()} cores", f"{threads()} thread" + "s" * (threads() > 1)]
    torch = sys.modules.get("torch")  # a process that has not imported it has used no GPU
    if torch is not None and torch.cuda.is_initialized():
        found.append(torch.cuda.get_device_name())
    return ", ".join(found)


def version() -> str:
    """Version of radt; "unknown" where it is on the path but not installed."""
    try:
        return metadata.version("radt")
    except metadata.PackageNotFoundError:
        return "unknown"


@cache
def commit(digits: int = 7) -> str:
    """Commit of the source, with "-dirty" when files that Git follows differ from it; "unknown" without Git or a clone."""
    command = ["git", "describe", "--always", "--dirty", f"--abbrev={digits}", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, encoding="utf-8", check=False)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"
