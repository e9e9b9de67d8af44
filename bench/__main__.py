"""Measure everything, print a table, write it as JSON, and tell what became slower: `python -m bench --help`."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from bench.harness import Measurement
from radt import artifacts
from radt.errors import RadtError
from radt.machine import machine
from radt.stages import run
from radt.training import loop

MODULES = ("engines", "training", "search", "embedding", "evaluation", "reading", "startup")
ON_A_GPU = ("training", "search")
TOLERANCE = 0.15
RECORDED = Path("docs") / "bench"


def recorded_path(kind: str) -> Path:
    """Where git keeps the measurements of a kind of machine."""
    return RECORDED / f"{re.sub(r'[^a-z0-9]+', '-', kind.lower()).strip('-')}.json"


def read(path: Path) -> list[Measurement]:
    """The measurements in a file; raises `RadtError` when it is missing or holds something else."""
    try:
        return [Measurement(**entry) for entry in artifacts.read_json(path)]
    except TypeError:
        raise RadtError(f"{path} holds no measurements of this version: run `make bench` again") from None


def replaced(before: Sequence[Measurement], now: Sequence[Measurement]) -> list[Measurement]:
    """The measurements `now`, after those of `before` that have other names."""
    again = {entry.name for entry in now}
    return [*(entry for entry in before if entry.name not in again), *now]


def regressions(now: Sequence[Measurement], before: Sequence[Measurement]) -> list[str]:
    """A line for each measurement whose ratio fell by more than `TOLERANCE` since `before`."""
    old = {entry.name: entry for entry in before}
    return [
        f"{entry.name}: ratio {entry.ratio:.3g}, was {old[entry.name].ratio:.3g} at {old[entry.name].commit}"
        for entry in now
        if entry.name in old and entry.ratio < (1 - TOLERANCE) * old[entry.name].ratio
    ]


def table(entries: Sequence[Measurement]) -> str:
    """The measurements as a Markdown table."""
    rows = ["| what | ours | peer | ratio | at least | met | peer is |", "|---|---|---|---|---|---|---|"]
    for entry in entries:
        met = "" if entry.target is None else "yes" if entry.ratio >= entry.target else "**no**"
        rates = f"{entry.ours:.3g} {entry.unit} | {entry.peer:.3g}"
        target = "" if entry.target is None else f"{entry.target:g}"
        rows.append(f"| {entry.name} | {rates} | {entry.ratio:.3g} | {target} | {met} | {entry.peer_name} |")
    measured = sorted({f"{entry.machine}; commit {entry.commit}; median of {entry.runs} runs" for entry in entries})
    return "\n".join([*rows, "", *measured])


def main(argv: list[str] | None = None) -> int:
    """Command line of the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=MODULES, default=MODULES, help="measure these, and keep the rest of the files"
    )
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each side")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where training and search compute")
    parser.add_argument("--output", type=Path, default=Path("results") / "bench.json", help="file to write")
    parser.add_argument("--keep", action="store_true", help="also keep the result for this kind of machine, in docs/bench/")
    parser.add_argument("--markdown", action="store_true", help="measure nothing, print the table of the output file")
    given = parser.parse_args(argv)
    if given.runs < 1:
        raise RadtError(f"--runs is {given.runs}, allowed is 1 or more")
    if given.markdown:
        print(table(read(given.output)))
        return 0
    if given.device == "cuda" and not {*given.only} <= {*ON_A_GPU}:
        raise RadtError(f"--device cuda is for {' and '.join(ON_A_GPU)}: add --only {' '.join(ON_A_GPU)}")
    if loop.prepare(given.device) == "cuda":
        torch.cuda.init()  # from now on the machine's name has the GPU's
    path = recorded_path(machine())
    before = read(path) if path.exists() else []
    others = read(given.output) if given.only != MODULES and given.output.exists() else []
    entries: list[Measurement] = []
    for name in given.only:
        print(f"measuring {name}", flush=True)
        device = [given.device] if name in ON_A_GPU else []
        entries += importlib.import_module(f"bench.{name}").measure(given.runs, *device)
        artifacts.write_json(given.output, [asdict(entry) for entry in replaced(others, entries)])
    print(table(entries))
    for line in regressions(entries, before):
        print(f"regression: {line}")
    if given.keep:
        recorded = entries if given.only == MODULES else replaced(before, entries)
        artifacts.write_json(path, [asdict(entry) for entry in recorded])
        print(f"recorded in {path}")
    return 0


if __name__ == "__main__":
    run(main)
