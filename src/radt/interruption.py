"""Ctrl-C, SIGTERM and SIGUSR1, which terminals, Snakemake and schedulers send: they end a job at once, a training after its
present update.

Slurm sends a signal some time before it ends a job. A job that then exits counts as failed, and one that still runs is queued
again. So in jobs that the workflow submitted to Slurm, a training waits after its checkpoint, and other stages continue, until
Slurm ends them.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType

from radt.machine import rank, world_size

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
STATUS = 130
"""Exit status of an interrupted job."""
STAYS = "RADT_STAYS_WHEN_WARNED"
"""Environment variable that the workflow sets in jobs that it submits to Slurm."""
NOTICE = 3600
"""Seconds that an interrupted training waits in Slurm: the longest supported notice (`GraceTime`, `--signal`)."""


class Interruption:
    """The reaction of this process to signals."""

    def __init__(self) -> None:
        self.listening = self.deferred = self._asked = self._warned = False
        self.parent = os.getppid()

    def listen(self) -> None:
        """Handle the signals: from now on they raise `KeyboardInterrupt`.

        Ranks other than the first end at once, because they have nothing to print or to clean up, and may be blocked in torch.
        """
        self.listening = True
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN or number != signal.SIGINT:  # a shell's background job ignores Ctrl-C
                signal.signal(number, signal.SIG_DFL if rank() else self._handle)

    def defer(self) -> None:
        """From now on, signals only set `requested`."""
        if self.listening:
            self.deferred = True
            for number in SIGNALS:
                if signal.getsignal(number) == signal.SIG_DFL:
                    signal.signal(number, self._handle)

    @property
    def requested(self) -> bool:
        """Whether a training should end: after a signal, or in a rank whose launcher has died."""
        return self._asked or (world_size() > 1 and os.getppid() != self.parent)

    def linger(self) -> None:
        """In a job of Slurm that got a signal, wait for the end of the job; elsewhere, and after Ctrl-C, return."""
        if self._warned:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL if number == signal.SIGINT else signal.SIG_IGN)
            print("waits for Slurm to end this job", file=sys.stderr, flush=True)
            time.sleep(NOTICE)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Store a signal, or raise `KeyboardInterrupt`."""
        self._asked = True
        self._warned = STAYS in os.environ and number != signal.SIGINT
        if not self.deferred and not self._warned:
            raise KeyboardInterrupt


interruption = Interruption()
