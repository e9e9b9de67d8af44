"""How far a training is: a small file beside its checkpoint, which `radt status` reads. It goes when the training is done."""

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
    """Updates that are done, since when, and the last loss."""

    first: Count
    """Update from which the process went on."""
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
    """Tells how far a training is, in the file and, with `lines`, on stdout; of several ranks only the first does."""

    def __init__(self, state: Path, first: int, updates: int, every: int, lines: bool) -> None:
        self._state, self._first, self._updates, self._every, self._lines = state, first, updates, every, lines
        self._clock = time.monotonic()
        if not rank():
            write(state, self._now(first, None))

    def __call__(self, update: int, loss: float) -> None:
        """Update number `update` is done, with this loss."""
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
    """Replace the file in the folder of a training's checkpoint. A disk that is full or read-only stops no training."""
    with suppress(OSError):
        artifacts.write_bytes(state / FILE, progress.model_dump_json().encode(), durable=False)


def read(state: Path) -> tuple[Progress, float] | None:
    """What a training wrote last, and when, in seconds since the epoch; None where there is nothing, or nothing whole."""
    path = state / FILE
    with suppress(RadtError, OSError):
        return parse(Progress, artifacts.read_bytes(path, LARGEST, "delete it").decode(errors="replace")), path.stat().st_mtime
    return None
