"""Shared by `film` and `episodes`: files about a trained agent that are written with a record, like results of the pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from radt import artifacts
from radt.agent import Trained
from radt.errors import RadtError
from radt.pipeline import atomic_stage, provenance


def evaluation_of(weights: Path, trained: Trained) -> Path:
    """Path of the evaluation's table of a trained agent, relative to the present folder.

    Raises `RadtError` when it has none, or its results are in another folder.
    """
    if trained.evaluation is None:
        raise RadtError(f"{weights} is a saved agent, without its evaluation: name a network among the results")
    table = Path(provenance.place(trained.evaluation))
    if not (table.exists() and table.samefile(trained.evaluation)):
        project = Path(str(trained.evaluation).removesuffix(str(table)))
        raise RadtError(f"{weights} is not among the results of this folder: go to {project} and try again")
    return table


def keep(
    command: str, content: Callable[[], bytes], trained: Trained, evaluation: Path, arguments: list[str], output: Path
) -> None:
    """Write `content` to `output`, with a record of the command, its `arguments`, the evaluation and its inputs.

    Raises `RadtError` when an input is damaged, or another process writes the same file.
    """

    def write(given: list[str]) -> int:
        artifacts.write_bytes(Path(given[-1]), content())
        return 0

    known = provenance.read(provenance.record_of(evaluation))
    given = ["--weights", provenance.place(trained.model), "--method", trained.method, *arguments]
    given += ["--settings", json.dumps(known.settings), "--output", str(output)]
    record = output.with_name(f"{output.stem}.{provenance.FILE}")
    atomic_stage.make(write, f"radt.commands.{command}", record, [evaluation, *map(Path, known.inputs)], given)
