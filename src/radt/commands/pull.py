"""Get the results that the present commit records: `python -m radt pull`."""

from __future__ import annotations

from pathlib import Path

import yaml

from radt.commands.programs import run
from radt.errors import RadtError

LOCK = Path("dvc.lock")


def pull() -> list[str]:
    """Let DVC get all results that dvc.lock has; returns the names of its stages.

    A bare `dvc pull` fails when an experiment of dvc.yaml was never recorded. Raises `RadtError` when none was, or when the
    remote does not have them.
    """
    if not LOCK.exists():
        raise RadtError(f"{LOCK} is not here: this commit records no results, make some (make figure, then make record)")
    stages = list(yaml.safe_load(LOCK.read_text(encoding="utf-8"))["stages"])
    run("dvc", "pull", *stages)
    return stages
