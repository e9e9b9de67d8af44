"""Reading and checking the CSV files that the figure is made of.

Every problem raises `RadtError` with one sentence that names the file and the remedy, so that no curve is drawn from half a run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radt.errors import RadtError
from radt.settings import Evaluate, Experiment

EVALUATION = {
    "experiment": "str",
    "method": "str",
    "seed": "int64",
    "split": "str",
    "task": "int64",
    "episode": "int64",
    "return": "float64",
    "optimum": "float64",
}
METRICS = {"model": "str", "seed": "int64", "update": "int64", "parameters": "int64", "cpu_seconds": "float64"}
PAPER = {"experiment": "str", "split": "str", "method": "str", "episode": "int64", "return": "float64"}
KINDS = {"str": "a word", "int64": "a whole number", "float64": "a number"}
AGAIN = "delete it and run the workflow again, which makes it anew"
SPLITS = ("held_out", "train", "validation")
MODELS = ("radt", "ad", "dt")
PAPER_SPLITS = {"eval": "held_out", "train": "train"}


def read(path: Path, columns: dict[str, str], remedy: str) -> pd.DataFrame:
    """The named columns of a CSV file, by their types; lines that start with `#` are comments, other columns are left out."""
    try:
        frame = pd.read_csv(path, comment="#", keep_default_na=False, na_values=[""])
    except OSError as error:
        raise RadtError(f"{path} cannot be read ({error.strerror}): {remedy}") from None
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError):
        raise RadtError(f"{path} is not a CSV file: {remedy}") from None
    if missing := [column for column in columns if column not in frame.columns]:
        raise RadtError(f"{path} lacks the column {missing[0]!r}: {remedy}")
    frame = frame[list(columns)]
    for column, kind in columns.items():
        if not _holds(frame[column], kind):
            raise RadtError(f"{path} has a value in column {column!r} that is missing or not {KINDS[kind]}: {remedy}")
    return frame.astype(columns)


def _holds(values: pd.Series, kind: str) -> bool:
    """Whether all values are of a kind of `KINDS`."""
    if kind == "str" or values.isna().any():
        return not values.isna().any()
    try:
        numbers = values.to_numpy(np.float64)
    except (ValueError, TypeError):
        return False
    return bool(np.isfinite(numbers).all() and (kind == "float64" or (numbers == np.floor(numbers)).all()))


def evaluations(paths: Iterable[Path], name: str, experiment: Experiment, evaluate: Evaluate) -> pd.DataFrame:
    """All evaluation files as one table, columns of `EVALUATION`, in a fixed order whatever the order of `paths`.

    Each file holds one seed of one method and, for every split of `evaluate.splits`, all its tasks with all their episodes.
    """
    frames: dict[tuple[str, int], pd.DataFrame] = {}
    for path in paths:
        frame = read(path, EVALUATION, AGAIN)
        _complete(path, frame, name, experiment, evaluate)
        run = (str(frame["method"].iloc[0]), int(frame["seed"].iloc[0]))
        if run in frames:
            raise RadtError(f"{path} repeats method {run[0]!r}, seed {run[1]} of another file: name one file for each")
        frames[run] = frame
    methods = method_order({method for method, _ in frames}, evaluate)
    runs = sorted(frames, key=lambda run: (methods.index(run[0]), run[1]))
    return pd.concat([frames[run] for run in runs], ignore_index=True)


def _complete(path: Path, frame: pd.DataFrame, name: str, experiment: Experiment, evaluate: Evaluate) -> None:
    """Refuse a file of another experiment or of several runs, and one with missing or repeated rows."""
    if (found := list(frame["experiment"].unique())) != [name]:
        raise RadtError(f"{path} holds experiments {found}, expected is [{name!r}]: name the files of this experiment")
    if len(frame[["method", "seed"]].drop_duplicates()) != 1:
        raise RadtError(f"{path} holds more than one method or seed: {AGAIN}")
    if (method := frame["method"].iloc[0]) not in evaluate.methods:
        raise RadtError(f"{path} holds method {method!r}, which evaluate.methods does not name: leave it out or add the method")
    if frame.duplicated(["split", "task", "episode"]).any():
        raise RadtError(f"{path} has two rows for the same split, task and episode: {AGAIN}")
    tasks = split_sizes(experiment)
    expected = set(range(1, evaluate.episodes + 1))
    for split in evaluate.splits:
        rows = frame[frame["split"] == split]
        if (found_tasks := rows["task"].nunique()) != tasks[split]:
            raise RadtError(f"{path} has {found_tasks} of the {tasks[split]} tasks of split {split!r}: {AGAIN}")
        for task, episodes in rows.groupby("task")["episode"]:
            if set(episodes) != expected:
                raise RadtError(f"{path} has episodes other than 1 to {evaluate.episodes} for task {task} of {split!r}: {AGAIN}")
    if extra := sorted(set(frame["split"]) - set(evaluate.splits)):
        raise RadtError(f"{path} holds split {extra[0]!r}, which evaluate.splits does not name: {AGAIN}")


def split_sizes(experiment: Experiment) -> dict[str, int]:
    """Tasks of each split."""
    rest = experiment.tasks - experiment.held_out - experiment.validation
    return {"held_out": experiment.held_out, "train": rest, "validation": experiment.validation}


def method_order(methods: Iterable[str], evaluate: Evaluate) -> list[str]:
    """Methods by model (as in `MODELS`), the method named like its model first, then by name."""

    def key(method: str) -> tuple[int, bool, str]:
        model = evaluate.methods[method].model
        return MODELS.index(model), method != model, method

    return sorted(methods, key=key)


def scores(frame: pd.DataFrame, method: str, split: str, column: str = "return") -> NDArray[np.float64]:
    """One column of checked evaluations as [seeds, tasks, episodes]."""
    rows = frame[(frame["method"] == method) & (frame["split"] == split)].sort_values(["seed", "task", "episode"])
    shape = rows["seed"].nunique(), rows["task"].nunique(), rows["episode"].nunique()
    return rows[column].to_numpy(np.float64).reshape(shape)


def training(paths: Iterable[Path]) -> pd.DataFrame:
    """The last row of every training run: columns of `METRICS`, one row for each model and seed."""
    last: dict[tuple[str, int], pd.DataFrame] = {}
    for path in paths:
        frame = read(path, METRICS, AGAIN)
        if len(frame[["model", "seed"]].drop_duplicates()) != 1:
            raise RadtError(f"{path} does not hold exactly one training run: {AGAIN}")
        run = (str(frame["model"].iloc[0]), int(frame["seed"].iloc[0]))
        if run in last:
            raise RadtError(f"{path} repeats model {run[0]!r}, seed {run[1]} of another file: name one file for each")
        last[run] = frame.sort_values("update", kind="stable").tail(1)
    return pd.concat(list(last.values()), ignore_index=True)


def paper(path: Path, name: str) -> pd.DataFrame:
    """The paper's points of one experiment: split (in our words), method, episode, return; empty for one it does not have."""
    frame = read(path, PAPER, "restore it from the repository")
    if unknown := sorted(set(frame["split"]) - set(PAPER_SPLITS)):
        raise RadtError(f"{path} has split {unknown[0]!r}, allowed are {sorted(PAPER_SPLITS)}: restore it from the repository")
    if frame.duplicated(["experiment", "split", "method", "episode"]).any():
        raise RadtError(f"{path} has two rows for the same curve and episode: restore it from the repository")
    rows = frame[frame["experiment"] == name].drop(columns="experiment")
    return rows.assign(split=rows["split"].map(PAPER_SPLITS)).sort_values(["split", "method", "episode"])


def paper_curve(points: pd.DataFrame, method: str, split: str, evaluate: Evaluate) -> pd.Series:
    """The paper's returns by episode, of its method of the same name, else of the method's model; empty when it has none."""
    known = set(points["method"])
    name = method if method in known else evaluate.methods[method].model
    rows = points[(points["method"] == name) & (points["split"] == split)]
    return rows.set_index("episode")["return"]
