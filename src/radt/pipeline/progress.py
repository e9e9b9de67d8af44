"""Progress of a training: a small file beside its checkpoint, which `radt status` reads. It is deleted at the end."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import Field

from radt import artifacts
from radt.errors import RadtError
from radt.machine import rank
from radt.settings.base import NonNegativeFloat, Section
from radt.settings.parsing import parse

FILE = "progress.json"
LARGEST = 4096
"""Most bytes of the file."""
Count = Annotated[int, Field(ge=0, le=10**15)]
AtLeastOne = Annotated[int, Field(ge=1, le=10**15)]


class Progress(Section):
    """Finished updates, the time they took, and the last loss."""

    first: Count
    """Update from which the process started or resumed."""
    update: Count
    updates: AtLeastOne
    every: AtLeastOne
    """Updates between two reports."""
    seconds: NonNegativeFloat
    """Since `first`."""
    loss: float | None
    """Of the last update; None before the first report."""

    @property
    def speed(self) -> float | None:
        """Updates per second; None before the first report."""
        done = self.update - self.first
        return done / self.seconds if done > 0 and self.seconds > 0 else None

    @property
    def left(self) -> float | None:
        """Seconds until the last update at the present speed; None before the first report."""
        return (self.updates - self.update) / self.speed if self.speed else None


class Reporter:
    """Writes the progress of a training to the file and, with `lines`, to stdout; only the first of several ranks does."""

    def __init__(self, state: Path, first: int, updates: int, every: int, lines: bool) -> None:
        self._state, self._first, self._updates, self._every, self._lines = state, first, updates, every, lines
        self._clock = time.monotonic()
        if not rank():
            write(state, self._now(first, None))

    def __call__(self, update: int, loss: float) -> None:
        """Called when update number `update` is done; `loss` is its loss."""
        now = self._now(update, loss)
        if not rank():
            write(self._state, now)
        if self._lines:
            speed = f"{now.speed or 0:.1f}/s {now.left or 0:.0f} s left"
            print(f"update {update}/{self._updates} loss {loss:.4f} {speed}", flush=True)

    def _now(self, update: int, loss: float | None) -> Progress:
        seconds = time.monotonic() - self._clock
        return Progress.model_construct(
            first=self._first, update=update, updates=self._updates, every=self._every, seconds=seconds, loss=loss
        )


def write(state: Path, progress: Progress) -> None:
    """Replace the file in the folder of a training's checkpoint. Errors of a full or read-only disk are ignored."""
    with suppress(OSError):
        artifacts.write_bytes(state / FILE, progress.model_dump_json().encode(), durable=False)


def read(state: Path) -> tuple[Progress, float] | None:
    """The last progress of a training, and its time in seconds since the epoch; None when it is missing or damaged."""
    path = state / FILE
    with suppress(RadtError, OSError):
        return parse(Progress, artifacts.read_bytes(path, LARGEST, "delete it").decode(errors="replace")), path.stat().st_mtime
    return None
