"""Whether a Slurm tells what became of its jobs; where it does not, Snakemake would wait for ever."""

from __future__ import annotations

import re
import subprocess

from radt.errors import RadtError

ASKED = 180
"""Seconds within which Snakemake's plugin asks for the state of jobs."""


def check(command: str) -> None:
    """Raise `RadtError` when `command`, `squeue` or `sacct`, could not tell that a job has ended.

    `sacct` needs accounting, `squeue` a controller that remembers ended jobs until it is asked.
    """
    try:
        told = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=True, timeout=60).stdout
    except FileNotFoundError:
        raise RadtError("Slurm's programs are not here (scontrol): run Snakemake where jobs are submitted from") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        reason = " ".join(str(error.stderr or error).split())
        raise RadtError(f"Slurm's controller cannot be asked (scontrol: {reason}): wait until it is back") from None
    config = dict(re.findall(r"^(\w+) *= *(.*)$", told, re.MULTILINE))
    accounting = config.get("AccountingStorageType", "(null)") not in ("accounting_storage/none", "(null)")
    remembered = int(re.sub(r"\D.*", "", config.get("MinJobAge", "0")) or 0)
    if command == "sacct" and not accounting:
        raise RadtError("this Slurm has no accounting, so sacct tells of no job: use --workflow-profile profiles/slurm")
    if command == "squeue" and remembered < ASKED:
        remedy = "use --slurm-status-command sacct" if accounting else "ask for MinJobAge=300 in slurm.conf"
        raise RadtError(f"this Slurm forgets jobs {remembered} s after their end, before Snakemake asks for them: {remedy}")
