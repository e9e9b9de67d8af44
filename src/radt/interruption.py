"""Ctrl-C, SIGTERM and SIGUSR1, which terminals, Snakemake and schedulers send: they end a job at once, or, where it trains, after
the present update.

Slurm sends them some time before it takes the machine away. A job that then ends by itself has failed for Slurm, one that is
still there is queued again. So in a job that the workflow has submitted to Slurm a training waits after its checkpoint, and other
stages go on, until Slurm ends them.
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
"""Exit status of a job that was interrupted."""
STAYS = "RADT_STAYS_WHEN_WARNED"
"""Variable that the workflow sets in jobs that it has submitted to Slurm."""
NOTICE = 3600
"""Seconds that an interrupted training waits in Slurm, the longest notice (`GraceTime`, `--signal`) that is foreseen."""


class Interruption:
    """Whether this process was asked to end, and when it does."""

    def __init__(self) -> None:
        self.listening = self.deferred = self._asked = self._warned = False
        self.parent = os.getppid()

    def listen(self) -> None:
        """Take the signals: from now on they raise `KeyboardInterrupt`.

        Other ranks than the first have nothing to say or to clear away before they train, and may wait in torch: they just die.
        """
        self.listening = True
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN or number != signal.SIGINT:  # a shell's background job ignores Ctrl-C
                signal.signal(number, signal.SIG_DFL if rank() else self._handle)

    def defer(self) -> None:
        """From now on to the end of the process, signals only set `requested`."""
        if self.listening:
            self.deferred = True
            for number in SIGNALS:
                if signal.getsignal(number) == signal.SIG_DFL:
                    signal.signal(number, self._handle)

    @property
    def requested(self) -> bool:
        """Whether a training is to end: after a signal, and in a rank whose launcher has died."""
        return self._asked or (world_size() > 1 and os.getppid() != self.parent)

    def linger(self) -> None:
        """In a job of Slurm that was warned, wait for its end; elsewhere, and after Ctrl-C, return."""
        if self._warned:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL if number == signal.SIGINT else signal.SIG_IGN)
            print("waits for Slurm to end this job", file=sys.stderr, flush=True)
            time.sleep(NOTICE)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal, or interrupt."""
        self._asked = True
        self._warned = STAYS in os.environ and number != signal.SIGINT
        if not self.deferred and not self._warned:
            raise KeyboardInterrupt


interruption = Interruption()
