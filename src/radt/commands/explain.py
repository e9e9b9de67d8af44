"""How a file was made, starting from the data: `python -m radt explain results/darkroom/figure.pdf`."""

from __future__ import annotations

import json
from pathlib import Path

from radt import artifacts
from radt.commands.verify import faults_of
from radt.errors import RadtError, printable
from radt.pipeline import provenance


def explain(path: Path) -> list[str]:
    """Lines on every artifact from the data to a file: when, on which machine, with which code and settings it was made.

    A line also says which inputs have changed since. The records in results/recorded/ are enough for their copies. Raises
    `RadtError` when the file has no record, or is not the file that was recorded.
    """
    if not path.name or not artifacts.is_there(record := provenance.record_of(path)):
        raise RadtError(f"{path} has no record: name a file that a job made, or one that was recorded with its record")
    if path.name not in {*provenance.read(record).outputs, record.name}:
        raise RadtError(f"{record} knows no {path.name}, only {', '.join(provenance.read(record).outputs)}: name one of these")
    lines: list[str] = []
    shown: dict[str, str] = {}
    for record in provenance.chain(path):
        made = provenance.read(record)
        lines += _told(record, made)
        for name, values in made.settings.items():
            text = json.dumps(values, sort_keys=True)
            if shown.get(name) != text:
                lines.append(f"    {name}: {text}")
                shown[name] = text
    return [printable(line) for line in lines]


def _told(record: Path, made: provenance.Record) -> list[str]:
    """Lines on how the artifact of a record was made, and on what has changed since."""
    spent = f"{made.wall_seconds:.0f} s ({made.cpu_seconds:.0f} s CPU)"
    files = [record.with_name(name) for name in made.outputs]
    absent = [file.name for file in files if provenance.is_copy(record) and not artifacts.is_there(file)]
    return [
        ", ".join(file.as_posix() for file in files),
        f"    by {made.stage} {' '.join(made.arguments)}",
        f"    {made.finished}, {spent}, commit {made.commit}, code {made.code}",
        f"    {made.machine}, Python {made.python}, {', '.join(' '.join(item) for item in made.packages.items())}",
        *([f"    not in Git, but in DVC if there (make pull): {', '.join(absent)}"] if absent else []),
        *(f"    but {fault}" for fault in faults_of(record)),
    ]
