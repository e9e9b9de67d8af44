"""Send the numbers of trainings and evaluations to trackers: `python -m radt track`.

It only reads files of the workflow: `metrics.csv` of trainings, evaluations, and `progress.json` of running trainings. So jobs
and results do not depend on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from radt import artifacts
from radt.errors import RadtError
from radt.figures.inputs import AGAIN, EVALUATION, METRICS, read
from radt.pipeline import provenance
from radt.pipeline.status import REFRESH, unfinished
from radt.pipeline.trackers import FOLDER, Run, Values, check, start

SENT = FOLDER / "sent.json"
"""Record of what was sent: sha256 of each file, by tracker and name."""
SHOWN = ("loss", "accuracy", "learning_rate", "gradient_norm")
"""Columns of `metrics.csv` that are sent."""
Points = list[tuple[int, Values]]


def track(results: Path, names: Sequence[str], watch: bool) -> str:
    """Send files that trackers do not have yet; with `watch`, continue until Ctrl-C, also with running trainings.

    Returns:
        A sentence on what was sent.

    Raises:
        RadtError: no tracker is named, a package is missing, or a file is damaged.
    """
    if not names:
        raise RadtError("there is no tracker: set `tracking: [tensorboard]` in the configuration, or add `--to tensorboard`")
    check(names)
    following, sent = Following(names), 0
    try:
        sent = following.send(results)
        while watch:
            following.look()
            time.sleep(REFRESH)
            sent += following.send(results)
    except KeyboardInterrupt:
        pass
    following.finish()
    return f"sent {sent} trainings and evaluations to {', '.join(names)}"


class Following:
    """Trackers, and their open runs of unfinished trainings."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._open: dict[str, list[Run]] = {}
        self._seen: dict[str, int] = {}

    def send(self, results: Path) -> int:
        """Send the files below `results` that a tracker does not have; returns their number."""
        count, sent = 0, already()
        for path in files(results):
            content, name = artifacts.sha256(path), name_of(path)
            if missing := [tracker for tracker in self._names if sent.get(tracker, {}).get(name) != content]:
                self._forward(path, name, missing)
                for tracker in missing:
                    sent.setdefault(tracker, {})[name] = content
                artifacts.write_json(SENT, sent)
                count += 1
        return count

    def _forward(self, path: Path, name: str, trackers: Sequence[str]) -> None:
        """Send one file to its open runs, else to new runs."""
        values = points(path)
        for run in self._open.pop(name, None) or opened(trackers, name, settings(path)):
            for step, named in values:
                run.log(step, named)
            run.finish()

    def look(self) -> None:
        """Send the progress of running trainings."""
        for job in unfinished(time.time()):
            now, name = job.progress, name_of(job.name.record) if job.name.record else ""
            if job.state != "running" or not now or now.loss is None or self._seen.get(name) == now.update:
                continue
            if name not in self._open:
                self._open[name] = opened(self._names, name, {})
            for run in self._open[name]:
                run.log(now.update, {"live/loss": now.loss, "live/updates_per_second": now.speed or 0.0})
            self._seen[name] = now.update

    def finish(self) -> None:
        """End the open runs."""
        for run in (run for runs in self._open.values() for run in runs):
            run.finish()


def already() -> dict[str, dict[str, str]]:
    """Content of `SENT`; raises `RadtError` when the file is damaged."""
    told = artifacts.read_json(SENT) if SENT.exists() else {}
    if not isinstance(told, dict) or not all(isinstance(names, dict) for names in told.values()):
        raise RadtError(f"{SENT} is damaged: delete {FOLDER}, and all is sent again")
    return told


def opened(trackers: Sequence[str], name: str, known: dict[str, Any]) -> list[Run]:
    """A new run in each tracker; its name ends with the time, because a training may be repeated."""
    now = time.strftime("%Y%m%d-%H%M%S")
    return [start(tracker, f"{name}/{now}", known) for tracker in trackers]


def files(results: Path) -> Iterator[Path]:
    """The metrics of all trainings and all evaluations."""
    for path in provenance.files(results):
        if path.name == "metrics.csv" or (path.suffix == ".csv" and path.parent.parent.name == "evaluate"):
            yield path


def name_of(path: Path) -> str:
    """The name of a training or an evaluation, such as `darkroom/train/ad/seed42`, from the path of its file."""
    below = Path(provenance.place(path)).relative_to("results")
    return (below.parent if path.name in ("metrics.csv", provenance.FILE) else below.with_suffix("")).as_posix()


def settings(path: Path) -> dict[str, Any]:
    """The settings in the record of a file; empty without a record."""
    record = provenance.record_of(path)
    return provenance.read(record).settings if artifacts.is_there(record) else {}


def points(path: Path) -> Points:
    """Points in a file: of a training by update; of an evaluation by episode: mean return and share of success of each split."""
    if path.name == "metrics.csv":
        frame = read(path, METRICS, AGAIN).set_index("update")[list(SHOWN)]
    else:
        played = read(path, EVALUATION, AGAIN)
        frame = played.pivot_table(index="episode", columns="split", values=["return", "success"], dropna=True)
        frame.columns = ["/".join(column) for column in frame.columns]
    rows = [{str(name): float(value) for name, value in row.items()} for row in frame.to_dict("records")]
    return list(zip(frame.index.tolist(), rows, strict=True))
