"""Times and memory of the jobs of a run, from benchmark files of Snakemake.

A job ended at the modification time of its benchmark file; the column `s` is its duration.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from radt.errors import RadtError

LARGEST, MOST = 1_000_000, 1e10
"""Limits: bytes of a table; seconds (300 years) or MB of a job."""
COLUMNS = ("rule", "job", "lane", "start", "stop", "cpu_seconds", "max_rss_mb")


@dataclass(frozen=True)
class Job:
    """One job: seconds since the first one began, CPU seconds and peak memory in MB."""

    rule: str
    name: str
    start: float
    stop: float
    cpu: float
    memory: float


def read_job(path: Path) -> Job:
    """The job of one benchmark file; raises `RadtError` when Snakemake did not write it."""
    try:
        row, stop = _rows(path, "\t")[0], path.stat().st_mtime
        seconds = _number(row["s"])
        cpu, memory = (0.0 if row[key] in ("NA", "-") else _number(row[key]) for key in ("cpu_time", "max_rss"))
    except (OSError, LookupError, ValueError, TypeError, csv.Error):
        raise RadtError(f"{path} is no benchmark file of Snakemake: delete it, or give the directory of one run") from None
    return Job(path.parent.name, path.stem, stop - seconds, stop, cpu, memory)


def read(directory: Path) -> list[Job]:
    """All jobs with benchmark files below `directory`, by start; raises `RadtError` for none, or for any other file there."""
    jobs = [read_job(path) for path in sorted(directory.rglob("*.tsv"))]
    if not jobs:
        raise RadtError(f"{directory} holds no benchmark file: run the workflow first")
    origin = min(job.start for job in jobs)
    moved = [Job(job.rule, job.name, job.start - origin, job.stop - origin, job.cpu, job.memory) for job in jobs]
    return sorted(moved, key=lambda job: job.start)


def read_table(path: Path) -> list[Job]:
    """The jobs of a table that `table` made; raises `RadtError` when it is damaged."""
    columns = ("start", "stop", "cpu_seconds", "max_rss_mb")
    try:
        jobs = [Job(row["rule"], row["job"], *(_number(row[key]) for key in columns)) for row in _rows(path, ",")]
    except (OSError, LookupError, ValueError, TypeError, csv.Error):
        jobs = []
    if not jobs or any(job.stop < job.start for job in jobs):
        raise RadtError(f"{path} is no table of job times: restore it from the repository")
    return jobs


def _rows(path: Path, delimiter: str) -> list[dict[str, str]]:
    """The rows of a table; raises `OSError` for anything but a file, and `ValueError` for one that is too large."""
    if not path.is_file():
        raise OSError(f"{path} is no file")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{path} is too large")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), delimiter=delimiter))


def _number(text: str) -> float:
    """A number of a table; raises `ValueError` when it cannot be seconds or MB."""
    value = float(text)
    if not 0 <= value < MOST:
        raise ValueError(text)
    return value


def lanes(jobs: list[Job]) -> list[int]:
    """A lane for each job: the first that is free at its start. With one thread per job, lanes are cores."""
    free: list[float] = []
    chosen = []
    for job in jobs:
        lane = next((number for number, until in enumerate(free) if until <= job.start + 0.5), len(free))
        free[lane : lane + 1] = [job.stop]
        chosen.append(lane)
    return chosen


def table(jobs: list[Job]) -> str:
    """CSV text of the jobs, columns `COLUMNS`."""
    rows = [
        (job.rule, job.name, lane, *(f"{value:.1f}" for value in (job.start, job.stop, job.cpu, job.memory)))
        for job, lane in zip(jobs, lanes(jobs), strict=True)
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue()
