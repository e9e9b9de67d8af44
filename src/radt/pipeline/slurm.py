"""Checks that Slurm accepts the jobs of a run and reports their states; otherwise Snakemake may wait for ever."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess

from radt.errors import RadtError

ASKED = 180
"""Seconds within which Snakemake's plugin asks for the state of jobs."""
ANSWER = 60
"""Seconds that a program of Slurm may take."""


def check(command: str, partitions: set[str], accounts: set[str], guess: bool) -> None:
    """Raise `RadtError` when jobs could not be submitted, or their end could not be noticed.

    Args:
        command: the program that Snakemake uses for states of jobs: `squeue` (needs a controller that keeps ended jobs long
            enough) or `sacct` (needs accounting).
        partitions: names of the jobs' partitions; empty: Slurm's default.
        accounts: names of the jobs' accounts.
        guess: whether there are jobs without an account, for which Snakemake's plugin asks `sacct`.
    """
    config = dict(re.findall(r"^(\w+) *= *(.*)$", "\n".join(_told("scontrol", "show", "config")), re.MULTILINE))
    accounting = config.get("AccountingStorageType", "(null)") not in ("accounting_storage/none", "(null)")
    remembered = int(re.sub(r"\D.*", "", config.get("MinJobAge", "0")) or 0)
    if command == "sacct" and not accounting:
        raise RadtError("this Slurm has no accounting, so sacct tells of no job: use --workflow-profile profiles/slurm")
    if command == "squeue" and remembered < ASKED:
        remedy = "use --slurm-status-command sacct" if accounting else "ask for MinJobAge=300 in slurm.conf"
        raise RadtError(f"this Slurm does not keep ended jobs until Snakemake asks (MinJobAge is {remembered} s): {remedy}")
    if guess and shutil.which("sacct") is None:
        raise RadtError("sacct is not here, which is asked for an account: set slurm_account, or use --slurm-no-account")
    _known("partition", partitions, _told("sinfo", "--all", "--noheader", "--format=%R") if partitions else [])
    if accounts and not accounting:
        raise RadtError("this Slurm has no accounts: leave slurm_account out")
    user = f"user={_user()}"
    associations = ("sacctmgr", "--noheader", "--parsable2", "show", "associations", user, "format=account")
    _known("account", accounts, _told(*associations) if accounts else [])


def _known(kind: str, asked: set[str], known: list[str]) -> None:
    """Raise `RadtError` for an asked name that is not known."""
    there = {name.strip() for name in known}
    if unknown := sorted(asked - there):
        raise RadtError(f"unknown {kind} {unknown[0]!r}; this Slurm has {', '.join(sorted(there))}: change slurm_{kind}")


def _user() -> str:
    """Name of the user; the number of a user without a name, as in a container."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return str(os.getuid())


def _told(*command: str) -> list[str]:
    """Output lines of a program of Slurm; raises `RadtError` when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=ANSWER)
        return done.stdout.splitlines()
    except FileNotFoundError:
        raise RadtError(f"Slurm's program {command[0]} is not here: run Snakemake where jobs are submitted from") from None
    except subprocess.TimeoutExpired:
        raise RadtError(f"Slurm cannot be asked ({command[0]} does not answer in {ANSWER} s): wait until it is back") from None
    except (OSError, subprocess.CalledProcessError) as error:
        reason = " ".join(str(getattr(error, "stderr", None) or error).split())
        raise RadtError(f"Slurm cannot be asked ({command[0]}: {reason}): wait until it is back") from None
