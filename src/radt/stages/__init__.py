"""One module per stage: settings and files in, one artifact out. `run` turns a failure into a sentence and an exit status.

The rules add `--record` and `--inputs` to the command line of a stage: then the inputs are checked first, and the artifact is put
in place as a whole, with a record of what made it (`radt.pipeline.provenance`). Without them a stage just reads and writes.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import NoReturn

from radt.errors import RadtError, printable
from radt.interruption import STATUS, interruption
from radt.machine import rank
from radt.pipeline import atomic_stage

OUT_OF_MEMORY = ("bad_alloc", "can't allocate memory", "not enough memory", "out of memory")
"""Phrases in messages of libraries that are out of memory."""


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Call `main` with the command line and exit with its status; 1 after a `RadtError`, a full disk or the like, 130 after
    Ctrl-C, SIGTERM or SIGUSR1.

    Any other exception is a defect of radt and keeps its traceback. Only the first of several ranks prints progress.
    """
    interruption.listen()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # characters outside the terminal's encoding are escaped
    try:
        with redirect_stdout(None if rank() else sys.stdout):
            sys.exit(_job(main, sys.argv[1:]))
    except RadtError as error:
        _fail(f"error: {error}")
    except KeyboardInterrupt as interrupted:
        again = "interrupted; run again: a training goes on from its last checkpoint"
        print(str(interrupted) or again, file=sys.stderr, flush=True)
        interruption.linger()
        sys.exit(STATUS)
    except Exception as error:
        if cause := _cause(error):
            _fail(f"error: {cause}")
        _tell_torchrun(f"error: {type(error).__name__}: {error}")
        raise


def _cause(error: Exception) -> str | None:
    """The sentence for a fault of the machine, such as a full disk; None for a defect of radt."""
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY):
        return "out of memory: let fewer jobs run at a time, take a smaller batch_size, or use a machine with more"
    if not isinstance(error, OSError) or error.errno is None:
        return None
    name = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left to write {name}: free disk space and run again"
    if error.errno == errno.EFBIG:
        return f"{name} would be larger than files may be here: raise the limit (ulimit -f) and run again"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"no permission for {name}: change its owner or mode and run again"
    return f"{name}: {error.strerror}: check this path and its disk and run again" if error.filename else None


def _job(main: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a stage, with a record if its command line asks for one; then delete the checkpoint of a training.

    Only the first of several ranks checks inputs, writes the record and deletes the checkpoint.
    """
    record, inputs, rest = atomic_stage.parse(arguments)
    if rank():
        return main(rest)
    status = 0
    if record is None:
        status = main(rest)
    elif (spec := sys.modules["__main__"].__spec__) is None:
        raise RadtError("--record is for stages that are run as modules: call `python -m radt.stages.NAME`")
    else:
        atomic_stage.make(main, spec.name, record, inputs, rest)
    if "--state" in rest:
        atomic_stage.drop_checkpoint(Path(rest[rest.index("--state") + 1]))
    return status


def _fail(message: str) -> NoReturn:
    """Print the cause on stderr in one line, or let torchrun print it last, and exit."""
    message = printable(message)
    if not _tell_torchrun(message):
        print(message, file=sys.stderr, flush=True)
    sys.exit(1)


def _tell_torchrun(message: str) -> bool:
    """Write the cause of a failure to torchrun's error file; false without torchrun."""
    try:
        Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(
            json.dumps({"message": message, "timestamp": int(time.time())}), encoding="utf-8"
        )
    except (KeyError, OSError):
        return False
    return True
