"""Keep results: what is small in results/recorded/, for Git, all of them in DVC: `python -m radt record`."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

from radt import artifacts
from radt.bench import timeline
from radt.commands.config import settings
from radt.commands.verify import verify
from radt.errors import RadtError
from radt.provenance import RECORDED

SMALL = ("curves.csv", "table.csv", "seeds.csv", "figure.pdf", "figure.png", "provenance.json", "trajectories/learning.csv")
"""Files of an experiment that Git keeps, too."""


def record(results: Path) -> list[str]:
    """Record every experiment that has a figure; returns their names.

    Raises `RadtError` when there is none, when Snakemake would make one of them anew, or when a file is damaged.
    """
    names = [name for name in settings().experiments if (results / name / "figure.pdf").exists()]
    if not names:
        raise RadtError(f"{results} holds no figure of an experiment: make one first (make figure)")
    _refuse_stale([str(results / name / "figure.pdf") for name in names])
    if wrong := verify(results):
        raise RadtError(wrong[0])
    for name in names:
        for file in SMALL:
            target = RECORDED / name / Path(file).name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(results / name / file, target)
        artifacts.write_json(RECORDED / name / "metrics.json", metrics(results / name / "table.csv"))
        artifacts.write_text(RECORDED / name / "returns.csv", returns(results / name / "curves.csv"))
        jobs = timeline.read(Path("benchmarks") / name)
        artifacts.write_text(RECORDED / name / "timeline.csv", timeline.table(jobs))
    stages = ("trajectories", "pretrain", "embed", "index", "train", "evaluate", "figure")
    _run("dvc", "commit", "--quiet", "--force", *(f"{stage}@{name}" for name in names for stage in stages))
    return names


def metrics(table: Path) -> dict[str, dict[str, float]]:
    """What `dvc metrics` compares: by method, the return of the last episode and the average over all, on held-out tasks."""
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "held_out"]
    return {row["method"]: {key: float(row[key]) for key in ("last", "average")} for row in rows}


def returns(curves: Path) -> str:
    """What `dvc plots` draws, as CSV: for each episode the mean return of every method on held-out tasks."""
    frame = pd.read_csv(curves)
    frame = frame[frame["split"] == "held_out"]
    wide = frame.pivot(index="episode", columns="method", values="mean")[list(dict.fromkeys(frame["method"]))]
    return str(wide.to_csv(lineterminator="\n", float_format="%g"))


def _refuse_stale(targets: list[str]) -> None:
    """Raise `RadtError` when Snakemake would run a job for one of the targets."""
    plan = _run("snakemake", "--dry-run", "--", *targets)
    if "Nothing to be done" not in plan:
        raise RadtError("results are out of date and would be recorded with settings that did not make them: run snakemake first")


def _run(program: str, *arguments: str) -> str:
    """What a program of this environment prints; raises `RadtError` with its last line when it fails."""
    command = [sys.executable, "-m", program, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RadtError(f"`{program} {arguments[0]}` failed: {done.stdout.strip().splitlines()[-1:]}")
    return done.stdout
