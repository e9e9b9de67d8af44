"""Jobs through any submit command end in the bytes of a local run; a job that disappears is noticed, a wrong command is named."""

import sys

import pytest

from project import FIGURE, content, run

SUBMIT = [
    sys.executable,
    "-m",
    "snakemake",
    "--workflow-profile",
    "profiles/cluster-generic",
    "--seconds-between-status-checks",
    "1",
]
QUEUE = {
    "submit": """setsid sh -c 'sh "$1" && touch "queue/$$"' - "$1" > queue/log 2>&1 & echo $!""",
    "forgetful": """[ -e queue/first ] && exec ./submit "$1"; touch queue/first; true & echo $!""",  # loses the first job
    # A file of another node is seen after some seconds.
    "late": """setsid sh -c 'sh "$1" && mv "$LATE" queue/late && touch "queue/$$" && (sleep 8; mv queue/late "$LATE") &' - "$1" &
        echo $!""",
    "status": """kill -0 "$1" 2> queue/log && echo running || { [ -e "queue/$1" ] && echo success || echo failed; }""",
}


@pytest.fixture
def queue(copy):
    """A project beside a scheduler of three lines, where two evaluations and the figure are missing."""
    (copy / "queue").mkdir()
    for name, line in QUEUE.items():
        (copy / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (copy / name).chmod(0o755)
    for method in ("random", "retrieve"):
        (copy / f"results/darkroom/evaluate/{method}/seed42.csv").unlink()
    (copy / FIGURE).unlink()
    return copy


def test_figure_through_a_submit_command_is_the_local_one_although_a_job_disappears(queue, made):
    commands = ["--cluster-generic-submit-cmd", "./forgetful", "--cluster-generic-status-cmd", "./status"]
    status, text = run([*SUBMIT, *commands, "--", FIGURE], queue)
    assert status == 0, text
    assert text.count("Submitted job ") == 4  # two evaluations and the figure, one of them twice
    assert content(queue) == content(made)


def test_files_that_come_late_are_waited_for(queue, made):
    late = "results/darkroom/evaluate/random/seed42.csv"
    commands = ["--cluster-generic-submit-cmd", "./late", "--cluster-generic-status-cmd", "./status"]
    status, text = run([*SUBMIT, *commands, "--", late], queue, LATE=late)
    assert status == 0, text
    assert text.count("Submitted job ") == 1
    assert (queue / late).read_bytes() == (made / late).read_bytes()


def test_a_submit_command_that_there_is_not_is_named(queue):
    status, text = run([*SUBMIT, "--cluster-generic-submit-cmd", "./nothing", "--restart-times", "0", "--", FIGURE], queue)
    assert status != 0 and "./nothing: not found" in text and "Error submitting jobscript" in text, text
