"""One module per stage: settings and files in, one artifact out. `run` turns a failure into a sentence and an exit status."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from radt.errors import RadtError


def run(main: Callable[[], int]) -> NoReturn:
    """Call `main` and exit with its status; 1 after a `RadtError` or a full disk, 130 after Ctrl-C or SIGTERM.

    Any other exception is a defect of radt and keeps its traceback.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(main())
    except RadtError as error:
        _fail(f"error: {error}", 1)
    except KeyboardInterrupt:
        _fail("interrupted; run again: a training goes on from its last checkpoint", 130)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _fail(f"error: no space left to write {error.filename or 'a file'}: free disk space and run again", 1)
        if isinstance(error, PermissionError):
            _fail(f"error: no permission for {error.filename}: change its owner or mode and run again", 1)
        raise


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Treat SIGTERM, which Snakemake and clusters send, like Ctrl-C."""
    raise KeyboardInterrupt


def _fail(message: str, status: int) -> NoReturn:
    """Say why on stderr and exit."""
    print(message, file=sys.stderr, flush=True)
    sys.exit(status)
