"""What hashing and atomic writes cost: `python -m bench.safety results/darkroom`.

Does again, for every artifact, what its job did for safety: hash all files of the artifacts that it read (`provenance.check`),
write its own into a folder beside, flushed, hash them and rename them; and compares the seconds with those that the record says
the job took.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import tempfile
import time
from pathlib import Path

from radt import artifacts
from radt.pipeline import provenance
from radt.stages import run

COLUMNS = ("stage", "jobs", "seconds", "safety_seconds", "share", "megabytes")


def cost(record: Path) -> tuple[float, int]:
    """Seconds that safety takes for one artifact, and bytes that it hashes."""
    made = provenance.read(record)
    begin = time.perf_counter()
    provenance.check([Path(name) for name in made.inputs])
    checked = time.perf_counter() - begin
    read = {provenance.record_of(Path(name)) for name in made.inputs}
    files = [path.with_name(name) for path in [*read, record] if path.exists() for name in provenance.read(path).outputs]
    with tempfile.TemporaryDirectory(dir=record.parent) as folder:
        contents = {name: record.with_name(name).read_bytes() for name in made.outputs}
        plain = time.perf_counter()
        for name, content in contents.items():
            (Path(folder) / f"{name}.plain").write_bytes(content)
        begin = time.perf_counter()
        plain = begin - plain
        for name, content in contents.items():
            artifacts.write_bytes(Path(folder) / name, content)
            artifacts.sha256(Path(folder) / name)
        written = time.perf_counter() - begin
    return checked + max(0.0, written - plain), sum(path.stat().st_size for path in files)


def table(root: Path) -> list[tuple[str, int, float, float, float, float]]:
    """A row for each stage, columns `COLUMNS`: jobs, their seconds, those of safety and their share, megabytes hashed."""
    found: dict[str, list[tuple[float, float, int]]] = {}
    for record in provenance.records(root):
        made = provenance.read(record)
        seconds, size = cost(record)
        found.setdefault(made.stage.rpartition(".")[2], []).append((made.wall_seconds, seconds, size))
    rows = []
    for stage, jobs in found.items():
        wall, safety, size = (sum(column) for column in zip(*jobs, strict=True))
        rows.append((stage, len(jobs), round(wall, 1), round(safety, 3), round(safety / wall, 4), round(size / 1e6, 1)))
    return rows


def main(argv: list[str] | None = None) -> int:
    """Print the table as CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="results of an experiment, made on this machine")
    given = parser.parse_args(argv)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *table(given.root)])
    sys.stdout.write(text.getvalue())
    return 0


if __name__ == "__main__":
    run(main)
