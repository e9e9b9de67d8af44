"""A Slurm that would not tell that a job has ended is refused before anything is submitted, instead of waited for."""

import pytest

from radt.commands import slurm
from radt.errors import RadtError

NONE, DATABASE = "accounting_storage/none", "accounting_storage/slurmdbd"


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A Slurm with some configuration, as `scontrol show config` prints it."""

    def install(accounting, age):
        program = tmp_path / "scontrol"
        lines = ["Configuration data as of today", f"AccountingStorageType   = {accounting}", f"MinJobAge               = {age}"]
        program.write_text("#!/bin/sh\ncat <<END\n" + "\n".join(lines) + "\nEND\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


@pytest.mark.parametrize(
    ("accounting", "age", "command", "reason"),
    [
        (NONE, "300 sec", "squeue", None),
        (DATABASE, "300 sec", "squeue", None),
        (DATABASE, "300 sec", "sacct", None),
        (DATABASE, "10 sec", "sacct", None),
        (NONE, "300 sec", "sacct", "no accounting, so sacct tells of no job: use --workflow-profile profiles/slurm"),
        ("(null)", "300 sec", "sacct", "no accounting"),
        (NONE, "10 sec", "squeue", "forgets jobs 10 s after their end.*ask for MinJobAge=300"),
        (DATABASE, "10 sec", "squeue", "use --slurm-status-command sacct"),
    ],
)
def test_slurm_must_tell_what_became_of_jobs(scontrol, accounting, age, command, reason):
    scontrol(accounting, age)
    if reason is None:
        slurm.check(command)
    else:
        with pytest.raises(RadtError, match=reason):
            slurm.check(command)


def test_no_slurm_and_no_controller_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RadtError, match="Slurm's programs are not here"):
        slurm.check("squeue")
    program = tmp_path / "scontrol"
    program.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(RadtError, match="Unable to contact slurm controller"):
        slurm.check("squeue")
