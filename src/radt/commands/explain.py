"""What made a file, from the data on: `python -m radt explain results/darkroom/figure.pdf`."""

from __future__ import annotations

import json
from pathlib import Path

from radt import provenance


def explain(path: Path) -> list[str]:
    """From the data to a file: what was made by what, when, on which machine, with which code and settings."""
    lines: list[str] = []
    told: dict[str, str] = {}
    for record in provenance.chain(path):
        made = provenance.read(record)
        lines.append(f"{', '.join(record.with_name(name).as_posix() for name in made.outputs)}")
        lines.append(f"    by {made.stage} {' '.join(made.arguments)}")
        spent = f"{made.wall_seconds:.0f} s ({made.cpu_seconds:.0f} s CPU)"
        lines.append(f"    {made.finished}, {spent}, commit {made.commit}, code {made.code}")
        lines.append(f"    {made.machine}, Python {made.python}, {', '.join(' '.join(item) for item in made.packages.items())}")
        for name, values in made.settings.items():
            text = json.dumps(values, sort_keys=True)
            if told.get(name) != text:
                lines.append(f"    {name}: {text}")
                told[name] = text
    return lines
