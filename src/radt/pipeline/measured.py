"""Predict a job's time and memory from past jobs: those in `benchmarks/` and those of the recorded results."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from radt import artifacts
from radt.errors import RadtError, printable
from radt.pipeline import provenance, timeline
from radt.pipeline.costs import STAGES, Sections
from radt.pipeline.jobs import BENCHMARKS, LOGS, Name, name_of
from radt.pipeline.runs import Runs
from radt.settings.layers import merge
from radt.settings.parsing import parse
from radt.settings.renamed import with_new_names

SAMPLED, EVERY = 15, 30
"""Snakemake samples a job twice a second for 15 s, then every 30 s; it writes the CPU seconds of the last sample."""
FAR = 4.0
"""Ratio of work above which a measured job is a poor guide."""
LEAST, CUDA = 2e8, 1e9
"""Bytes of the smallest job (Python with its packages), and additional bytes with a GPU, from recorded trainings."""


@dataclass(frozen=True)
class Key:
    """Kind of a job: folder of its log, model (or encoder), and device."""

    folder: str
    model: str
    device: str


@dataclass(frozen=True)
class Measured:
    """A past job: its settings, time and memory."""

    key: Key
    run: str
    place: str
    """`measured here` or `recorded`."""
    sections: Sections
    seconds: float
    memory: float
    """Bytes."""


@dataclass(frozen=True)
class Estimate:
    """Predicted cost of a job, and its source."""

    seconds: float
    memory: float
    disk: float
    origin: str


def key_of(name: Name, sections: Sections) -> Key:
    """The kind of a job; raises `KeyError` for an unknown stage or method."""
    stage = STAGES[name.folder]
    model = sections.evaluate.methods[name.what].model if name.folder.startswith("evaluate") else name.what
    chosen = getattr(sections, stage.section) if stage.section else None
    device = getattr(chosen, "optimization", chosen).device if chosen else "cpu"
    return Key(name.folder, "" if name.folder == "rl" else model, device)


def ranks_of(name: str, sections: Sections) -> int:
    """Number of processes of a job of a stage."""
    optimization = getattr(getattr(sections, STAGES[name].section, None), "optimization", None)
    return optimization.ranks if optimization else 1


def moved(sections: Sections, section: str, device: str) -> Sections:
    """The same sections with a stage on another device."""
    chosen = getattr(sections, section)
    if hasattr(chosen, "optimization"):
        change: dict[str, Any] = {"optimization": chosen.optimization.model_copy(update={"device": device})}
    else:
        change = {"device": device}
    return sections.model_copy(update={section: chosen.model_copy(update=change)})


def alone(wall: float, cpu: float) -> float:
    """Seconds of a job on one core of an idle machine: its CPU seconds at the last sample, extrapolated to its end."""
    looked = wall if wall < SAMPLED else SAMPLED + EVERY * ((wall - SAMPLED) // EVERY)
    return min(wall, cpu * wall / looked) if cpu else wall


def sections_of(runs: Runs, run: str, changed: dict[str, Any]) -> Sections | None:
    """The sections of a run when a job was measured: the present ones with `changed`, else the present ones; None if invalid."""
    present: dict[str, Any] = {}
    with suppress(RadtError):  # the run does not exist now, or is not valid
        present = runs.sections(run)
    for values in (merge(present, with_new_names(changed)), present):
        with suppress(RadtError):
            return parse(Sections, values)
    return None


def known(runs: Runs) -> tuple[list[Measured], list[str]]:
    """The measured jobs, and why others are left out; a warning on stderr says so, too, once."""
    damaged: list[str] = []
    found = [*here(runs, damaged), *recorded(runs, damaged)]
    if damaged:
        _warn(f"warning: {len(damaged)} files of measured jobs are left out of estimates; the first: {damaged[0]}")
    return found, damaged


@cache
def _warn(text: str) -> None:
    """Print a sentence to stderr, once."""
    print(printable(text), file=sys.stderr)


def here(runs: Runs, damaged: list[str]) -> Iterator[Measured]:
    """Jobs with a benchmark file in this folder, with the settings of their records, or the present ones without a record.

    Jobs that resumed from a checkpoint are left out, because the file covers only their last part. Reasons to leave out a file
    are added to `damaged`.
    """
    for path in sorted(BENCHMARKS.rglob("*.tsv")):
        name = name_of(path.relative_to(BENCHMARKS))
        log = LOGS / path.relative_to(BENCHMARKS).with_suffix(".log")
        if _begins(log, b"going on from update "):
            continue
        run = name.run or next(iter(runs.settings.experiments))
        sections = sections_of(runs, run, _settings(name.record)) if name.record else None
        if sections is None:
            continue
        try:
            job = timeline.read_job(path)
        except RadtError as error:  # cut off by a crash
            damaged.append(str(error))
        else:
            yield from measured(name, run, "measured here", sections, job)


def _begins(path: Path, start: bytes) -> bool:
    """Whether a file begins with some bytes; false for a missing file."""
    try:
        with path.open("rb") if path.is_file() else io.BytesIO() as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def _settings(record: Path) -> dict[str, Any]:
    """The settings of a record; empty when it cannot be read."""
    with suppress(RadtError):
        return provenance.read(record).settings
    return {}


def recorded(runs: Runs, damaged: list[str]) -> Iterator[Measured]:
    """Jobs of the recorded results, with the settings beside them; reasons to leave some out are added to `damaged`."""
    for path in sorted(provenance.RECORDED.glob("*/timeline.csv")):
        run, settings = path.parent.name, path.with_name("settings.json")
        try:
            recorded_settings, jobs = artifacts.read_json(settings), timeline.read_table(path)
            if not isinstance(recorded_settings, dict):
                raise RadtError(f"{settings} holds no settings: restore it from the repository")
        except RadtError as error:
            damaged.append(str(error))
            continue
        if sections := sections_of(runs, run, recorded_settings):
            for job in jobs:
                yield from measured(Name(run, job.rule, job.name), run, "recorded", sections, job)


def measured(name: Name, run: str, place: str, sections: Sections, job: timeline.Job) -> Iterator[Measured]:
    """A measured job, if its kind is known. Its time is wall time on a GPU, and time on an idle machine on a CPU (`alone`)."""
    try:
        key = key_of(name, sections)
    except KeyError:
        return
    wall = job.stop - job.start
    seconds = wall if key.device == "cuda" else alone(wall, job.cpu / ranks_of(name.folder, sections))
    yield Measured(key, run, place, sections, seconds, job.memory * 2**20)


def estimate(name: Name, run: str, sections: Sections, known: list[Measured]) -> Estimate | None:
    """Predicted cost of a job; None for an unknown stage, or when no job of its kind was measured and the stage has no `rate`.

    Measured jobs are ranked by: same device, similar work, same run, measured here, same world. Of equally good ones (seeds), the
    mean time and the largest memory count. Ranks share the work of a training; each has its own memory.
    """
    try:
        key = key_of(name, sections)
    except KeyError:
        return None
    stage = STAGES[name.folder]
    guides = [job for job in known if (job.key.folder, job.key.model) == (key.folder, key.model)]
    if not guides:
        demand = stage.demand(sections, key.model)
        if stage.rate is None:
            return None
        return Estimate(stage.start + stage.rate * demand.work, LEAST, demand.disk, "its settings alone")
    there = [job for job in guides if job.key.device == key.device]
    if not there:
        sections = moved(sections, stage.section, guides[0].key.device)
    demand = stage.demand(sections, key.model)

    def distance(job: Measured) -> tuple[bool, bool, bool, bool, float, str]:
        ratio = abs(math.log(max(stage.demand(job.sections, key.model).work, 1.0) / max(demand.work, 1.0)))
        other = job.sections.experiment.kind != sections.experiment.kind
        return ratio > math.log(FAR), job.run != run, job.place == "recorded", other, round(ratio, 6), job.run

    distances = [(distance(job), job) for job in there or guides]
    nearest = min(far for far, _ in distances)
    best = [job for far, job in distances if far == nearest]
    was = stage.demand(best[0].sections, key.model)
    start = min(stage.start, *(job.seconds for job in best))
    worked = [(job.seconds - start) * ranks_of(name.folder, job.sections) for job in best]
    ranks = ranks_of(name.folder, sections)
    seconds = start + sum(worked) / len(best) / ranks * (demand.work / was.work if was.work else 1.0)
    most = max(job.memory / ranks_of(name.folder, job.sections) for job in best) + demand.memory - was.memory
    memory = ranks * (most + (0.0 if there or key.device == "cpu" else CUDA))
    origin = best[0].place if best[0].run == run else f"{best[0].run}, {best[0].place}"
    origin += "" if there else f", on a {'CPU' if key.device == 'cuda' else 'GPU'}"
    return Estimate(seconds, max(memory, ranks * LEAST), demand.disk, origin)
