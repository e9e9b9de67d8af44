"""Keep results: small files in results/recorded/ for Git, and all results of experiments in DVC: `python -m radt record`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from radt import artifacts
from radt.commands.programs import run
from radt.commands.redraw import redraw
from radt.commands.verify import verify
from radt.errors import RadtError
from radt.pipeline import timeline
from radt.pipeline.config import settings
from radt.pipeline.provenance import COMMANDS, FILE, RECORDED, chain, files, is_record, place, problems, read, records
from radt.report.gallery import FOLDER
from radt.settings.stages import Stages

KEPT = (".csv", ".pdf", ".png")
"""Git keeps tables and pictures, and all records."""
STAGES = ("features", "trajectories", "pretrain", "embed", "index", "train", "evaluate", "figure")
"""Stages of dvc.yaml; all but the last are folders, which are missing when no method needs them."""


def record(results: Path) -> list[str]:
    """Record every experiment and every ablation that has a figure; returns their names.

    Raises `RadtError` when there is no figure, one of them is out of date, or a file is damaged.
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
    _forget(names, set().union(*map(_keep, figures)))
    redraw(RECORDED)
    run("dvc", "commit", "--force", *dvc)
    return [*names, *ablations]


def summarize(results: Path, name: str) -> None:
    """Copy small files of an experiment to results/recorded/: the records of all inputs of its figure, tables and pictures, and
    metrics for DVC; times of jobs, and their settings, only if all times are known.

    The stage `figure` of dvc.yaml does the same, so that metrics fit the results in DVC. Raises `RadtError` when the experiment
    has no figure, or a file is damaged.
    """
    if not (results / name / "figure.pdf").exists():
        raise RadtError(f"{results / name} has no figure.pdf: make it first (snakemake -- {results / name}/figure.pdf)")
    _keep(results / name / "figure.pdf")
    artifacts.write_json(RECORDED / name / "metrics.json", metrics(results / name / "table.csv"))
    benchmarks = Path("benchmarks") / name
    jobs = [path for path in records(results / name) if not read(path).stage.startswith(COMMANDS)]
    if len(list(benchmarks.rglob("*.tsv"))) >= len(jobs):
        artifacts.write_text(RECORDED / name / "timeline.csv", timeline.table(timeline.read(benchmarks)))
        artifacts.write_json(RECORDED / name / "settings.json", json.loads(settings().select(name, *Stages.model_fields)))


def metrics(table: Path) -> dict[str, dict[str, float]]:
    """Metrics for `dvc metrics`: by method, the return of the last episode and the average over episodes, on held-out tasks."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "held_out"]
    return {row["method"]: {key: float(row[key]) for key in ("last", "average")} for row in rows}


def _keep(figure: Path) -> set[Path]:
    """Copy the records of all inputs of a figure to results/recorded/, with their tables and pictures, and the film strip and the
    recorded episodes of the experiment. Returns the copies.

    Raises `RadtError` when a file is damaged.
    """
    copies: set[Path] = set()
    for made in [*chain(figure), *figure.parent.glob(f"film.{FILE}"), *figure.parent.glob(f"{FOLDER}/*.{FILE}")]:
        if wrong := problems(made):
            raise RadtError(wrong[0])
        copies |= {_copy(file) for file in [*_kept(made), made]}
    return copies


def _kept(made: Path) -> list[Path]:
    """The tables and pictures of a record, and recorded episodes."""
    return [made.with_name(name) for name in read(made).outputs if name.endswith(KEPT) or made.parent.name == FOLDER]


def _copy(file: Path) -> Path:
    """Copy a result to results/recorded/; returns the path of the copy. On a full disk the old copy is unchanged."""
    copy = RECORDED / Path(place(file)).relative_to("results")
    with artifacts.opened(file) as opened:
        content = opened.read()
    artifacts.write_bytes(copy, content)
    return copy


def _forget(names: list[str], copies: set[Path]) -> None:
    """Remove copies of the experiments `names` that are not among the present `copies`."""
    for made in (path for name in names for path in files(RECORDED / name) if is_record(path) and path not in copies):
        for copy in [*_kept(made), made]:
            copy.unlink(missing_ok=True)


def _refuse_stale(targets: list[str]) -> None:
    """Raise `RadtError` when Snakemake would run a job for one of the targets."""
    plan = run("snakemake", "--dry-run", "--", *targets)
    if "Nothing to be done" not in plan:
        raise RadtError("results are out of date and would be recorded with settings that did not make them: run snakemake first")
