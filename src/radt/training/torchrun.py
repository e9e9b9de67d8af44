"""torchrun on this machine, with the cause of a failure as its last line: `python -m radt.training.torchrun RANKS python -m ...`.

The workflow puts this before the command of a training with `ranks` above 1. torchrun alone would end a failure with pages of
output. Signals reach all ranks. Several may run at once: each finds a free port.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterable

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from radt import interruption
from radt.machine import threads
from radt.training.ranks import LOST

OPTIONS = ("--standalone", "--local-addr=localhost", "--max-restarts=0", "--no-python")
SIGNALS = ",".join(dict.fromkeys([*(number.name for number in interruption.SIGNALS), "SIGHUP", "SIGQUIT"]))
INTERRUPTED = {interruption.STATUS, *(-number for number in interruption.SIGNALS)}
"""Exit statuses of ranks that were ended by a signal."""


def cause(failures: Iterable[ProcessFailure]) -> str | None:
    """Why ranks failed, in one line; None when they were interrupted."""
    found = [failure for failure in failures if failure.exitcode not in INTERRUPTED]
    if not found:
        return None
    first = min(found, key=lambda failure: (failure.exitcode == LOST, failure.timestamp))
    if first.message.startswith("error: "):
        return first.message
    status = first.exitcode
    return f"error: rank {first.local_rank} " + (
        f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    )


def main(arguments: list[str]) -> int:
    """Run a command in several processes; `arguments` are their number, then the command. Returns the exit status."""
    ranks, *command = arguments
    logging.disable(logging.CRITICAL)
    os.environ["OMP_NUM_THREADS"] = str(max(1, threads() // int(ranks)))
    try:
        run.main(
            [
                *OPTIONS,
                f"--shutdown-timeout={interruption.NOTICE}",
                f"--signals-to-handle={SIGNALS}",
                f"--nproc-per-node={ranks}",
                *command,
            ]
        )
    except SignalException:
        return interruption.STATUS
    except ChildFailedError as error:
        if (text := cause(error.failures.values())) is None:
            return interruption.STATUS
        print(text, file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
