"""Check that all results are undamaged and consistent: `python -m radt verify`."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

from tqdm import tqdm

from radt.errors import RadtError
from radt.pipeline import provenance

RESTORE = "restore it from the repository, or record the present results (make record)"


def verify(root: Path) -> list[str]:
    """Faults of the results below `root`, a sentence each: damaged, missing, changed and unknown files.

    Every file is hashed again, on all cores. In results/recorded/, copies without a record are ignored, and files that are only
    in DVC may be missing. Raises `RadtError` when there are no results, and for a folder that is not below results/.
    """
    if "results" not in Path(os.path.normpath(root)).parts:
        raise RadtError(f"{root} is not below results/: name a folder of results")
    made = provenance.records(root)
    with ThreadPoolExecutor(cpu_count()) as pool:
        found = list(tqdm(pool.map(_faults, made), total=len(made), unit="artifact", disable=None))
    faults = dict.fromkeys(fault for _, faults in found for fault in faults)
    return [*faults, *([] if provenance.is_copy(root) else _strange(root, set(made).union(*(names for names, _ in found))))]


def _strange(root: Path, known: set[Path]) -> list[str]:
    """A sentence for each file below `root` that is not among the `known` ones; files directly in results/ are ignored."""
    strange = [path for path in provenance.files(root) if path not in known and path.parent.name != "results"]
    return [f"{path} is in no record (radt did not write it, or its record is gone): move it elsewhere" for path in strange]


def faults_of(record: Path) -> list[str]:
    """Faults of the files and inputs of a record, a sentence each; the remedy for copies is not Snakemake."""
    found = []
    for look in (provenance.problems, provenance.broken_links):
        try:
            found += look(record)
        except RadtError as error:  # of the record of an input
            found.append(str(error))
    return [f"{fault.rpartition(': ')[0]}: {RESTORE}" for fault in found] if provenance.is_copy(record) else found


def _faults(record: Path) -> tuple[set[Path], list[str]]:
    """The files of a record, and their faults; a damaged record counts for all files of its folder."""
    try:
        made = provenance.read(record)
    except provenance.NewerError as error:
        return set(record.parent.iterdir()), [str(error)]
    except RadtError as error:
        return set(record.parent.iterdir()), faults_of(record)[:1] or [str(error)]
    return {record.with_name(name) for name in [*made.outputs, *made.replaced]}, faults_of(record)
