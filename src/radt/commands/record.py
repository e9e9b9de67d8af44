"""Keep results: what is small in results/recorded/, for Git, all of the experiments in DVC: `python -m radt record`."""

from __future__ import annotations

import csv
import json
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
from radt.settings import Stages

SMALL = ("curves.csv", "table.csv", "seeds.csv", "figure.pdf", "figure.png", "provenance.json", "trajectories/learning.csv")
"""Files of an experiment that Git keeps, too."""
SMALL_OF_ABLATION = ("csv", "curves.csv", "learning.csv", "pdf", "png", "provenance.json")
"""Ends of the names of the files of an ablation, of which Git keeps all."""


def record(results: Path) -> list[str]:
    """Record every experiment and every ablation that has a figure; returns their names.

    Raises `RadtError` when there is none, when Snakemake would make one of them anew, or when a file is damaged.
    """
    known = settings()
    names = [name for name in known.experiments if (results / name / "figure.pdf").exists()]
    ablations = [name for name in known.ablations if (results / f"ablations/{name}.pdf").exists()]
    if not names:
        raise RadtError(f"{results} holds no figure of an experiment: make one first (make figure)")
    figures = [results / name / "figure.pdf" for name in names] + [results / f"ablations/{name}.pdf" for name in ablations]
    _refuse_stale(list(map(str, figures)))
    if wrong := verify(results):
        raise RadtError(wrong[0])
    for name in names:
        _copy([results / name / file for file in SMALL], RECORDED / name)
        artifacts.write_json(RECORDED / name / "metrics.json", metrics(results / name / "table.csv"))
        artifacts.write_text(RECORDED / name / "returns.csv", returns(results / name / "curves.csv"))
        artifacts.write_json(RECORDED / name / "settings.json", json.loads(known.select(name, *Stages.model_fields)))
        jobs = timeline.read(Path("benchmarks") / name)
        artifacts.write_text(RECORDED / name / "timeline.csv", timeline.table(jobs))
    for name in ablations:
        _copy([results / f"ablations/{name}.{end}" for end in SMALL_OF_ABLATION], RECORDED / "ablations")
    stages = ("trajectories", "pretrain", "embed", "index", "train", "evaluate", "figure")
    _run("dvc", "commit", "--quiet", "--force", *(f"{stage}@{name}" for name in names for stage in stages))
    return [*names, *ablations]


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


def _copy(files: list[Path], folder: Path) -> None:
    """Copy files into a folder, under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)


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
