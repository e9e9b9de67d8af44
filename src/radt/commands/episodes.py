"""Episodes of a trained agent as a small file, for the report: `python -m radt episodes results/darkroom/train/radt/seed42`."""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from radt.agent import Retrieved, Trained, TrainedAgent, load
from radt.commands.replay import evaluation_of, keep
from radt.errors import RadtError
from radt.report.gallery import FOLDER, Episode, Recorded, Room, Task
from radt.suites import part
from radt.suites.base import VectorEnv
from radt.training import loop

MOST = 3
"""Number of tasks that are kept when none is named."""
Table = dict[int, dict[str, list[str]]]
"""An evaluation: for each task, its columns by name."""
Read = tuple[int, list[tuple[int, int, int, float, float]]]


def episodes(weights: Path, tasks: list[int], method: str | None) -> str:
    """Let the agent play its evaluation again, and keep some episodes of some `tasks` in the folder `episodes`, with a record.
    Without `tasks`, the first three held-out tasks are kept.

    Returns:
        A sentence on what is kept.

    Raises:
        RadtError: the agent does not exist, was not evaluated in these tasks, or its results are in another folder.
    """
    trained = load(weights, method=method).trained
    evaluation = evaluation_of(weights, trained)
    table = _table(evaluation)
    chosen = _chosen(table, tasks)
    output = evaluation.parents[2] / FOLDER / f"{trained.method}_{evaluation.stem}.json"
    agrees = []

    def content() -> bytes:
        played = _played(trained, evaluation.parents[2].name, table, chosen)
        agrees.append(played.as_evaluated)
        return f"{played.model_dump_json()}\n".encode()

    keep("episodes", content, trained, evaluation, ["--tasks", ",".join(map(str, chosen))], output)
    agreed = "returns are" if agrees[0] else "some returns, as on another machine or device, are not"
    size = f"{output.stat().st_size / 1000:.0f} kB"
    return f"{output}, {size}: task {', '.join(map(str, chosen))} of {trained.method}; {agreed} those of the evaluation"


def _table(evaluation: Path) -> Table:
    """The rows of an evaluation, by task, in the order in which the tasks were played."""
    rows = list(csv.DictReader(evaluation.read_text(encoding="utf-8").splitlines()))
    found: Table = {int(row["task"]): {"split": [], "return": []} for row in rows}
    for row in rows:
        for name, column in found[int(row["task"])].items():
            column.append(row[name])
    return found


def _chosen(table: Table, tasks: list[int]) -> list[int]:
    """The tasks to keep; raises `RadtError` for one that was not evaluated."""
    if unknown := [task for task in tasks if task not in table]:
        raise RadtError(f"task {unknown[0]} was not evaluated: allowed are {', '.join(map(str, sorted(table)))}")
    first = table[next(iter(table))]["split"][0]
    split = "held_out" if any("held_out" in column["split"] for column in table.values()) else first
    return sorted(set(tasks)) or [task for task, column in table.items() if split in column["split"]][:MOST]


def _played(trained: Trained, experiment: str, table: Table, chosen: list[int]) -> Recorded:
    """The episodes of the agent in the `chosen` tasks of its evaluation, which is played in full."""
    os.environ.setdefault("MUJOCO_GL", "egl")  # before MuJoCo is imported
    settings = trained.selection.evaluate
    device = loop.prepare("cpu" if settings.device == "cpu" else "auto")
    agent, tasks = TrainedAgent(trained, len(table), settings.episodes, None, device), [*table]
    read = _watched(agent, agent.suite.make(np.array(tasks)), {task: tasks.index(task) for task in chosen})
    totals = agent.history.totals.tolist()
    expected = [[float(value) for value in column["return"]] for column in table.values()]
    room = part(agent.suite.experiment, "room")
    return Recorded(
        format=1,
        experiment=experiment,
        method=trained.method,
        seed=trained.seed,
        as_evaluated=[[float(f"{value:g}") for value in row] for row in totals] == expected,
        actions=room.actions(agent.suite.experiment) if room else [],
        tasks=[_task(agent, task, tasks.index(task), table[task]["split"][0], read[task]) for task in chosen],
    )


def _watched(agent: TrainedAgent, env: VectorEnv, rows: dict[int, int]) -> dict[int, list[list[Read]]]:
    """Let the agent play all its episodes; returns what it reads in each episode, for the tasks of `rows`."""
    read: dict[int, list[list[Read]]] = {task: [] for task in rows}
    for _ in range(agent.episodes):
        for episodes_of_task in read.values():
            episodes_of_task.append([])
        times = itertools.count()

        def look(times: Iterator[int] = times) -> None:
            time, found = next(times), agent.retrieved
            for task, row in rows.items():
                _note(read[task][-1], time, found[row])

        agent.play(env, look)
    return read


def _note(told: list[Read], time: int, found: list[Retrieved]) -> None:
    """Add the sub-trajectories `found` that are read from step `time` on, if they differ from those read before."""
    parts = [(one.episode, one.first, one.end, _short(one.similarity, 4), _short(one.score, 4)) for one in found]
    if parts != (told[-1][1] if told else []):
        told.append((time, parts))


def _task(agent: TrainedAgent, task: int, row: int, split: str, read: list[list[Read]]) -> Task:
    """The kept episodes of a task, and the episodes that they read."""
    count = agent.episodes
    shown = sorted({0, 1, 2, count // 2, count - 1} & {*range(count)})
    needed = {found[0] for number in shown for _, parts in read[number] for found in parts}
    room = part(agent.suite.experiment, "room")
    return Task(
        task=task,
        split=split,
        returns=[_short(value, 6) for value in agent.history.totals[row].tolist()],
        room=Room.model_validate(room.room(agent.suite.experiment, task)) if room else None,
        shown=shown,
        episodes={
            number: _episode(agent, task, row, number, read[number] if number in shown else None)
            for number in sorted(needed.union(shown))
        },
    )


def _episode(agent: TrainedAgent, task: int, row: int, number: int, read: list[Read] | None) -> Episode:
    """An episode; without `read` only its cells or its rewards, which are drawn."""
    history, columns = agent.history, agent.history.columns
    first, length = int(history.first(number)[row]), int(history.lengths[row, number])
    steps = slice(first, first + length)
    seen, codes = columns.observation[steps].numpy(), columns.action[steps].numpy()
    room = part(agent.suite.experiment, "room")
    return Episode(
        rewards=[] if room and read is None else [_short(value, 6) for value in columns.reward[steps].tolist()],
        actions=[]
        if read is None
        else [[_short(one, 3) for one in values] for values in agent.suite.spec.values(codes).tolist()],
        cells=room.cells(agent.suite.experiment, task, seen, codes) if room else [],
        read=read or [],
    )


def _short(value: float, digits: int) -> float:
    """A number rounded to `digits` digits; whole numbers have no decimal point."""
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() else short
