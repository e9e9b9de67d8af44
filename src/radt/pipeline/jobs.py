"""Names of jobs, which connect the log, the benchmark and the record of a job."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from radt.settings.registry import TRAINED

LOGS, BENCHMARKS, STATE = Path("logs"), Path("benchmarks"), Path("state")

RECORDS = {
    "trajectories": "{run}/trajectories/{file}",
    "features": "{run}/features/{file}",
    "rl": "{run}/rl/{name}.{file}",
    "embed": "{run}/embed/{name}/{file}",
    "index": "{run}/index/{name}/{file}",
    **{method.stage: f"{{run}}/{method.folder}/{{seed}}/{{file}}" for method in TRAINED.values()},
    "train_retrieval": "{run}/train/{what}/{seed}/{file}",  # of two methods
    "evaluate_retrieval": "{run}/evaluate/{what}/{seed}.{file}",
    "evaluate_plain": "{run}/evaluate/{what}/{seed}.{file}",
    "evaluate_reference": "{run}/evaluate/{what}/{seed}.{file}",
    "figure": "{run}/{file}",
    "overview": "overview.{file}",
    "ablations": "ablations/{name}.{file}",
}
"""Path of a job's record below results/, by the folder of its log; tests/test_plan.py compares it with the Snakefile."""


@dataclass(frozen=True)
class Name:
    """A job by the path of its log in logs/, or of its benchmark in benchmarks/: `{run}/{folder}/{name}`.

    `run` is empty for jobs of several experiments.
    """

    run: str
    folder: str
    name: str

    @property
    def what(self) -> str:
        """The name without seed or task: a model, a method or an encoder; empty if it is only a seed."""
        return re.sub(r"_?(seed|task)\d+$", "", self.name)

    @property
    def record(self) -> Path | None:
        """Path of its record, relative to the project; None for a folder of no rule."""
        if self.folder not in RECORDS:
            return None
        seed = self.name[len(self.what) :].lstrip("_")
        parts = {"run": self.run, "name": self.name, "what": self.what, "seed": seed, "file": "provenance.json"}
        return Path("results") / RECORDS[self.folder].format(**parts)

    @property
    def state(self) -> Path | None:
        """Folder of the checkpoint of a training, relative to the project; None for a folder of no rule."""
        return None if self.record is None else Path(STATE, self.run, *self.record.parent.parts[-2:])

    def __str__(self) -> str:
        return "/".join(filter(None, (self.run, self.folder, self.name)))


def name_of(path: Path) -> Name:
    """The job of a log or benchmark file, whose path is relative to `logs` or `benchmarks`."""
    *run, folder, name = ["", *path.with_suffix("").parts] if len(path.parts) > 1 else ["", path.stem, path.stem]
    return Name("/".join(filter(None, run)), folder, name)
