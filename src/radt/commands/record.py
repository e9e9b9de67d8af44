"""Keep results: what is small in results/recorded/, for Git, all of the experiments in DVC: `python -m radt record`."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

from radt import artifacts
from radt.bench import timeline
from radt.commands.config import settings
from radt.commands.programs import run
from radt.commands.redraw import redraw
from radt.commands.verify import verify
from radt.errors import RadtError
from radt.provenance import RECORDED, records
from radt.settings import Stages

SMALL = ("curves.csv", "table.csv", "seeds.csv", "figure.pdf", "figure.png", "provenance.json", "trajectories/learning.csv")
"""Files of an experiment that Git keeps, too."""
STAGES = ("trajectories", "pretrain", "embed", "index", "train", "evaluate", "figure")
"""Those of dvc.yaml; all but the last are folders, and not there when no method needs them."""
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
    dvc = [f"{stage}@{name}" for name in names for stage in STAGES if stage == "figure" or (results / name / stage).exists()]
    figures = [results / name / "figure.pdf" for name in names] + [results / f"ablations/{name}.pdf" for name in ablations]
    _refuse_stale(list(map(str, figures)))
    if wrong := verify(results):
        raise RadtError(wrong[0])
    for name in names:
        summarize(results, name)
    for name in ablations:
        _copy([results / f"ablations/{name}.{end}" for end in SMALL_OF_ABLATION], RECORDED / "ablations")
    redraw(RECORDED)
    run("dvc", "commit", "--force", *dvc)
    return [*names, *ablations]


def summarize(results: Path, name: str) -> None:
    """Copy what is small of an experiment to results/recorded/; times of jobs, and their settings, only if all times are known.

    The stage `figure` of dvc.yaml does this, too, so that metrics are those of the results that DVC has. Raises `RadtError`
    when the experiment has no figure.
    """
    if not (results / name / "figure.pdf").exists():
        raise RadtError(f"{results / name} has no figure.pdf: make it first (snakemake -- {results / name}/figure.pdf)")
    _copy([results / name / file for file in SMALL], RECORDED / name)
    artifacts.write_json(RECORDED / name / "metrics.json", metrics(results / name / "table.csv"))
    benchmarks = Path("benchmarks") / name
    if len(list(benchmarks.rglob("*.tsv"))) >= len(records(results / name)):
        artifacts.write_text(RECORDED / name / "timeline.csv", timeline.table(timeline.read(benchmarks)))
        artifacts.write_json(RECORDED / name / "settings.json", json.loads(settings().select(name, *Stages.model_fields)))


def metrics(table: Path) -> dict[str, dict[str, float]]:
    """What `dvc metrics` compares: by method, the return of the last episode and the average over all, on held-out tasks."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "held_out"]
    return {row["method"]: {key: float(row[key]) for key in ("last", "average")} for row in rows}


def _copy(files: list[Path], folder: Path) -> None:
    """Copy files into a folder, under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)


def _refuse_stale(targets: list[str]) -> None:
    """Raise `RadtError` when Snakemake would run a job for one of the targets."""
    plan = run("snakemake", "--dry-run", "--", *targets)
    if "Nothing to be done" not in plan:
        raise RadtError("results are out of date and would be recorded with settings that did not make them: run snakemake first")
