"""Other programs of this environment that commands use: Snakemake and DVC."""

from __future__ import annotations

import subprocess
import sys

from radt.errors import RadtError

HOUR = 3600.0
ERRORS = ("error: ", "ERROR: ")
"""Beginnings of lines that tell why a program failed."""


def run(program: str, *arguments: str, timeout: float = HOUR) -> str:
    """Output of a program of this environment.

    On failure, or after `timeout` seconds, its output is printed to stderr, and `RadtError` is raised with the line of the cause.
    """
    command, name = [sys.executable, "-m", program, *arguments], f"`{program} {arguments[0]}`"
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        _show(error.stdout)
        raise RadtError(
            f"{name} did not end within {timeout / 60:.1f} minutes: see whether it waits for a network or a disk"
        ) from None
    except OSError as error:
        raise RadtError(f"{name} cannot be started ({error.strerror}): run `make setup`") from None
    if done.returncode:
        _show(done.stdout)
        raise RadtError(f"{name} failed: {_reason(done.stdout)}")
    return done.stdout


def _show(printed: bytes | str | None) -> None:
    """Print the output of a failed program to stderr."""
    text = printed.decode(errors="backslashreplace") if isinstance(printed, bytes) else printed or ""
    print(text.strip(), file=sys.stderr, flush=True)


def _reason(printed: str) -> str:
    """The line that tells why a program failed."""
    lines = printed.strip().splitlines() or ["no message"]
    errors = [line for line in lines if line.startswith(ERRORS)]
    return (errors or lines)[-1]
