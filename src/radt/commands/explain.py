"""What made a file, from the data on: `python -m radt explain results/darkroom/figure.pdf`."""

from __future__ import annotations

import json
from pathlib import Path

from radt import provenance
from radt.errors import RadtError


def explain(path: Path) -> list[str]:
    """From the data to a file: what was made by what, when, on which machine, with which code and settings.

    Where something has changed since what follows was made from it, a line says so. Raises `RadtError` when nobody recorded the
    file, or when it is not the file that was recorded.
    """
    if provenance.place(path).startswith(f"{provenance.RECORDED}/"):
        raise RadtError(f"{path} is a copy: explain the file of the same name below results/ where it was made")
    record = provenance.record_of(path)
    if not record.exists():
        raise RadtError(f"{path} has no record: name a file below results/ that a job made")
    if path.name not in {*provenance.read(record).outputs, record.name}:
        raise RadtError(f"{record} knows no {path.name}, only {', '.join(provenance.read(record).outputs)}: name one of these")
    lines: list[str] = []
    told: dict[str, str] = {}
    for record in provenance.chain(path):
        made = provenance.read(record)
        lines.append(f"{', '.join(record.with_name(name).as_posix() for name in made.outputs)}")
        lines.append(f"    by {made.stage} {' '.join(made.arguments)}")
        spent = f"{made.wall_seconds:.0f} s ({made.cpu_seconds:.0f} s CPU)"
        lines.append(f"    {made.finished}, {spent}, commit {made.commit}, code {made.code}")
        lines.append(f"    {made.machine}, Python {made.python}, {', '.join(' '.join(item) for item in made.packages.items())}")
        lines += [f"    but {fault}" for fault in [*provenance.problems(record), *provenance.broken_links(record)]]
        for name, values in made.settings.items():
            text = json.dumps(values, sort_keys=True)
            if told.get(name) != text:
                lines.append(f"    {name}: {text}")
                told[name] = text
    return lines
