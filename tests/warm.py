"""Run `python -m MODULE` without the seconds of its imports: a process that has imported what radt uses forks for each command.

A command has its own folder, environment, arguments, input, output and session, and imports radt anew from its PYTHONPATH. The
programs `python`, `snakemake` and `dvc` on its PATH run in the same way, so the jobs of a workflow start warm, too. Three things
differ from a fresh process: what Python reads when it starts (PYTHONHASHSEED, the locale) is not read again, a record names
packages that its stage has not imported, and Snakemake's benchmark files measure next to nothing. `project.plain` starts a fresh
process.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from pathlib import Path

STAGES = ("embed", "evaluate", "figure", "index", "overview", "train", "trajectories")
IMPORTED = (
    *("snakemake.cli", "snakemake.workflow", "snakemake.report", "dvc.cli", "dvc.repo", "torch.distributed.run"),
    *("transformers.models.auto.modeling_auto", "transformers.models.bert.modeling_bert"),
    *(f"matplotlib.backends.backend_{kind}" for kind in ("agg", "pdf", "svg")),
    *(f"radt.stages.{stage}" for stage in STAGES),
)
PROGRAMS = {"python": "", "snakemake": "-m snakemake", "dvc": "-m dvc"}
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # of Linux
SET = {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
"""Variables of the process that forks: without a network torch warns that it cannot tell the name of this machine."""
PID_FILE = "RADT_TESTS_PID_FILE"
"""Variable that names a file which gets the number of the process of a command."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class Warm:
    """The process that forks; it ends with the one that started it. `folder` gets its socket and the programs.

    `prefix` is a command that starts it, and so all that runs in it.
    """

    def __init__(self, folder, prefix=()):
        for name, options in PROGRAMS.items():
            program = Path(folder, name)
            program.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {__file__} ask {folder} {options} "$@"\n', encoding="utf-8")
            program.chmod(0o755)
        command, quiet = (
            [*prefix, sys.executable, __file__, "serve", folder],
            {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL},
        )
        self.process = subprocess.Popen(command, **quiet, env={**os.environ, **SET}, start_new_session=True)
        while not Path(folder, "socket").exists():
            assert self.process.poll() is None
            select.select([], [], [], 0.01)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def ask(folder, arguments, environment, place, files):
    """Status of `python ARGUMENTS`: what it exits with, or minus the signal that ended it. Signals are passed on to it."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(f"{folder}/socket")
        content = json.dumps([arguments, environment, str(place)]).encode()
        socket.send_fds(server, [struct.pack("!Q", len(content))], files)
        server.sendall(content)
        if __name__ == "__main__":
            for number in PASSED_ON:
                signal.signal(number, lambda number, frame: server.sendall(bytes([number])))
        return struct.unpack("!i", exactly(server, 4))[0]


def exactly(connection, count):
    """So many bytes of a connection."""
    content = b""
    while len(content) < count:
        more = connection.recv(count - len(content))
        if not more:
            raise EOFError("the warm process is gone")
        content += more
    return content


def serve(folder):
    """Fork for every question until nobody can ask any more; returns in the commands only, with their module."""
    with socket.socket(socket.AF_UNIX) as listener:
        loopback()
        load()  # before the workers do: what is compiled now is not compiled again by each of them
        listener.bind(f"{folder}/begun")
        listener.listen(64)
        Path(folder, "begun").rename(Path(folder, "socket"))
        running = {}  # by the file that tells that a command has ended: the command, and the connection of who asked
        while True:
            asked = {connection: ended for ended, (_, connection) in running.items()}
            ready = select.select([listener, sys.stdin, *running, *asked], [], [])[0]
            if sys.stdin in ready:
                sys.exit()
            for ended in [one for one in ready if one in running]:
                tell(ended, *running.pop(ended))
            for connection in [one for one in ready if asked.get(one) in running]:
                pass_on(connection, running[asked[connection]][0])
            if listener in ready:
                connection, question, files = question_of(listener)
                child = os.fork()
                if not child:
                    for one in (listener, connection, *asked):
                        one.close()
                    return become(*question, files, folder)
                for file in files:
                    os.close(file)
                running[os.pidfd_open(child)] = (child, connection)


def question_of(listener):
    """The next question: its connection, what is asked, and the files of the command."""
    connection, _ = listener.accept()
    length, files, _, _ = socket.recv_fds(connection, 8, 3)
    return connection, json.loads(exactly(connection, *struct.unpack("!Q", length))), files


def pass_on(connection, child):
    """Send the signal that a connection names to a command, or kill it when nobody waits for it any more."""
    with contextlib.suppress(ProcessLookupError):
        number = connection.recv(1)
        os.killpg(child, number[0] if number else signal.SIGKILL)


def tell(ended, child, connection):
    """Answer with the status of a command that has ended."""
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(struct.pack("!i", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
    connection.close()
    os.close(ended)


def loopback():
    """Let ranks meet where all other network was taken away."""
    with socket.socket() as any_socket, contextlib.suppress(OSError):
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def load():
    """Import what commands import, but radt, whose code is that of each command."""
    for name in IMPORTED:
        importlib.import_module(name)
    gymnasium = sys.modules["gymnasium"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "radt"]:
        del sys.modules[name]
    for name in [name for name in gymnasium.registry if name.startswith("radt/")]:
        del gymnasium.registry[name]
    gc.collect()
    gc.freeze()


def become(arguments, environment, place, files, folder):
    """Make this process what `python ARGUMENTS` is in a folder; the module that it is to run."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background may ignore Ctrl-C
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(place)
    if file := environment.pop(PID_FILE, None):
        Path(file).write_text(str(os.getpid()), encoding="utf-8")
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [place, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *INSTALLED]
    sys.executable, sys.dont_write_bytecode = f"{folder}/python", "PYTHONDONTWRITEBYTECODE" in environment
    _, module, *sys.argv[1:] = arguments
    return module


def end(module):
    """Run a module and leave as Python does, but without taking its modules apart, which takes half a second here."""
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as left:
        status = left.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        status = -signal.SIGINT
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if status == -signal.SIGINT:
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status if isinstance(status, int) else int(status is not None))


def main(do, folder, *arguments):
    """The commands of this file: an exit status, or in the children of `serve` a module to run."""
    if do == "serve":
        return serve(folder)
    if arguments[:1] != ("-m",):
        os.execv(sys.executable, [sys.executable, *arguments])
    return ask(folder, arguments, dict(os.environ), Path.cwd(), (0, 1, 2))


if __name__ == "__main__":
    INSTALLED = sys.path[1 + len([*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]) :]
    ended = main(*sys.argv[1:])
    if isinstance(ended, str):
        end(ended)
    elif ended >= 0:
        sys.exit(ended)
    else:
        signal.signal(-ended, signal.SIG_DFL)
        os.kill(os.getpid(), -ended)
