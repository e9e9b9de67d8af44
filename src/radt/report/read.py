"""The small files of every experiment that the page shows: curves, tables, seeds, and the curves of single seeds."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from radt import artifacts
from radt.errors import RadtError
from radt.figures import curves, table
from radt.figures.inputs import AGAIN, EVALUATION, RESTORE, SPLITS, check_intervals, lines, read
from radt.figures.page import SIGNS
from radt.pipeline.provenance import RECORDED, is_copy
from radt.pipeline.runs import Runs
from radt.report.command import Command, command
from radt.report.gallery import Recorded, recorded
from radt.report.made import Made, made
from radt.settings.registry import THEMES

SEEDS = {"experiment": "str", "method": "str", "split": "str", "seed": "int64", "last": "float64", "average": "float64"}
LARGEST_FILM = 2**20
"""Bytes of a film strip."""
RUNS = ["method", "split", "seed", "episode", "return"]


@dataclass(frozen=True)
class Results:
    """The results of an experiment that the page shows."""

    name: str
    title: str
    place: str
    """Path of its folder, from `results` on."""
    command: Command
    """The command that makes it again."""
    curves: pd.DataFrame
    table: pd.DataFrame
    seeds: pd.DataFrame
    """Last and average of every seed; no rows if they were not kept."""
    runs: pd.DataFrame
    """The curve of every seed, columns `RUNS`; no rows if evaluations were not kept."""
    film: str
    """The film strip `film.png` (`python -m radt film`) in base64; empty without one."""
    episodes: list[Recorded]
    """Recorded episodes (`python -m radt episodes`), by method and seed."""
    made: Made


def collect(root: Path, known: dict[Path | None, Runs]) -> list[Results]:
    """The results of all experiments in a folder like results/recorded, in the order of the overview.

    Args:
        root: the folder.
        known: configurations by file, the present one by None (`radt.report.command.configurations`).

    Raises `RadtError` when there are no results, or a file is damaged, of another experiment, or differs from its record.
    """
    if not root.is_dir():
        raise RadtError(f"{root} is no folder: name one with results, such as results/recorded")
    folders = sorted(path.parent for path in root.glob("*/curves.csv"))
    if not folders:
        raise RadtError(f"{root} holds no curves.csv of an experiment: make one first (make figure), or name results/recorded")

    experiments = known[None].settings.experiments

    def place(results: Results) -> tuple[float, float, str]:
        order = experiments[results.name].order if results.name in experiments else (float("inf"), 0)
        return *order, results.name

    return sorted((_results(folder, known) for folder in folders), key=place)


def _results(folder: Path, known: dict[Path | None, Runs]) -> Results:
    """The results in the folder of one experiment."""
    remedy = RESTORE if is_copy(folder) else AGAIN
    told = made(folder, remedy)
    points = lines(folder / "curves.csv", curves.COLUMNS, remedy)
    rows = read(folder / "table.csv", table.COLUMNS, remedy)
    seeds = read(folder / "seeds.csv", SEEDS, remedy) if (folder / "seeds.csv").exists() else pd.DataFrame(columns=list(SEEDS))
    name = folder.name
    for file, frame in (("curves.csv", points), ("table.csv", rows), ("seeds.csv", seeds)):
        if file != "seeds.csv" and frame.empty:
            raise RadtError(f"{folder / file} has no rows: {remedy}")
        if others := sorted(set(frame["experiment"]) - {name}):
            raise RadtError(f"{folder / file} holds experiment {others[0]!r}, expected is {name!r}, as its folder: {remedy}")
        check_intervals(folder / file, frame, remedy)
        if frame.duplicated([key for key in ("method", "split", "seed", "episode") if key in frame]).any():
            raise RadtError(f"{folder / file} has a row twice: {remedy}")
        if absent := sorted(_pairs(frame) ^ _pairs(points)) if len(frame) else []:
            raise RadtError(f"{folder / file} and curves.csv differ in {' '.join(absent[0])}: {remedy}")
    if unknown := sorted({*points["split"]} - set(SPLITS)):
        raise RadtError(f"{folder / 'curves.csv'} has split {unknown[0]!r}, allowed are {', '.join(SPLITS)}: {remedy}")
    told_verdicts = {*rows["last_verdict"].dropna(), *rows["average_verdict"].dropna()}
    if unknown := sorted(told_verdicts - SIGNS.keys()):
        raise RadtError(f"{folder / 'table.csv'} has verdict {unknown[0]!r}, allowed are {', '.join(SIGNS)}: {remedy}")
    if unknown := sorted({*points["model"], *rows["model"]} - THEMES.keys()):
        raise RadtError(f"{folder / 'curves.csv'} has model {unknown[0]!r}, which no method has: use the radt that made it")
    experiments = known[None].settings.experiments
    title = experiments[name].title if name in experiments else name
    place = f"{RECORDED if is_copy(folder) else 'results'}/{name}"
    runs, film = _runs(told.evaluations, remedy), folder / "film.png"
    picture = base64.b64encode(artifacts.read_bytes(film, LARGEST_FILM, remedy)).decode() if film.exists() else ""
    again = command(name, _settings(told, rows, seeds), known)
    episodes = recorded(folder, name, set(points["method"]), remedy)
    return Results(name, title, place, again, points, rows, seeds, runs, picture, episodes, told)


def _settings(told: Made, rows: pd.DataFrame, seeds: pd.DataFrame) -> dict[str, Any] | None:
    """The settings behind tables, with their methods and, if known, seeds; None if settings were not kept."""
    if told.settings is None:
        return None
    own = {"seeds": sorted(map(int, set(seeds["seed"])))} if len(seeds) else {}
    return {**told.settings, "methods": sorted(set(rows["method"])), **own}


def _pairs(frame: pd.DataFrame) -> set[tuple[str, str]]:
    """The curves of a table, by method and split."""
    return set(zip(frame["method"], frame["split"], strict=True))


def _runs(evaluations: Iterable[Path], remedy: str) -> pd.DataFrame:
    """The mean over tasks for every seed, with six digits as in all tables."""
    frames = [read(path, EVALUATION, remedy) for path in evaluations]
    if not frames:
        return pd.DataFrame(columns=RUNS)
    means = pd.concat(frames).groupby(RUNS[:-1], sort=False)["return"].mean().reset_index()
    return table.rounded(means)
