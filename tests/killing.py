"""Run a stage in a child process that kills itself, with SIGKILL, or has no disk left, at its n-th touch of the disk."""

import io
import os
import re
import runpy
import signal
import sys
import traceback
from pathlib import Path

EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Halting(io.FileIO):
    """A file whose writes count as touches; the last one before the kill is half done."""

    def write(self, data):
        data = memoryview(data).cast("B")
        if touches.count == touches.limit - 1:
            super().write(data[: len(data) // 2])
        touches.touch()
        return super().write(data)


class Touches:
    """Touches of results/ and state/ so far; the one of number `limit` kills."""

    def __init__(self):
        self.count, self.limit, self.recorded, self.error = 0, sys.maxsize, 0, 0

    def touch(self):
        self.count += 1
        if self.count == self.limit and self.error:
            raise OSError(self.error, os.strerror(self.error))
        if self.count == self.limit:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event, arguments):
        if event not in EVENTS or not str(arguments[event == "os.rename"]).startswith(("results/", "state/")):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return
        self.touch()
        if event == "os.rename" and str(arguments[1]).endswith("provenance.json"):
            self.recorded = self.count


touches = Touches()


opened = Path.open


def _open(path, mode="r", *arguments, **keywords):
    """`Path.open` whose files for writing bytes are `Halting`."""
    return Halting(path, mode) if mode == "wb" else opened(path, mode, *arguments, **keywords)


def run(folder, stage, arguments, limit=sys.maxsize, error=0):
    """Exit status of `python -m STAGE` in `folder`, -9 when it was killed, what it printed, how often it touched the disk, and
    which touch put the record in place. With an `error` that touch fails instead of killing.

    The child is forked, so that a stage costs no import; the parent must have one thread.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        status = 70
        try:
            os.chdir(folder)
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(number, "w"), write_through=True) for number in (1, 2))
            touches.limit, touches.error = limit, error
            sys.addaudithook(touches.audit)
            Path.open = _open
            fsync = os.fsync
            os.fsync = lambda handle: (touches.touch(), fsync(handle))
            sys.argv = [stage, *arguments]
            runpy.run_module(stage, run_name="__main__", alter_sys=True)
        except SystemExit as done:
            status = int(done.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            os.write(writing, f"\n{touches.count} {touches.recorded}".encode())
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        printed = pipe.read().decode()
    _, result = os.waitpid(child, 0)
    text, _, counts = printed.rpartition("\n")
    count, recorded = map(int, counts.split()) if re.fullmatch(r"\d+ \d+", counts) else (limit, 0)
    return os.waitstatus_to_exitcode(result), text.strip(), count, recorded
