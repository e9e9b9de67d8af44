"""What jobs ask for, memory, time, GPUs and processes, and how they and Snakemake take the signals of a scheduler."""

import signal
import subprocess

from radt.pipeline import slurm
from radt.pipeline.resources import Needs
from radt.pipeline.summary import summary
from radt.devices import SLOTS
from radt.interruption import STAYS
from radt.machine import slow_bfloat16
from radt.settings.registry import METHODS
from radt.settings.stages import Stages

NEEDS = Needs(RUNS)
DEVICES = {"evaluate_plain": "evaluate", "evaluate_retrieval": "evaluate"}
"""The section with the `device` of a rule, where its name is not that of the rule."""

signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a scheduler's warning is for the trainings, which then write a checkpoint
if workflow.remote_exec and "SLURM_JOB_ID" in os.environ:
    os.environ[STAYS] = "1"
if slots := workflow.global_resources.get("gpu").value:
    os.environ[SLOTS] = str(slots)


def memory(wildcards, attempt, rulename):
    """Memory request of a job in MB: estimate x safety, doubled per retry."""
    return NEEDS.memory(job_of(rulename, wildcards), attempt)


def minutes(wildcards, attempt, rulename):
    """Time request of a job in minutes: estimate x safety, doubled per retry."""
    return NEEDS.minutes(job_of(rulename, wildcards), attempt)


def job_of(rulename, wildcards):
    """The name of a job: the place of its benchmark below benchmarks/."""
    file = workflow.get_rule(rulename).expand_benchmark(wildcards)
    return str(file).removeprefix("benchmarks/").removesuffix(".tsv")


def gpus(wildcards, rulename):
    """Number of GPUs of a job."""
    section = DEVICES.get(rulename, rulename)
    return RUNS.gpus(wildcards.experiment, section) if section in Stages.model_fields else 0


def ranks(wildcards, rulename):
    """Number of processes of a job; each takes a core."""
    return RUNS.ranks(wildcards.experiment, rulename) if rulename in Stages.model_fields else 1


def tell_status():
    """Say how to look at the progress of this run."""
    files = "".join(f" {file}" for file in workflow.config_settings.configfiles)
    command = "python -m radt status --watch" + (f" --configfile{files}" if files else "")
    print(f"update, loss, speed and time left of each training, in another terminal: {command}", file=sys.stderr)


def tell_figures():
    """Say what the figures that were asked for say, those of experiments."""
    for job in workflow.dag.jobs:
        if job.rule.name == "figure":
            print("\n".join(summary(Path(job.output[0]))), file=sys.stderr)


def track():
    """Send what was trained and evaluated to the trackers of the settings. What goes wrong there stops nothing."""
    if SETTINGS.tracking:
        subprocess.run([sys.executable, "-m", "radt", "track", "--to", *SETTINGS.tracking])


def note_bfloat16():
    """Say so where trainings of this run are in bfloat16 and this machine computes that in software."""
    stages = {method.stage for method in METHODS.values() if method.stage}
    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name in stages]
    hows = [RUNS.sections(job.wildcards.experiment)[job.rule.name]["optimization"] for job in jobs]
    if workflow.executor_plugin.name == "local":
        for note in {slow_bfloat16(how["precision"], how["device"]) for how in hows} - {None}:
            print(note, file=sys.stderr)


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
