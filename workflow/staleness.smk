"""What is out of date: the records beside the results decide, by content, instead of Snakemake's notes and the times of files.

Notes stay behind in another clone, and they call a rerun that failed done. Times change with every copy. So `Records` stands in for
Snakemake's notes. Rules that write no record are left to Snakemake: every method asks it about them.
`docs/decisions/0010-records-decide.md` says what is replaced and why, `tests/test_staleness.py` fails when it is no longer asked.
"""

import functools
import inspect
import shlex

import snakemake
from snakemake.logging import logger
from snakemake.utils import format as fill

from radt.pipeline import atomic_stage, provenance

FITS = "9.27"
ACCEPT = ": after an edit of the code that cannot change results, run `python -m radt accept`"


def stop(sentence):
    """End before any job starts."""
    raise SystemExit(f"error: {sentence}") from None


def refuse(what):
    """Stop because this is another Snakemake than the one that the workflow was written for."""
    stop(
        f"the workflow needs Snakemake {FITS}, this is {snakemake.__version__} ({what} differs): run `make setup`, or"
        f" `pip install 'snakemake=={FITS}.*'`"
    )


try:
    import snakemake.workflow
    from snakemake.dag import DAG
    from snakemake.jobs import Job
    from snakemake.persistence import NO_PARAMS_CHANGE, ParamsChange, PersistenceBase
    from snakemake.persistence.db import DbPersistence
    from snakemake.persistence.file import FilePersistence

    CLEAN, MINTIME = inspect.unwrap(DAG.clean), inspect.unwrap(Job.output_mintime.fget)  # the Snakefile may be read twice
except (ImportError, AttributeError) as error:
    refuse(error)


def record_of(job):
    """The record that a job writes; None for a rule that writes none."""
    file = job.output.get("record")
    return Path(file) if str(file).endswith(provenance.FILE) else None


def command(job):
    """The module of a job's stage and its command line, as its record holds it, from the shell line of its rule."""
    known = {name: getattr(job, name) for name in ("input", "output", "params", "wildcards", "log")}
    words = shlex.split(fill(job.rule.shellcmd.rpartition(" > ")[0], **known))
    stage = next(place for place, word in enumerate(words) if word.startswith("radt.stages."))  # torchrun may stand before it
    return words[stage], atomic_stage.parse(words[stage + 1 :])[2]


@functools.lru_cache(maxsize=1)  # Snakemake asks four times in a row about each job
def stale(job):
    """Why the artifact of a job would be made again; None where there is none yet, or where it is as it should be."""
    record = record_of(job)
    if not any(Path(file).exists() for file in job.output):
        return None
    try:
        stage, arguments = command(job)
        code = provenance.code_of(stage, *provenance.split(arguments))
        found = provenance.stale(record, code, job.input, arguments)
        damaged = provenance.problems(record) if found is None and asked_for(job) else []
    except RadtError as error:
        stop(error)
    return provenance.Stale(changes=[fault.partition(": ")[0] for fault in damaged]) if damaged else found


def asked_for(job):
    """Whether a job makes what Snakemake was called for. Such files are hashed here, others by the jobs that read them."""
    dag = job.dag
    collected = any(above.is_norun and above in dag.targetjobs for above in dag.depending[job])
    return collected or job in dag.targetjobs or dag.in_until(job)


def tell(job, found):
    """Make what a record says the reason of a job."""
    reason = job.dag.reason(job)
    reason.params_changed = Why(only_new=set(found.changes), files=set(job.output))
    reason.code_changed = found.code
    reason.updated_input.update(file for file in job.input if file in found.inputs)
    reason.input_changed = any(name not in job.input for name in found.inputs)


def answer(job, file, changed):
    """The answer of Snakemake's `..._changed`: whether one file changed, or which of all did."""
    return bool(changed) if file else iter(job.output if changed else ())


class Why(ParamsChange):
    """What ends Snakemake's sentence "Params have changed since last execution: ..."."""

    def __str__(self):
        return "; ".join(sorted(self.only_new))


class Records:
    """Snakemake's notes, except that records answer for the jobs that write one."""

    async def incomplete(self, job):
        """Files that a killed job left half written: none of an artifact, which is whole or absent."""
        if record_of(job) is None:
            return await super().incomplete(job)
        if self.dag.workflow.touch:
            stop(f"--touch makes no result current, since records decide{ACCEPT}")
        return []

    def has_metadata(self, job):
        """Asked of every job that has no other reason to run; when the record has one, Snakemake is told, whatever triggers it minds."""
        if record_of(job) is None:
            return super().has_metadata(job)
        if found := stale(job):
            tell(job, found)
        return not found

    def has_outdated_metadata(self, job):
        """Whether the notes have an old format."""
        return record_of(job) is None and super().has_outdated_metadata(job)

    def params_changed(self, job, file=None):
        """What changed in the settings and in the command line."""
        if record_of(job) is None:
            return super().params_changed(job, file)
        changes = set(found.changes) if (found := stale(job)) else set()
        return Why(only_new=changes, files={file} if file else set(job.output)) if changes else NO_PARAMS_CHANGE

    def code_changed(self, job, file=None):
        """Which outputs other code made."""
        if record_of(job) is None:
            return super().code_changed(job, file)
        return answer(job, file, (found := stale(job)) and found.code)

    def input_changed(self, job, file=None):
        """Which outputs were made from other inputs."""
        if record_of(job) is None:
            return super().input_changed(job, file)
        return answer(job, file, (found := stale(job)) and found.inputs)

    def software_stack_changed(self, job, file=None):
        """Which outputs another environment made: a record names its versions, but they make nothing run."""
        return super().software_stack_changed(job, file) if record_of(job) is None else answer(job, file, False)

    def backup_output(self, path):
        """Copy a file before its job starts. A stage leaves the old artifact alone until the new one is whole."""
        if not kept(self.dag, path):
            super().backup_output(path)

    def restore_output(self, path):
        """Whether the former file is back after a failure, so that it is not removed."""
        return path.exists() if kept(self.dag, path) else super().restore_output(path)

    def cleanup(self, job):
        """Forget the notes on a job that failed."""
        for file in job.output:
            super().cleanup_metadata(file)

    def cleanup_metadata(self, target):
        """Forget the notes on a file, as --cleanup-metadata asks. For a result they decide nothing."""
        if Path(target) in results_of(provenance.record_of(Path(target))):
            stop(f"--cleanup-metadata changes nothing for {target}, since its record decides{ACCEPT}")
        return super().cleanup_metadata(target)


def kept(dag, path):
    """Whether a file belongs to an artifact."""
    return any(str(path) in job.output for job in dag.jobs if record_of(job))


def results_of(record):
    """A record and the files that it names; nothing where there is none."""
    try:
        return [record, *(record.with_name(name) for name in provenance.read(record).outputs)] if record.exists() else []
    except RadtError as error:
        stop(error)


@functools.wraps(CLEAN)
async def clean(self, only_temp=False, dryrun=False):
    """Delete what the jobs wrote: files that a rule declares, and those that only a record names, as shards are."""
    declared = {Path(file) for job in self.jobs for file in job.output}
    written = [path for job in self.jobs if (record := record_of(job)) for path in results_of(record)]
    await CLEAN(self, only_temp, dryrun)
    for path in [] if only_temp else [path for path in written if path not in declared and path.exists()]:
        logger.info(f"{'Would delete' if dryrun else 'Deleting'} {path}")
        if not dryrun:
            path.unlink()


@functools.wraps(MINTIME)
async def output_mintime(self):
    """Time of the oldest output. Where a record decides, it is later than any input."""
    return await MINTIME(self) if record_of(self) is None else float("inf")


def check(name, mine, theirs):
    """Stop when Snakemake does not call a function as it would call the one that takes its place."""
    if theirs is None or called(mine) != called(theirs):
        refuse(name)


def called(function):
    """How a function is called."""
    return inspect.iscoroutinefunction(function), list(inspect.signature(function, follow_wrapped=False).parameters)


for name in [name for name, method in vars(Records).items() if inspect.isfunction(method)]:
    check(f"persistence.{name}", getattr(Records, name), getattr(PersistenceBase, name, None))
check("DAG.clean", clean, CLEAN)
check("Job.output_mintime", output_mintime, MINTIME)

snakemake.workflow.FilePersistence = type("FilePersistence", (Records, FilePersistence), {})
snakemake.workflow.DbPersistence = type("DbPersistence", (Records, DbPersistence), {})
DAG.clean = clean
Job.output_mintime = property(output_mintime)
