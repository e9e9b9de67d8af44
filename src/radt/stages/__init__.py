"""One module per stage: settings and files in, one artifact out. `run` turns a failure into a sentence and an exit status.

The rules add `--record` and `--inputs` to the command line of a stage: then the inputs are checked first, and the artifact is put
in place as a whole, with a record of what made it (`radt.provenance`). Without them a stage just reads and writes.
"""

from __future__ import annotations

import errno
import shutil
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from radt import provenance
from radt.errors import RadtError


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Call `main` with the command line and exit with its status; 1 after a `RadtError` or a full disk, 130 after Ctrl-C or
    SIGTERM.

    Any other exception is a defect of radt and keeps its traceback.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(_job(main, sys.argv[1:]))
    except RadtError as error:
        _fail(f"error: {error}", 1)
    except KeyboardInterrupt:
        _fail("interrupted; run again: a training goes on from its last checkpoint", 130)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _fail(f"error: no space left to write {error.filename or 'a file'}: free disk space and run again", 1)
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            _fail(f"error: no permission for {error.filename}: change its owner or mode and run again", 1)
        raise


def _job(main: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a stage, with a record of it when its command line asks for one; then drop the checkpoint of a training."""
    record, inputs, rest = provenance.job(arguments)
    if record is None:
        status = main(rest)
    elif (spec := sys.modules["__main__"].__spec__) is None:
        raise RadtError("--record is for stages that are run as modules: call `python -m radt.stages.NAME`")
    else:
        status = provenance.make(main, spec.name, record, inputs, rest)
    if "--state" in rest:
        shutil.rmtree(rest[rest.index("--state") + 1], ignore_errors=True)
    return status


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Treat SIGTERM, which Snakemake and clusters send, like Ctrl-C."""
    raise KeyboardInterrupt


def _fail(message: str, status: int) -> NoReturn:
    """Say why on stderr and exit."""
    print(message, file=sys.stderr, flush=True)
    sys.exit(status)
