"""Reading and checking the CSV files of figures.

Every problem raises `RadtError` with one sentence that names the file and the remedy, so that no curve is drawn from half a run.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO
from itertools import accumulate
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radt import artifacts
from radt.errors import RadtError
from radt.settings.evaluation import Evaluate
from radt.settings.experiment import Experiment
from radt.settings.registry import THEMES

EVALUATION = {
    "experiment": "str",
    "method": "str",
    "seed": "int64",
    "split": "str",
    "task": "int64",
    "episode": "int64",
    "return": "float64",
    "optimum": "float64?",
    "success": "float64?",
}
METRICS = {"model": "str", "seed": "int64", "update": "int64", "loss": "float64", "accuracy": "float64"}
METRICS |= {"learning_rate": "float64", "gradient_norm": "float64", "parameters": "int64", "cpu_seconds": "float64"}
LEARNING = {"step": "int64", "return_mean": "float64", "return_low": "float64?", "return_high": "float64?"}
PAPER = {"experiment": "str", "split": "str", "method": "str", "episode": "int64", "return": "float64"}
PAPER_ABLATIONS = {"ablation": "str", "variant": "str", "last": "float64", "average": "float64?"}
CURVE = ("experiment", "variant", "method", "split")
KINDS = {"str": "a word", "int64": "a whole number from 0 on", "float64": "a finite number"}  # with `?` behind it: or nothing
LARGEST = 2**28  # bytes of a file
AGAIN = "delete it and run the workflow again, which makes it anew"
RESTORE = "restore it from the repository"
SOMETIMES = ("success", "success_1", "success_last", "last_normalised", "average_normalised")
"""Optional columns, for environments that report success, and for experiments with an expert."""
SPLITS = ("held_out", "unseen", "train", "validation")
PAPER_SPLITS = {"eval": "held_out", "train": "train"}


def read(path: Path, columns: dict[str, str], remedy: str) -> pd.DataFrame:
    """The named columns of a CSV file, by their types; lines that start with `#` are comments, other columns are left out.

    Columns of `SOMETIMES` may be missing.

    Raises `RadtError`, which ends with `remedy`, for any other file: missing, too large, not UTF-8, rows of another length than
    the header, a duplicate column, or values that are missing, of another type, negative counts or not finite.
    """
    text = _text(path, remedy)
    try:
        kinds = {column: "str" for column, kind in columns.items() if kind.startswith("str")}
        frame = pd.read_csv(StringIO(text), keep_default_na=False, na_values=[""], dtype=kinds, index_col=False)
    except Exception:  # pandas has no common class for what it raises
        raise RadtError(f"{path} is not a CSV file: {remedy}") from None
    if missing := [column for column in columns if column not in (*frame.columns, *SOMETIMES)]:
        raise RadtError(f"{path} lacks the column {missing[0]!r}: {remedy}")
    frame = frame.reindex(columns=list(columns))
    for column, kind in columns.items():
        if not _holds(frame[column], kind):
            raise RadtError(f"{path} has a value in column {column!r} that is missing or not {KINDS[kind.strip('?')]}: {remedy}")
    return frame.astype({column: {"int64?": "Int64"}.get(kind, kind.strip("?")) for column, kind in columns.items()})


def _text(path: Path, remedy: str) -> str:
    """Text of a CSV file without comments; raises `RadtError` when a row does not fit the header."""
    content = artifacts.read_bytes(path, LARGEST, remedy)
    try:
        lines = [line for line in content.decode("utf-8-sig").replace("\r\n", "\n").split("\n") if not line.startswith("#")]
        rows = [row for row in csv.reader(lines, strict=True) if row]
    except (UnicodeDecodeError, csv.Error):
        raise RadtError(f"{path} is not a CSV file: {remedy}") from None
    header = rows[0] if rows else []
    if not header or len(set(header)) != len(header):
        raise RadtError(f"{path} is not a CSV file with one name for each column: {remedy}")
    if wrong := [row for row in rows if len(row) != len(header)]:
        raise RadtError(f"{path} has a row of {len(wrong[0])} values under {len(header)} columns, {wrong[0][:3]}: {remedy}")
    return "\n".join(lines)


def _holds(values: pd.Series, kind: str) -> bool:
    """Whether all values are of a kind of `KINDS`."""
    if kind.endswith("?"):
        return _holds(values.dropna(), kind[:-1])
    if kind == "str" or values.isna().any():
        return not values.isna().any()
    if not len(values):
        return True
    if values.dtype.kind not in "iuf":
        return False
    numbers = values.to_numpy(np.float64)
    return bool(np.isfinite(numbers).all() and (kind == "float64" or ((numbers == np.floor(numbers)) & _counts(values)).all()))


def _counts(values: pd.Series) -> pd.Series:
    """Mask of the values that are at least 0 and fit their dtype."""
    return (values >= 0) & (values <= (np.iinfo(np.int64).max if values.dtype.kind in "iu" else 2**53))


def lines(path: Path, columns: dict[str, str], remedy: str) -> pd.DataFrame:
    """The curves in a CSV file (`radt.figures.curves`), as `read`; raises `RadtError` when one has not every episode once."""
    frame = read(path, columns, remedy)
    for curve, episodes in frame.groupby([name for name in CURVE if name in columns])["episode"]:
        if sorted(episodes) != list(range(1, len(episodes) + 1)):
            raise RadtError(f"{path} has not every episode of {' '.join(map(str, curve))} once: {remedy}")
    return frame


def check_intervals(path: Path, frame: pd.DataFrame, remedy: str) -> None:
    """Raise `RadtError` where the file at `path` has one end of an interval and lacks the other; curves have `low` and `high`,
    tables `last_ci_low`, `last_ci_high` and so on.
    """
    for low in (name for name in map(str, frame) if name.endswith("low")):
        high = f"{low.removesuffix('low')}high"
        if (frame[low].isna() != frame[high].isna()).any():
            raise RadtError(f"{path} has one of {low} and {high} without the other: {remedy}")


def evaluations(paths: Iterable[Path], experiment: Experiment, protocols: dict[str, Evaluate]) -> pd.DataFrame:
    """All evaluation files as one table, columns of `EVALUATION`, in a fixed order whatever the order of `paths`.

    Each file holds one seed of one method in one of the runs `protocols` (evaluation settings by name: an experiment, or the
    variants of an ablation) and, for every split of `evaluate.splits`, all tasks of `experiment` with all their episodes.
    """
    frames: dict[tuple[str, str, int], pd.DataFrame] = {}
    for path in paths:
        frame = read(path, EVALUATION, AGAIN)
        _check_run(path, frame, protocols)
        first = frame.iloc[0]
        _check_rows(path, frame, experiment, protocols[first["experiment"]])
        key = str(first["experiment"]), str(first["method"]), int(first["seed"])
        if key in frames:
            raise RadtError(f"{path} repeats method {key[1]!r}, seed {key[2]} of another file: name one file for each")
        frames[key] = frame
    if absent := [name for name in protocols if name not in {run for run, _, _ in frames}]:
        raise RadtError(f"no evaluation file holds {absent[0]!r}: name its files too")
    parts = []
    for name, evaluate in protocols.items():
        methods = method_order({method for run, method, _ in frames if run == name}, evaluate)
        keys = sorted((key for key in frames if key[0] == name), key=lambda key: (methods.index(key[1]), key[2]))
        parts += [frames[key] for key in keys]
    return pd.concat(parts, ignore_index=True)


def _check_run(path: Path, frame: pd.DataFrame, protocols: dict[str, Evaluate]) -> None:
    """Refuse a file of another experiment or method, or of several runs."""
    found = list(frame["experiment"].unique())
    if len(found) != 1 or found[0] not in protocols:
        expected = " or ".join(repr([name]) for name in protocols)
        raise RadtError(f"{path} holds experiments {found}, expected is {expected}: name the files of this experiment")
    if len(frame[["method", "seed"]].drop_duplicates()) != 1:
        raise RadtError(f"{path} holds more than one method or seed: {AGAIN}")
    if (method := frame["method"].iloc[0]) not in protocols[found[0]].methods:
        raise RadtError(f"{path} holds method {method!r}, which evaluate.methods does not name: leave it out or add the method")


def _check_rows(path: Path, frame: pd.DataFrame, experiment: Experiment, evaluate: Evaluate) -> None:
    """Refuse a file with missing, foreign or repeated rows, or with returns that no episode has."""
    if frame.duplicated(["split", "task", "episode"]).any():
        raise RadtError(f"{path} has two rows for the same split, task and episode: {AGAIN}")
    expected_episodes = set(range(1, evaluate.episodes + 1))
    for split in evaluate.splits:
        rows, tasks = frame[frame["split"] == split], split_tasks(experiment).get(split, range(0))
        if (found_tasks := rows["task"].nunique()) != len(tasks):
            raise RadtError(f"{path} has {found_tasks} of the {len(tasks)} tasks of split {split!r}: {AGAIN}")
        if foreign := sorted(set(rows["task"]) - set(tasks)):
            raise RadtError(f"{path} has task {foreign[0]} in split {split!r}, allowed are {tasks[0]} to {tasks[-1]}: {AGAIN}")
        for task, episodes in rows.groupby("task")["episode"]:
            if set(episodes) != expected_episodes:
                raise RadtError(f"{path} has episodes other than 1 to {evaluate.episodes} for task {task} of {split!r}: {AGAIN}")
    if extra := sorted(set(frame["split"]) - set(evaluate.splits)):
        raise RadtError(f"{path} holds split {extra[0]!r}, which evaluate.splits does not name: {AGAIN}")
    if ((frame["return"] > frame["optimum"]) | ((frame["return"] < 0) & frame["optimum"].notna())).any():
        raise RadtError(f"{path} has a return that is below 0 or above the optimum of its task: {AGAIN}")


def split_tasks(experiment: Experiment) -> dict[str, range]:
    """Ids of the tasks of each split."""
    ends = accumulate(experiment.sizes.values())
    return {split: range(end - size, end) for (split, size), end in zip(experiment.sizes.items(), ends, strict=True)}


def tested(splits: Iterable[str]) -> str:
    """The split of tasks that were not trained on: held out, else unseen levels, else validation; else training."""
    found = set(splits)
    return next(split for split in ("held_out", "unseen", "validation", "train") if split in found)


def method_order(methods: Iterable[str], evaluate: Evaluate) -> list[str]:
    """Methods by model (as in `THEMES`), the method named like its model first, then by name."""

    def key(method: str) -> tuple[int, bool, str]:
        model = evaluate.methods[method].model
        return list(THEMES).index(model), method != model, method

    return sorted(methods, key=key)


def scores(frame: pd.DataFrame, method: str, split: str, column: str = "return") -> NDArray[np.float64]:
    """One column of checked evaluations as [seeds, tasks, episodes]."""
    rows = frame[(frame["method"] == method) & (frame["split"] == split)].sort_values(["seed", "task", "episode"])
    shape = rows["seed"].nunique(), rows["task"].nunique(), rows["episode"].nunique()
    return rows[column].to_numpy(np.float64).reshape(shape)


def training(paths: Iterable[Path]) -> pd.DataFrame:
    """The last row of every training run: columns of `METRICS`, one row for each model and seed; no rows for no paths."""
    last: dict[tuple[str, int], pd.DataFrame] = {}
    for path in paths:
        frame = read(path, METRICS, AGAIN)
        if len(frame[["model", "seed"]].drop_duplicates()) != 1:
            raise RadtError(f"{path} does not hold exactly one training run: {AGAIN}")
        run = (str(frame["model"].iloc[0]), int(frame["seed"].iloc[0]))
        if run in last:
            raise RadtError(f"{path} repeats model {run[0]!r}, seed {run[1]} of another file: name one file for each")
        last[run] = frame.sort_values("update", kind="stable").tail(1)
    return pd.concat(list(last.values()), ignore_index=True) if last else pd.DataFrame(columns=list(METRICS))


def learning(files: dict[str, Path]) -> pd.DataFrame:
    """The learning curves (`radt.data.curve`) of the histories behind each variant, columns `LEARNING` and `variant`."""
    parts = [read(path, LEARNING, AGAIN).assign(variant=variant) for variant, path in files.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*LEARNING, "variant"])


def paper(path: Path, name: str) -> pd.DataFrame:
    """The paper's points of one experiment: split (by our names), method, episode, return; empty for an experiment that it lacks.

    Negative returns, which are errors of reading off the paper's figure, become 0.
    """
    frame = read(path, PAPER, RESTORE)
    if unknown := sorted(set(frame["split"]) - set(PAPER_SPLITS)):
        raise RadtError(f"{path} has split {unknown[0]!r}, allowed are {sorted(PAPER_SPLITS)}: {RESTORE}")
    if frame.duplicated(["experiment", "split", "method", "episode"]).any():
        raise RadtError(f"{path} has two rows for the same curve and episode: {RESTORE}")
    rows = frame[frame["experiment"] == name].drop(columns="experiment")
    rows = rows.assign(**{"split": rows["split"].map(PAPER_SPLITS), "return": rows["return"].clip(lower=0.0)})
    return rows.sort_values(["split", "method", "episode"])


def paper_ablation(path: Path, ablation: str) -> pd.DataFrame:
    """The paper's columns `last` and `average` (NaN where not known) of one ablation, by variant; empty for one it lacks."""
    frame = read(path, PAPER_ABLATIONS, RESTORE)
    if frame.duplicated(["ablation", "variant"]).any():
        raise RadtError(f"{path} has two rows for the same variant: {RESTORE}")
    return frame[frame["ablation"] == ablation].set_index("variant")[["last", "average"]]


def paper_curve(points: pd.DataFrame, method: str, split: str, evaluate: Evaluate) -> pd.Series:
    """The paper's returns by episode, of its method of the same name, else of the method's model; empty when it has none."""
    known = set(points["method"])
    name = method if method in known else evaluate.methods[method].model
    rows = points[(points["method"] == name) & (points["split"] == split)]
    return rows.set_index("episode")["return"]
