"""The state of a run, from files only, so from any shell and for jobs on any machine: `python -m radt status`.

Logs and records tell which jobs run or failed, `progress.json` the progress of a training.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from radt.errors import RadtError, printable
from radt.pipeline import progress
from radt.pipeline.config import settings
from radt.pipeline.jobs import LOGS, Name, name_of
from radt.pipeline.progress import Progress
from radt.pipeline.provenance import FILE
from radt.pipeline.runs import ENCODERS, WEIGHTS, Runs
from radt.pipeline.text import duration, table
from radt.settings.registry import VECTORS

TAIL = 65536
"""Bytes that are read of a log, from its end."""
FAILED = re.compile(r"^(error: |usage: )|: error: ")
INTERRUPTED = re.compile(r"^(interrupted|waits for Slurm)")
TRACEBACK = "Traceback (most recent call last):"
SHOWN, WIDTH = 3, 1000
"""Last lines of a failed job's log, and most characters of each."""
INTERVALS, PATIENCE = 5, 60.0
"""A training is silent after this many of its report intervals, and at least this many seconds, without output."""
QUIET = 600.0
"""Seconds without output after which another job, which prints no progress, is silent."""
EXIT = 10.0
"""Most seconds from the record of a job to the end of its log: a log may be flushed at exit."""
REFRESH = 2.0
CLEAR = "\x1b[2J\x1b[H"


@dataclass(frozen=True)
class Job:
    """An unfinished job: the end of its log, its progress, and the age of its last output."""

    name: Name
    state: Literal["running", "interrupted", "failed"]
    age: float
    """Seconds since it wrote to its log or its progress file."""
    lines: list[str]
    """Whole lines of the end of the log."""
    progress: Progress | None
    """Progress of a training; None for other jobs."""

    @property
    def silent(self) -> bool:
        """Whether it has written nothing for much longer than its report interval."""
        if self.progress is None:
            return self.age > QUIET
        interval = self.progress.every / (self.progress.speed or 1.0)
        return self.age > max(INTERVALS * interval, PATIENCE)


def read(path: Path) -> tuple[float, list[str]]:
    """Modification time of a log, and the lines of its end; the first and the last line may be incomplete.

    Raises `OSError` for anything but a file, such as a pipe, which would block.
    """
    if not path.is_file():
        raise OSError(f"{path} is no file")
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL))
        lines = file.read(TAIL).decode(errors="replace").splitlines()
    return path.stat().st_mtime, [line for line in lines if line.strip()]


def state(lines: list[str]) -> Literal["running", "interrupted", "failed"]:
    """The state of a job by the end of its log: `failed` for an error or a traceback, `interrupted`, else `running`, which may
    also be a killed job."""
    if not lines:
        return "running"
    if INTERRUPTED.search(lines[-1]):
        return "interrupted"
    return "failed" if FAILED.search(lines[-1]) or TRACEBACK in lines else "running"


def unfinished(now: float) -> Iterator[Job]:
    """Jobs that are running or have failed: those whose log is newer than their record.

    A job with an empty log has just started, so its progress file is of an earlier job.
    """
    for path in sorted(LOGS.rglob("*.log")):
        name = name_of(path.relative_to(LOGS))
        if name.record is None or name.state is None:
            continue
        try:
            written, lines = read(path)
            made = name.record.stat().st_mtime if name.record.is_file() else 0.0
        except OSError:
            continue  # it has just been replaced
        what = state(lines)
        if made >= written or (what == "running" and made >= written - EXIT):
            continue
        said = progress.read(name.state) if lines else None
        age = now - max(written, said[1] if said else 0.0)
        yield Job(name, what, max(age, 0.0), lines, said[0] if said else None)


def wanted(runs: Runs, run: str) -> list[Path]:
    """The records of all direct and indirect inputs of an experiment's figure, and its own."""
    methods = runs.settings.methods_of(run)
    models = dict.fromkeys(runs.model(run, method) for method in methods)
    seeds = [f"seed{seed}" for seed in runs.settings.seeds]
    files = [("trajectories", FILE), ("", FILE)]
    files += [(WEIGHTS[model], f"{seed}/{FILE}") for model in models if model in WEIGHTS for seed in seeds]
    encoders = dict.fromkeys(ENCODERS[model] for model in models if model in ENCODERS)
    for encoder in encoders:
        files += [(f"embed/{encoder}", FILE), (f"index/{encoder}", FILE)]
    if any("pretrain" in VECTORS[encoder] for encoder in encoders):
        files.append((WEIGHTS["dt"], f"seed{runs.settings.encoder_seed}/{FILE}"))
    paths = [Path(runs.path(run, directory, file)) if directory else Path("results", run, file) for directory, file in files]
    paths += [Path("results", run, "evaluate", method, f"{seed}.{FILE}") for method in methods for seed in seeds]
    paths += [Path(path).with_suffix(f".{FILE}") for path in runs.learned(run)]
    return list(dict.fromkeys(paths))


def row(job: Job) -> tuple[str, ...]:
    """A row of the table of unfinished jobs."""
    heard = f"silent for {duration(job.age)}: killed?" if job.silent else f"{duration(job.age)} ago"
    heard += "" if job.lines else ", said nothing: just started, or never submitted"
    if job.progress is None:
        return str(job.name), "", "", "", "", "", heard
    now = job.progress
    loss = "" if now.loss is None else f"{now.loss:.4f}"
    speed, left = (f"{now.speed:.1f}", duration(now.left)) if now.speed and now.left is not None else ("", "")
    return str(job.name), f"{now.update}/{now.updates}", f"{100 * now.update // now.updates}%", loss, speed, left, heard


def count(runs: Runs, run: str) -> tuple[str, str]:
    """A row of the table of results: how many exist (also out of date), or why the settings are not allowed."""
    try:
        paths = wanted(runs, run)
    except RadtError as error:
        return run, str(error)
    return run, f"{sum(path.is_file() for path in paths)} of {len(paths)}"


def status(configfiles: list[Path], now: float) -> str:
    """The state of all results and jobs, as text; raises `RadtError` when the configuration is wrong.

    Args:
        configfiles: as Snakemake's `--configfile`.
        now: seconds since the epoch.
    """
    runs = Runs(settings(*configfiles))
    lines = table(("experiment", "results that are there"), (count(runs, run) for run in runs.settings.experiments))
    if not any(LOGS.rglob("*.log")):
        return "\n".join([*lines, "", f"nothing has run here: {LOGS}/ holds no log of a job"])
    found = list(unfinished(now))
    if running := [job for job in found if job.state == "running"]:
        head = ("running", "update", "share", "loss", "updates/s", "left", "last heard of")
        lines += ["", *table(head, map(row, running))]
    for job in found:
        if job.state != "running" or (job.silent and job.lines):
            what = "silent for" if job.state == "running" else job.state
            since = duration(job.age) + (" ago" if job.state != "running" else "")
            lines += ["", f"{what} {since}: {job.name}", *(f"    {line[:WIDTH]}" for line in job.lines[-SHOWN:])]
    if not found:
        lines += ["", "no job writes a log, and none has failed"]
    return "\n".join(map(printable, lines))


def show(configfiles: list[Path], watch: bool) -> None:
    """Print the state; with `watch`, again every two seconds until Ctrl-C."""
    clear = CLEAR if watch and sys.stdout.isatty() else ""
    try:
        print(clear + status(configfiles, time.time()), flush=True)
        while watch:
            time.sleep(REFRESH)
            print(clear + status(configfiles, time.time()), flush=True)
    except KeyboardInterrupt:
        return
