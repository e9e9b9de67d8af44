"""Memory and time requests of jobs on a cluster: estimate x safety, doubled per retry."""

from __future__ import annotations

import math
from functools import cache, cached_property
from pathlib import Path

from radt.pipeline.costs import Sections
from radt.pipeline.jobs import Name, name_of
from radt.pipeline.measured import Estimate, Measured, estimate, known
from radt.pipeline.runs import Runs
from radt.settings.parsing import parse

MEMORY, WITHIN = 1.5, 500e6
"""Safety factor of memory, and bytes for the Snakemake inside a cluster job (measured: twice 150 MB)."""
TIME, STARTING = 3.0, 600.0
"""Safety factor of time, because other cores may be slower, and seconds for slow disks and starts."""
UNKNOWN = Estimate(86400 / TIME, 4e9, 0.0, "nothing")
"""Request if no similar job was measured: a day and 4 GB."""


class Needs:
    """Memory and time of the jobs of a configuration, by the path of their benchmark file below `benchmarks/`."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._alike = cache(self._estimate_once)
        self._sections = cache(lambda run: parse(Sections, runs.sections(run)))

    def memory(self, job: str, attempt: int) -> int:
        """MB for a job at its first, second, ... attempt."""
        return math.ceil((MEMORY * self._estimate(job).memory + WITHIN) / 1e6) << (attempt - 1)

    def minutes(self, job: str, attempt: int) -> int:
        """Minutes for a job at its first, second, ... attempt."""
        return math.ceil((TIME * self._estimate(job).seconds + STARTING) / 60) << (attempt - 1)

    @cached_property
    def _known(self) -> list[Measured]:
        """Measured jobs."""
        return known(self._runs)[0]

    def _estimate(self, job: str) -> Estimate:
        """Predicted cost of a job; the same for jobs that differ only in seed or task."""
        name = name_of(Path(job))
        return self._alike(name.run, name.folder, name.what)

    def _estimate_once(self, run: str, folder: str, what: str) -> Estimate:
        of = run or next(iter(self._runs.settings.experiments))
        return estimate(Name(run, folder, what), of, self._sections(of), self._known) or UNKNOWN
