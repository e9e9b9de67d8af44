"""What is out of date: records of results decide, by content, instead of Snakemake, by its own notes and the clock.

Snakemake's notes are lost in a fresh clone, where it then overlooks a changed setting, and times change with every copy. So two of its
methods are replaced here; docs/decisions/0010-records-decide.md says why, tests/test_staleness.py fails when they are no longer asked.
Three more are silenced: a job that fails leaves the old artifact or the new one (`radt.making`), so nothing is to be copied away, put
back or removed. On a cluster, where the files of a job are not prepared, old results would be gone after a failed submission.
"""

import re
import shlex

from snakemake.exceptions import WorkflowError
from snakemake.io import _IOFile
from snakemake.jobs import Job
from snakemake.persistence import PersistenceBase
from snakemake.utils import format as fill

from radt import making, provenance


async def incomplete(persistence, job, of_snakemake=PersistenceBase.incomplete):
    """Files of a job that must be made again: left by a crash, or with a record that says that they would be made otherwise now."""
    found, record = await of_snakemake(persistence, job), job.output.get("record")
    if found or record is None or not any(Path(file).exists() for file in job.output):
        return found
    try:
        reason = provenance.stale(Path(record), job.params.code, job.input, arguments(job))
    except provenance.NewerError as error:
        raise WorkflowError(f"error: {error}") from None
    if reason:
        print(f"out of date: {record}: {reason}", file=sys.stderr)
    return list(job.output) if reason else []


def arguments(job):
    """The command line of a stage, as its record holds it, from the shell line of its rule."""
    known = {name: getattr(job, name) for name in ("input", "output", "params", "wildcards", "log")}
    command, _, _ = fill(job.rule.shellcmd, **known).rpartition(" > ")
    words = shlex.split(re.sub(r"\$\(dirname (\S+)\)", lambda match: str(Path(match[1]).parent), command))
    stage = next(place for place, word in enumerate(words) if word.startswith("radt.stages."))  # torchrun may stand before it
    return making.parse(words[stage + 1 :])[2]


async def never(file, time):
    """Whether a file is newer than an output: it does not matter."""
    return False


async def keep(job, skip_outputs):
    """Outputs of a failed job stay: they are whole."""


PersistenceBase.incomplete = incomplete
PersistenceBase.backup_output = PersistenceBase.restore_output = lambda persistence, path: False
Job.cleanup = keep
_IOFile.is_newer = never
