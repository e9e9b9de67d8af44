"""Time until a stage has read its command line, and until Snakemake has planned everything, against a limit."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from functools import partial

from bench.harness import ROOT, Measurement, alternate, timed
from radt import stages
from radt.errors import RadtError

STAGES = [module.name for module in pkgutil.iter_modules(stages.__path__)]
STAGE_LIMIT, PLAN_LIMIT = 2.5, 5.0  # seconds


def start(*arguments: str) -> None:
    """Run a command of this Python in the repository; raises `RadtError` when it fails."""
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RadtError(f"`python -m {' '.join(arguments)}` failed: {done.stderr.strip() or done.stdout.strip()}")


def measure(runs: int) -> list[Measurement]:
    """Starts per second of every stage and of the plan; the peer is the limit, so that the ratio is limit / time."""
    commands = {f"start of stage {stage}": (partial(start, f"radt.stages.{stage}", "--help"), STAGE_LIMIT) for stage in STAGES}
    commands["snakemake -n all"] = (partial(start, "snakemake", "-n", "--quiet", "--", "all"), PLAN_LIMIT)
    return [
        alternate(
            name, "starts/s", f"limit of {limit:g} s", 1.0, partial(timed, command, 1.0, 0.0), partial(float, 1 / limit), runs
        )
        for name, (command, limit) in commands.items()
    ]
