"""One page of all results, to read without a network: `python -m radt report`."""

from __future__ import annotations

from pathlib import Path

from radt import artifacts
from radt.errors import printable
from radt.report.command import configurations
from radt.report.page import page
from radt.report.read import collect


def report(root: Path, output: Path) -> str:
    """Write the page of all experiments in a folder like results/recorded; returns a line on its content.

    Raises `RadtError` when there are no experiments or a file is damaged; then nothing is written.
    """
    known = configurations()
    results = collect(root, known)
    artifacts.write_text(output, page(results, known[None].settings.figure.confidence))
    names = ", ".join(one.name for one in results)
    return printable(f"{output}, {output.stat().st_size / 1e6:.1f} MB, to open in a browser: {names}")
