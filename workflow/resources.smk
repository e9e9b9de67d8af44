"""What jobs ask for, memory, time, GPUs and processes, and how they and Snakemake take the signals of a scheduler."""

import signal

from radt.pipeline import slurm
from radt.pipeline.resources import Needs
from radt.devices import SLOTS
from radt.interruption import STAYS

NEEDS = Needs(RUNS)

signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a scheduler's warning is for the trainings, which then write a checkpoint
if workflow.remote_exec and "SLURM_JOB_ID" in os.environ:
    os.environ[STAYS] = "1"
if slots := workflow.global_resources.get("gpu").value:
    os.environ[SLOTS] = str(slots)


def memory(job):
    """Memory request in MB of a job, named by its benchmark file: estimate x safety, doubled per retry."""
    return lambda wildcards, attempt: NEEDS.memory(job.format(**dict(wildcards.items())), attempt)


def minutes(job):
    """Time request in minutes: estimate x safety, doubled per retry."""
    return lambda wildcards, attempt: NEEDS.minutes(job.format(**dict(wildcards.items())), attempt)


def gpu(section):
    """Number of GPUs of a stage's job."""
    return lambda wildcards: RUNS.gpus(wildcards.experiment, section)


def ranks(section):
    """Number of processes of a training; each takes a core."""
    return lambda wildcards: RUNS.ranks(wildcards.experiment, section)


def torchrun(section):
    """Command prefix that starts a training in several processes; empty for one process."""
    return lambda wildcards: RUNS.torchrun(wildcards.experiment, section)


def ask_slurm():
    """Stop early if Slurm would refuse the jobs or could not report their state. Snakemake would wait for ever."""
    if workflow.executor_plugin.name == "slurm":
        given = workflow.executor_settings
        asked = [
            (job.resources.get("slurm_partition"), job.resources.get("slurm_account")) for job in workflow.dag.needrun_jobs()
        ]
        partitions, accounts = ({name for name in names if name} for names in zip(*asked))
        guess = not given.no_account and not all(account for _, account in asked)
        try:
            slurm.check(given.status_command, partitions, accounts, guess)
        except RadtError as error:
            raise SystemExit(f"error: {error}") from None
