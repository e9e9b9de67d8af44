"""The cost of a target in advance: `python -m radt plan results/darkroom/figure.pdf`.

Snakemake tells which jobs it would run (`snakemake_logger_plugin_radt`); `radt.pipeline.measured` predicts the cost of each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import radt
from radt.errors import RadtError, printable
from radt.pipeline.config import settings
from radt.pipeline.costs import Sections
from radt.pipeline.jobs import BENCHMARKS, Name, name_of
from radt.pipeline.measured import Estimate, estimate, known
from radt.pipeline.runs import Runs
from radt.pipeline.text import duration, table
from radt.settings.parsing import parse

SNAKEMAKE = 4.0
"""Seconds of Snakemake itself, before the first job and after the last."""
NOT_COUNTED = Estimate(0.0, 0.0, 0.0, "nothing, not counted: no such job was measured")


@dataclass(frozen=True)
class Job:
    """A planned job."""

    id: int
    rule: str
    name: Name
    needs: frozenset[int]
    """Jobs whose outputs it reads."""
    priority: int
    gpus: int
    threads: int
    """Cores that it takes."""


def jobs(planned: list[dict[str, Any]]) -> list[Job]:
    """The planned jobs in Snakemake's order, without rules that only collect files."""
    found = [one for one in planned if (one["benchmark"] or "").startswith(f"{BENCHMARKS}/")]
    made = {path: one["jobid"] for one in found for path in one["output"]}
    return [
        Job(
            one["jobid"],
            one["rule_name"],
            name_of(Path(one["benchmark"]).relative_to(BENCHMARKS)),
            frozenset(made[path] for path in one["input"] if path in made),
            one["priority"],
            one["resources"].get("gpu", 0),
            one["threads"],
        )
        for one in found
    ]


def dry_run(targets: list[str], configfiles: list[Path], cores: int, gpus: int) -> list[dict[str, Any]]:
    """The jobs of `snakemake --dry-run`, from the plugin `snakemake_logger_plugin_radt`; none uses more than all cores and GPUs.

    Raises `RadtError` with Snakemake's reason when it fails.
    """
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--nocolor", "--cores", str(cores), "--resources", f"gpu={gpus}"]
    command += ["--configfile", *map(str, configfiles)] if configfiles else []
    places = [str(Path(radt.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": os.pathsep.join(places)}
    with TemporaryDirectory() as folder:
        file = Path(folder, "jobs.jsonl")
        command += ["--logger", "radt", "--logger-radt-file", str(file), "--", *targets]
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if not done.returncode:
            return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line and not line.startswith("Using ")]
    reasons = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines[-1:]
    raise RadtError(f"Snakemake cannot plan this: {printable(reasons[0]) if reasons else 'it says nothing'}")


def schedule(todo: list[Job], seconds: dict[int, float], cores: int, gpus: int) -> dict[int, tuple[float, float]]:
    """Start and stop of every job in seconds, when free cores take the ready job of the highest priority (ties: the first)."""
    times: dict[int, tuple[float, float]] = {}
    waiting, running, now = list(todo), set[int](), 0.0
    order = {job.id: number for number, job in enumerate(todo)}
    of = {job.id: job for job in todo}
    while waiting or running:
        ready = [job for job in waiting if all(need in times and need not in running for need in job.needs)]
        for job in sorted(ready, key=lambda job: (-job.priority, order[job.id])):
            used = sum(of[number].gpus for number in running)
            busy = sum(of[number].threads for number in running)
            if busy + job.threads <= cores and (not job.gpus or used + job.gpus <= gpus):
                times[job.id] = now, now + seconds[job.id]
                running.add(job.id)
                waiting.remove(job)
        if not running:
            raise RadtError(f"no job can start on {cores} cores and {gpus} GPUs: give more (--cores, --gpus)")
        now = min(times[number][1] for number in running)
        running = {number for number in running if times[number][1] > now}
    return times


def critical_path(todo: list[Job], seconds: dict[int, float]) -> list[Job]:
    """The longest chain of dependent jobs; the run cannot be shorter on any number of cores."""
    of = {job.id: job for job in todo}
    before: dict[int, int | None] = {}
    ends: dict[int, float] = {}

    def end(number: int) -> float:
        if number not in ends:
            last = max(of[number].needs, key=end, default=None)
            before[number] = last
            ends[number] = seconds[number] + (0.0 if last is None else ends[last])
        return ends[number]

    chain: list[Job] = []
    number = max(of, key=end, default=None)
    while number is not None:
        chain.insert(0, of[number])
        number = before[number]
    return chain


def report(todo: list[Job], found: dict[int, Estimate], cores: int, gpus: int) -> str:
    """The plan as text."""
    seconds = {number: one.seconds for number, one in found.items()}
    head, rows = ("rule", "jobs", "CPU h", "GPU h", "most GB", "estimated from"), []
    for rule in sorted({job.rule for job in todo}, key=[job.rule for job in todo].index):
        own = [job for job in todo if job.rule == rule]
        rows.append((rule, *_sums(own, found), "; ".join(dict.fromkeys(found[job.id].origin for job in own))))
    rows.append(("all", *_sums(todo, found), ""))
    lines = table(head, rows, numbers=range(1, 5))
    chain, times = critical_path(todo, seconds), schedule(todo, seconds, cores, gpus)
    most = max(todo, key=lambda job: found[job.id].memory)
    lines += [
        "",
        f"largest job: {found[most.id].memory / 1e9:.1f} GB, {most.name}",
        f"disk for the results: {sum(one.disk for one in found.values()) / 1e9:.2f} GB at most",
        f"critical path: {duration(sum(seconds[job.id] for job in chain))}, whatever the number of cores",
        *(f"    {duration(seconds[job.id]):>24}  {job.name}" for job in chain),
        f"expected time: {duration(max(stop for _, stop in times.values()) + SNAKEMAKE)} on {cores} cores"
        + (f", with {gpus} jobs on a GPU at a time" if any(job.gpus for job in todo) else ""),
    ]
    if any(job.gpus and "on a CPU" in found[job.id].origin for job in todo):
        lines.append("Where the last column says so, GPU hours are estimated from CPU: they are those that a core would take.")
    return "\n".join(map(printable, lines))


def _sums(own: list[Job], found: dict[int, Estimate]) -> tuple[str, str, str, str]:
    """Number, CPU hours, GPU hours and largest memory of some jobs, as text."""
    cpu = sum(found[job.id].seconds * job.threads for job in own) / 3600
    gpu = sum(found[job.id].seconds * job.gpus for job in own) / 3600
    return str(len(own)), f"{cpu:.3f}", f"{gpu:.3f}", f"{max(found[job.id].memory for job in own) / 1e9:.1f}"


def plan(targets: list[str], configfiles: list[Path], cores: int | None, gpus: int) -> str:
    """The plan of some targets as text; raises `RadtError` when Snakemake cannot plan them."""
    runs, cores = Runs(settings(*configfiles)), cores or os.cpu_count() or 1
    todo = jobs(dry_run(targets, configfiles, cores, gpus))
    if not todo:
        return "nothing would run: everything is up to date"
    measured, damaged = known(runs)
    first = next(iter(runs.settings.experiments))
    found = {}
    for job in todo:
        sections = parse(Sections, runs.sections(job.name.run or first))
        found[job.id] = estimate(job.name, job.name.run or first, sections, measured) or NOT_COUNTED
    if all(one is NOT_COUNTED for one in found.values()):
        why = f", and what was is damaged ({damaged[0]})" if damaged else ""
        raise RadtError(f"no such job was measured{why}: restore results/recorded from the repository, or run the workflow once")
    return report(todo, found, cores, gpus)
