"""On what a number was made: the machine, and the commit of the source."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


def threads() -> int:
    """Threads of every stage and measurement: `OMP_NUM_THREADS`, which the rule sets, else 1."""
    return int(os.environ.get("OMP_NUM_THREADS") or 1)


@cache
def machine() -> str:
    """Kind of machine: processor, its wide instructions, cores, and threads in use."""
    text = CPU_INFO.read_text() if CPU_INFO.exists() else ""
    fields = dict(re.findall(r"^(model name|cpu family|model|flags)\s*: (.*)$", text, re.MULTILINE))
    flags = fields.get("flags", "").split()
    wide = [label for label, flag in {"AVX512": "avx512f", "BF16": "avx512_bf16", "AMX": "amx_bf16"}.items() if flag in flags]
    processor = fields.get("model name", os.uname().machine)
    if "model" in fields:
        processor += f" {fields['cpu family']}-{fields['model']}"
    return ", ".join([" ".join([processor, *wide]), f"{os.cpu_count()} cores", f"{threads()} thread" + "s" * (threads() > 1)])


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
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"
