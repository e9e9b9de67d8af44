"""Whether all results are whole and fit together: `python -m radt verify`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

from tqdm import tqdm

from radt import provenance
from radt.errors import RadtError


def verify(root: Path) -> list[str]:
    """What is wrong with the results below `root`, a sentence each: damaged, missing, changed and unknown files.

    Hashes every file again, on all cores. Raises `RadtError` when there are no results.
    """
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_relative_to(provenance.RECORDED)]
    files = [path for path in files if not any(part.startswith(".") for part in path.parts) and path.parent != Path("results")]
    made = provenance.records(root)
    with ThreadPoolExecutor(cpu_count()) as pool:
        found = list(tqdm(pool.map(_faults, made), total=len(made), unit="artifact", disable=None))
    known = {record.with_name(name) for record, (names, _) in zip(made, found, strict=True) for name in names} | set(made)
    strange = [f"{path} is in no record: delete it, or run snakemake" for path in sorted(set(files) - known)]
    return [fault for _, faults in found for fault in faults] + strange


def _faults(record: Path) -> tuple[list[str], list[str]]:
    """The files that a record names, and what is wrong with them."""
    try:
        return list(provenance.read(record).outputs), [*provenance.problems(record), *provenance.broken_links(record)]
    except RadtError as error:
        return [], [str(error)]
