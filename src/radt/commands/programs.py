"""Other programs of this environment that commands use: Snakemake and DVC."""

from __future__ import annotations

import subprocess
import sys

from radt.errors import RadtError


def run(program: str, *arguments: str) -> str:
    """What a program of this environment prints; raises `RadtError` with its last line when it fails."""
    command = [sys.executable, "-m", program, *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        lines = done.stdout.strip().splitlines() or ["no message"]
        raise RadtError(f"`{program} {arguments[0]}` failed: {lines[-1]}")
    return done.stdout
