"""A Slurm that would not take jobs, or not tell that they have ended, is refused before anything is submitted."""

import pytest

from radt.errors import RadtError
from radt.pipeline import slurm

NONE, DATABASE = "accounting_storage/none", "accounting_storage/slurmdbd"


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A Slurm with some configuration, as `scontrol show config` prints it."""

    def install(accounting, age):
        program = tmp_path / "scontrol"
        lines = ["Configuration data as of today", f"AccountingStorageType   = {accounting}", f"MinJobAge               = {age}"]
        program.write_text("#!/bin/sh\ncat <<END\n" + "\n".join(lines) + "\nEND\n", encoding="utf-8")
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
        (NONE, "10 sec", "squeue", "MinJobAge is 10 s.: ask for MinJobAge=300"),
        (DATABASE, "10 sec", "squeue", "use --slurm-status-command sacct"),
    ],
)
def test_slurm_must_tell_what_became_of_jobs(scontrol, accounting, age, command, reason):
    scontrol(accounting, age)
    if reason is None:
        slurm.check(command, set(), set(), False)
    else:
        with pytest.raises(RadtError, match=reason):
            slurm.check(command, set(), set(), False)


def test_no_slurm_and_no_controller_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RadtError, match="program scontrol is not here"):
        slurm.check("squeue", set(), set(), False)
    program = tmp_path / "scontrol"
    program.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(RadtError, match="Unable to contact slurm controller"):
        slurm.check("squeue", set(), set(), False)


def test_a_slurm_that_does_not_answer_or_prints_anything_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program = tmp_path / "scontrol"
    for text, reason in {
        "#!/bin/sh\nexec sleep 9\n": "does not answer in 0.3 s",
        "#!/bin/sh\nprintf '\\377\\n' >&2; exit 1\n": "cannot be asked",
        "no program": "cannot be asked",
        "#!/bin/sh\nprintf '\\377 = \\n'\n": "MinJobAge is 0 s",
    }.items():
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setattr(slurm, "ANSWER", 0.3 if "sleep" in text else 60)
        with pytest.raises(RadtError, match=reason) as error:
            slurm.check("squeue", set(), set(), False)
        assert "\n" not in str(error.value)


@pytest.fixture
def cluster(scontrol, tmp_path):
    """A Slurm with accounting, two partitions and two accounts."""
    scontrol(DATABASE, "300 sec")
    for name, lines in {"sinfo": "main\nurgent", "sacctmgr": "lab\nother", "sacct": ""}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\ncat <<END\n{lines}\nEND\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)


def test_partitions_and_accounts_are_known(cluster, monkeypatch):
    slurm.check("squeue", {"main", "urgent"}, {"lab"}, True)
    monkeypatch.setattr(slurm.getpass, "getuser", lambda: {}["no such user"])  # as in a container
    slurm.check("squeue", {"main"}, {"lab"}, True)
    with pytest.raises(RadtError, match="unknown partition 'nowhere'; this Slurm has main, urgent: change slurm_partition"):
        slurm.check("squeue", {"main", "nowhere"}, set(), False)
    with pytest.raises(RadtError, match="unknown account 'nobody'; this Slurm has lab, other: change slurm_account"):
        slurm.check("squeue", set(), {"nobody"}, False)


def test_without_accounting_no_account_can_be_charged(scontrol):
    scontrol(NONE, "300 sec")
    with pytest.raises(RadtError, match="no accounts: leave slurm_account out"):
        slurm.check("squeue", set(), {"lab"}, False)


def test_a_missing_sacct_is_named_where_it_would_be_asked(scontrol, monkeypatch):
    scontrol(DATABASE, "300 sec")
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    slurm.check("squeue", set(), set(), False)
    with pytest.raises(RadtError, match=r"sacct is not here.*set slurm_account, or use --slurm-no-account"):
        slurm.check("squeue", set(), set(), True)
