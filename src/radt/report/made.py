"""How the results of an experiment were made, from the records beside them, else from other files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radt import artifacts
from radt.errors import RadtError
from radt.pipeline import provenance, timeline

TABLES = ("curves.csv", "table.csv", "seeds.csv")


@dataclass(frozen=True)
class Made:
    """How results were made. Without a record, commits, machines and date are unknown.

    CPU time is Snakemake's, as in docs/results.md, if it was kept; else the sum of the records.
    """

    commits: list[str]
    machines: list[str]
    finished: str | None
    jobs: int | None
    cpu_seconds: float | None
    settings: dict[str, Any] | None
    evaluations: list[Path]
    """The evaluations from which the curves were computed, if they exist."""

    def confidence(self, present: float) -> float:
        """Coverage of the intervals, from the settings of the results; `present` if these are unknown."""
        figure = (self.settings or {}).get("figure")
        told = figure.get("confidence") if isinstance(figure, dict) else None
        return told if isinstance(told, float) else present


def made(folder: Path, remedy: str) -> Made:
    """How the tables in `folder` were made.

    Raises `RadtError`, which ends with `remedy`, when a table or an evaluation differs from its record.
    """
    settings = folder / "settings.json"
    told: dict[str, Any] | None = artifacts.read_json(settings) if settings.exists() else None
    if told is not None and not isinstance(told, dict):
        raise RadtError(f"{settings} holds no settings: {remedy}")
    times = [job.cpu for job in timeline.read_table(folder / "timeline.csv")] if (folder / "timeline.csv").exists() else []
    if not artifacts.is_there(record := provenance.record_of(folder / TABLES[0])):
        return Made([], [], None, len(times) or None, sum(times) or None, told, [])
    records = [provenance.read(path) for path in provenance.chain(folder / TABLES[0])]
    return Made(
        commits=list(dict.fromkeys(one.commit for one in records)),
        machines=list(dict.fromkeys(one.machine for one in records)),
        finished=max(one.finished for one in records),
        jobs=len(times or records),
        cpu_seconds=sum(times or [one.cpu_seconds for one in records]),
        settings={name: one.settings[name] for one in records for name in one.settings} or told,
        evaluations=_recorded(record, remedy),
    )


def _recorded(path: Path, remedy: str) -> list[Path]:
    """The existing evaluations behind a figure; raises `RadtError` when one of them, or a table, differs from its record."""
    record = provenance.read(path)
    files = {path.with_name(name): record.outputs.get(name) for name in TABLES}
    sources = {provenance.source(path, name): known for name, known in record.inputs.items() if "/evaluate/" in name}
    for file, known in {**files, **sources}.items():
        if artifacts.is_there(file) and artifacts.sha256(file) != known:
            raise RadtError(f"{file} is not the file that was recorded: {remedy}")
    return [file for file in sources if artifacts.is_there(file)]
