"""A real Slurm of one node on this machine, for tests: controller, node and authentication, all in one folder, no accounting."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

CONFIG = """
ClusterName=radt
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SchedulerParameters=batch_sched_delay=0,sched_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=300
KillWait=15
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=12000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=10
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2
"""
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "squeue", "scontrol")
LINK = Path("/etc/slurm/slurm.conf")
THERE = os.geteuid() == 0 and all(map(shutil.which, PROGRAMS)) and not LINK.exists()
"""Whether Slurm is installed, may be started (its daemons change users), and is not set up for real."""


class Slurm:
    """Starts on entering, stops on leaving. Its configuration is linked from where all commands look for it."""

    def __init__(self, folder):
        self.folder, self.daemons = folder, []

    def __enter__(self):
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge/key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        self.host = host = socket.gethostname()
        ports = dict(zip(("controller_port", "node_port"), free_ports(2), strict=True))
        (self.folder / "slurm.conf").write_text(CONFIG.format(host=host, folder=self.folder, **ports), encoding="utf-8")
        LINK.parent.mkdir(exist_ok=True)
        LINK.unlink(missing_ok=True)
        LINK.symlink_to(self.folder / "slurm.conf")
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self.folder / 'munge' / file}" for option, file in files.items()]
        self._start("munged", "--foreground", "--force", *options)
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D", "-N", host)
        try:
            self.wait(lambda: "idle" in self.run("sinfo", "--noheader", "--format=%T"), 60)
        except AssertionError as error:  # no fault of radt's: a container, say, that lets no daemon change its user
            self.__exit__()
            pytest.skip(f"Slurm does not start here: {error}")
        return self

    def __exit__(self, *_):
        self.run("scancel", "--user=root")
        time.sleep(1)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
        LINK.unlink(missing_ok=True)

    def _start(self, *command):
        log = (self.folder / f"{command[0]}.out").open("wb")
        self.daemons.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))

    def run(self, *command):
        """What a command of Slurm prints."""
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=False).stdout

    def wait(self, condition, seconds):
        """Until a condition holds; fails after some seconds, with what the daemons wrote."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                logs = [
                    path.read_text(encoding="utf-8")[-2000:] for path in (*self.folder.glob("*.log"), *self.folder.glob("*.out"))
                ]
                raise AssertionError("Slurm does not do what was awaited\n" + "\n".join(logs))
            time.sleep(0.2)

    def jobs(self, state):
        """Numbers of the jobs in a state, such as RUNNING."""
        return self.run("squeue", "--noheader", f"--states={state}", "--format=%i").split()


def free_ports(count):
    """Numbers of ports of the loopback interface that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    numbers = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return numbers
