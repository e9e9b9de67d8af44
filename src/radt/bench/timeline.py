"""Where the time of a run went: `python -m radt.bench.timeline benchmarks/darkroom --output docs/bench/timeline`.

Reads what Snakemake's `benchmark:` wrote on this machine: a file was changed when its job ended, its `s` is how long that took.
"""

from __future__ import annotations

import argparse
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from radt import artifacts
from radt.errors import RadtError
from radt.stages import run

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # loaded when it is drawn: the workflow reads benchmark files at every start

LARGEST, MOST = 1_000_000, 1e10
"""Most bytes of a table, and most seconds (300 years) or MB of a job."""
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
    """All jobs whose benchmark files are below `directory`, by start; raises `RadtError` when there is none, or a foreign one."""
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
    """The rows of a small table; raises `OSError` for what is no file, and `ValueError` for one that is too large."""
    if not path.is_file():
        raise OSError(f"{path} is no file")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{path} is too large")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), delimiter=delimiter))


def _number(text: str) -> float:
    """A number of a table; raises `ValueError` when it cannot be one of seconds or MB."""
    value = float(text)
    if not 0 <= value < MOST:
        raise ValueError(text)
    return value


def lanes(jobs: list[Job]) -> list[int]:
    """A lane for each job, the first one that is free when it starts: with one thread a job, lanes are cores."""
    free: list[float] = []
    chosen = []
    for job in jobs:
        lane = next((number for number, until in enumerate(free) if until <= job.start + 0.5), len(free))
        free[lane : lane + 1] = [job.stop]
        chosen.append(lane)
    return chosen


def critical(jobs: list[Job]) -> list[Job]:
    """The chain that set the length of the run: the last job, the one that ended last before it began, and so on."""
    chain = [max(jobs, key=lambda job: job.stop)]
    while before := [job for job in jobs if job.stop <= chain[0].start + 0.5 and job is not chain[0]]:
        chain.insert(0, max(before, key=lambda job: job.stop))
    return chain


def summary(jobs: list[Job]) -> str:
    """Length, busy share, idle seconds of every lane, the chain, and the totals by rule, as text."""
    end, rows = max(job.stop for job in jobs), list(zip(jobs, lanes(jobs), strict=True))
    lines = [f"{len(jobs)} jobs, {end:.0f} s from the first start to the last end, {sum(job.cpu for job in jobs):.0f} CPU s"]
    for lane in sorted({lane for _, lane in rows}):
        busy = sum(job.stop - job.start for job, own in rows if own == lane)
        lines.append(f"lane {lane}: {busy:.0f} s busy, {end - busy:.0f} s idle")
    lines.append("chain: " + ", ".join(f"{job.rule}/{job.name} {job.stop - job.start:.0f} s" for job in critical(jobs)))
    for rule in dict.fromkeys(job.rule for job in jobs):
        own = [job for job in jobs if job.rule == rule]
        wall, cpu, memory = sum(job.stop - job.start for job in own), sum(job.cpu for job in own), max(job.memory for job in own)
        lines.append(f"{rule}: {len(own)} jobs, {wall:.0f} s, {cpu:.0f} CPU s, at most {memory:.0f} MB")
    return "\n".join(lines)


def draw(jobs: list[Job]) -> Figure:
    """Bars of jobs over lanes, one colour for each rule."""
    import matplotlib
    from matplotlib.figure import Figure

    rules = list(dict.fromkeys(job.rule for job in jobs))
    colors = matplotlib.colormaps["tab10"]
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    axes = figure.subplots()
    for job, lane in zip(jobs, lanes(jobs), strict=True):
        color = colors(rules.index(job.rule))
        axes.barh(lane, job.stop - job.start, left=job.start, color=color, edgecolor="white", linewidth=0.5)
    for rule in rules:
        axes.barh(0, 0, color=colors(rules.index(rule)), label=rule)
    axes.set(xlabel="seconds", yticks=sorted(set(lanes(jobs))), ylabel="core")
    figure.legend(loc="outside upper center", ncols=5, frameon=False, fontsize="small")
    return figure


def table(jobs: list[Job]) -> str:
    """CSV text of the jobs, columns `COLUMNS`."""
    rows = [
        (job.rule, job.name, lane, *(f"{value:.1f}" for value in (job.start, job.stop, job.cpu, job.memory)))
        for job, lane in zip(jobs, lanes(jobs), strict=True)
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue()


def main(argv: list[str] | None = None) -> int:
    """Print the summary and write `<output>.csv` and `<output>.png`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", type=Path, help="directory of benchmark files of one run")
    parser.add_argument("--output", required=True, type=Path, help="path of the two files, without suffix")
    given = parser.parse_args(argv)
    jobs, image = read(given.benchmarks), io.BytesIO()
    draw(jobs).savefig(image, format="png", dpi=120, metadata={"Software": None})
    artifacts.write_text(given.output.with_suffix(".csv"), table(jobs))
    artifacts.write_bytes(given.output.with_suffix(".png"), image.getvalue())
    print(summary(jobs))
    return 0


if __name__ == "__main__":
    run(main)
