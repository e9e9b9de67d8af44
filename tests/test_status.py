"""How far a run is: the real training loop, stages that really failed, counts against Snakemake's own plan."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from project import ROOT, run
from radt.pipeline import config, progress, status
from radt.pipeline.jobs import name_of
from radt.pipeline.runs import Runs
from radt.settings.models import Optimization
from radt.training import loop

HOW = Optimization(
    updates=12, batch_size=1, learning_rate=1e-2, learning_rate_last=0.0, warmup=1, weight_decay=0.0, gradient_clip=1.0,
    precision="float32", checkpoint_every=100, log_every=4, device="cpu",
)  # fmt: skip
NOW = 1_000_000_000.0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the project's configuration, where nothing has run."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def log_of(folder, name, age=1.0, text=None):
    """The log of a job, written to some seconds ago."""
    path = folder / "logs/darkroom" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is not None:
        path.write_text(text, encoding="utf-8")
    os.utime(path, (NOW - age, NOW - age))
    return path


def said(folder, name, age=1.0, **changed):
    """What a training has written about its progress some seconds ago, with other values."""
    path = folder / "state/darkroom" / name / "progress.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {"first": 0, "update": 4, "updates": 10, "every": 2, "seconds": 2.0, "loss": 1.0, **changed}
    path.write_text(json.dumps(values), encoding="utf-8")
    os.utime(path, (NOW - age, NOW - age))
    return path


def train(path, state, stop):
    """A training of a tiny network that prints into a log and is cut off in update `stop`; the losses of its updates."""
    model, losses = torch.nn.Linear(3, 1), []

    def batch_loss(update):
        if update == stop:
            raise RuntimeError("cut off")
        time.sleep(0.01)
        loss = (model(torch.ones(1, 3)) - update).square().mean()
        losses.append(loss.item())
        return loss, torch.tensor(0.0), 1

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file), contextlib.suppress(RuntimeError):
        loop.train("ad", 42, model, batch_loss, HOW, state, "identity")
    return losses


def lines(text):
    """Cells of the lines of a status by their first one."""
    return {cells[0]: cells[1:] for line in text.splitlines() if (cells := re.split(r"  +", line.strip()))}


def test_a_training_shows_what_its_loop_said_last(folder):
    state = folder / "state/darkroom/ad/seed42"
    losses = train(folder / "logs/darkroom/train_ad/seed42.log", state, stop=10)
    assert [path.name for path in state.iterdir()] == ["progress.json"]
    os.utime(state / "progress.json", (NOW - 3, NOW - 3))
    log_of(folder, "train_ad/seed42", age=3)
    update, share, loss, speed, left, heard = lines(status.status([], NOW))["darkroom/train_ad/seed42"]
    assert (update, share, heard) == ("8/12", "66%", "3 seconds ago")
    assert float(loss) == pytest.approx(losses[7], abs=1e-4)
    assert 10 < float(speed) < 100 and left == "0 seconds"


def test_a_training_that_went_on_from_a_checkpoint_tells_the_speed_of_what_it_did_itself(folder):
    log_of(folder, "train_ad/seed42", text="going on from update 100 of a checkpoint\n")
    said(folder, "ad/seed42", first=100, update=120, updates=200, seconds=10.0, loss=0.25)
    assert lines(status.status([], NOW))["darkroom/train_ad/seed42"] == [
        "120/200",
        "60%",
        "0.2500",
        "2.0",
        "40 seconds",
        "1 second ago",
    ]
    said(folder, "ad/seed42", first=100, update=100, updates=200, seconds=0.0, loss=None)
    assert lines(status.status([], NOW))["darkroom/train_ad/seed42"] == ["100/200", "50%", "1 second ago"]


def test_a_progress_of_the_job_before_is_not_shown(folder):
    log_of(folder, "train_ad/seed42", text="")
    said(folder, "ad/seed42", age=500)
    assert "4/10" not in status.status([], NOW)


def test_progress_is_found_where_the_workflow_has_the_checkpoints(planned_jobs):
    states = {log: re.search(r" --state (\S+)", job["shellcmd"]) for job in planned_jobs for log in job["log"]}
    trainings = {name_of(Path(log).relative_to("logs")): Path(state[1]) for log, state in states.items() if state}
    assert {name: name.state for name in trainings} == trainings
    assert {name.folder for name in trainings} == {"pretrain", "train_ad", "train_dpt", "train_retrieval"}


def test_a_disk_without_room_for_the_progress_stops_no_training(folder):
    (folder / "state").write_text("a file where the folder would be", encoding="utf-8")
    assert len(train(folder / "logs/darkroom/train_ad/seed42.log", folder / "state/ad", stop=5)) == 5
    assert progress.read(folder / "state/ad") is None


def test_a_training_without_a_sign_of_life_is_silent(folder):
    text = "update 20/100 loss 1.0 0.5/s 160 s left\n"
    for age, heard in (
        (59, "59 seconds ago"),
        (190, "3 minutes and 10 seconds ago"),
        (210, "silent for 3 minutes and 30 seconds: killed?"),
    ):
        log_of(folder, "train_ad/seed42", age + 1, text)
        said(folder, "ad/seed42", age, update=40, updates=100, every=20, seconds=80.0)  # a report every 40 s
        assert lines(status.status([], NOW))["darkroom/train_ad/seed42"][-1] == heard
    for age, heard in (
        (59, "59 seconds ago"),
        (61, "silent for 1 minute and 1 second: killed?"),
    ):  # every second: a minute is allowed all the same
        log_of(folder, "train_ad/seed42", age, text)
        said(folder, "ad/seed42", age, update=40, updates=100, every=20, seconds=2.0)
        assert lines(status.status([], NOW))["darkroom/train_ad/seed42"][-1] == heard
    assert "silent for 1 minute and 1 second: darkroom/train_ad/seed42\n    update 20/100" in status.status([], NOW)


def test_an_empty_log_is_of_a_job_that_just_started_or_was_never_submitted(folder):
    log_of(folder, "train_ad/seed42", age=30, text="")
    told = "30 seconds ago, said nothing: just started, or never submitted"
    assert lines(status.status([], NOW))["darkroom/train_ad/seed42"][-1] == told


def test_stages_that_failed_show_the_end_of_their_logs(folder):
    def fails(name, *arguments, code=None):
        command = [sys.executable, *(("-c", code) if code else ("-m", "radt.stages.train", "--method", "ad", *arguments))]
        path = log_of(folder, name, text="")
        with path.open("w", encoding="utf-8") as file:
            done = subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}
            )
        log_of(folder, name)
        assert done.returncode

    given = ["--seed", "1", "--trajectories", "nowhere", "--state", "state", "--output", "out"]
    fails("train_ad/seed42", "--settings", "{}", *given)
    fails("train_ad/seed43", *given)
    fails("train_dpt/seed42", code="import sys; from radt.stages import run; run(lambda arguments: 1 / 0)")
    interrupted = "import os, signal; from radt.stages import run; run(lambda arguments: os.kill(os.getpid(), signal.SIGTERM))"
    fails("train_dpt/seed43", code=interrupted)
    text = status.status([], NOW)
    found = dict(re.findall(r"^(?:failed|interrupted) 1 second ago: darkroom/(\S+)\n((?:    .*\n?)+)", text, flags=re.MULTILINE))
    assert re.match(r"    error: configuration key '\w+' is missing", found["train_ad/seed42"])
    assert "error: the following arguments are required: --settings" in found["train_ad/seed43"]
    assert found["train_dpt/seed42"].endswith("    ZeroDivisionError: division by zero\n")
    assert found["train_dpt/seed43"].startswith("    interrupted; run again")
    assert "interrupted 1 second ago: darkroom/train_dpt/seed43" in text and "running" not in text


def test_a_job_is_done_when_its_record_is_newer_than_its_log(folder):
    record = folder / "results/darkroom/train/ad/seed42/provenance.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}", encoding="utf-8")
    log_of(folder, "train_ad/seed42", age=100, text="update 12/12 loss 1.0 9.0/s 0 s left\n")
    said(folder, "ad/seed42", age=100, update=12, updates=12)
    os.utime(record, (NOW - 99, NOW - 99))
    assert "no job writes a log, and none has failed" in status.status([], NOW)
    os.utime(record, (NOW - 500, NOW - 500))  # of an earlier run
    assert lines(status.status([], NOW))["darkroom/train_ad/seed42"][0] == "12/12"


def test_where_nothing_has_run_it_says_so(folder):
    assert "nothing has run here" in status.status([], NOW)
    (folder / "logs").mkdir()
    assert "nothing has run here" in status.status([], NOW)
    (done,) = lines(status.status([], NOW))["darkroom"]
    assert re.fullmatch(r"0 of \d+", done)


def test_files_that_are_no_logs_of_jobs_are_passed_over(folder):
    log_of(folder, "train_ad/seed42", text="").write_bytes(b"\xff\x00update 1/2 loss\n\n")
    (folder / "logs/notes.log").write_text("error: of somebody else\n", encoding="utf-8")
    text = status.status([], NOW)
    assert "darkroom/train_ad/seed42" in text and "somebody" not in text


LINES = ["update 5/10", "error: \x1b[31mred\x1b[0m and \x9b2J", "Traceback (most recent call last):"]
LINES += ["update \u0665/\u0661\u0660 loss 1 2/s 1 s left"]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_any_line_of_a_log_is_shown_as_one_line_of_text(folder, line):
    log_of(folder, "train_ad/seed42", text=f"update 4/10 loss 1.0 2.0/s 3 s left\n{line}\n")
    said(folder, "ad/seed42")
    text = status.status([], NOW)
    assert "darkroom/train_ad/seed42" in text and all(letter.isprintable() for letter in text.replace("\n", ""))


WRONG = ["", "{}", "[]", "3", "\xff", "[" * 5000, "x" * 10**6, '{"update": 4}', None]
CHANGED = [{"update": -1}, {"updates": 0}, {"update": 10**30}, {"loss": "1"}, {"seconds": 1e300}, {"more": 1}, {"first": True}]


@pytest.mark.parametrize("content", [*WRONG, *CHANGED], ids=range(len(WRONG) + len(CHANGED)))
def test_what_is_no_progress_is_passed_over(folder, content):
    """None: a pipe that nobody writes to."""
    log_of(folder, "train_ad/seed42", text="something\n")
    path = said(folder, "ad/seed42", **(content if isinstance(content, dict) else {}))
    if not isinstance(content, dict):
        path.unlink()
        os.mkfifo(path) if content is None else path.write_text(content, encoding="latin-1")
    assert lines(status.status([], NOW))["darkroom/train_ad/seed42"] == ["1 second ago"]


def test_mutated_files_never_stop_the_status(folder):
    chance, path, log = random.Random(0), said(folder, "ad/seed42"), log_of(folder, "train_ad/seed42", text="")
    told, printed = path.read_bytes(), b"update 10/50 loss 1.0 2.0/s 20 s left\nerror: no\n"
    for number in range(100_000 if os.environ.get("RADT_TORTURE") == "1" else 1000):
        for place, whole in ((path, told), (log, printed)):
            content = bytearray(whole[: chance.randrange(1, len(whole) + 1)])
            for _ in range(chance.randrange(4)):
                content[chance.randrange(len(content))] = chance.choice(b"0123456789-./e\n\r\x00\xff\x1b update{}:,")
            place.write_bytes(content)
        for job in status.unfinished(NOW):
            assert len(status.row(job)) == 7 and job.silent in (True, False), number


def test_pipes_sockets_folders_and_endless_files_are_passed_over(folder):
    log_of(folder, "train_ad/seed42", text="update 4/10 loss 1.0 2.0/s 3 s left\n")
    said(folder, "ad/seed42")
    logs = folder / "logs/darkroom/train_ad"
    os.mkfifo(logs / "seed43.log")
    (logs / "seed44.log").mkdir()
    (logs / "seed45.log").symlink_to("/dev/zero")
    (logs / "seed46.log").symlink_to(logs / "seed46.log")
    (logs / "again").symlink_to(folder / "logs")
    (logs / "a\nb\x1b[2J_seed42.log").write_text("", encoding="utf-8")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(logs / "seed47.log"))
        text = status.status([], NOW)
    assert lines(text)["darkroom/train_ad/seed42"][0] == "4/10" and not re.search("seed4[3-7]", text) and "\x1b" not in text
    (folder / "results/darkroom/train/ad/seed42/provenance.json").mkdir(parents=True)
    assert lines(status.status([], NOW))["darkroom"][0].startswith("0 of ")


def test_an_experiment_whose_settings_are_not_allowed_hides_no_other(folder):
    (folder / "odd.yaml").write_text("experiments: {keydoor: {pretrain: {model: {heads: 3}}}}", encoding="utf-8")
    told = lines(status.status([folder / "odd.yaml"], NOW))
    assert "heads is 3" in told["keydoor"][0] and told["darkroom"][0].startswith("0 of ")


def test_results_of_a_whole_workflow_are_all_there(made, jobs, monkeypatch):
    monkeypatch.chdir(made)
    runs = Runs(config.settings())
    assert {str(path) for path in status.wanted(runs, "darkroom")} == set(jobs)  # what Snakemake would make
    text = status.status([], time.time())
    assert lines(text)["darkroom"] == [f"{len(jobs)} of {len(jobs)}"] and lines(text)["keydoor"] == [f"0 of {len(jobs)}"]
    assert "no job writes a log, and none has failed" in text


def test_watching_ends_with_ctrl_c(made):
    environment = {**os.environ, "PYTHONPATH": str(made / "src")}
    command = [sys.executable, "-m", "radt", "status", "--watch"]
    heeds = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # a parent in the background may ignore Ctrl-C
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen(command, cwd=made, env=environment, **pipes, **heeds) as process:
        seen = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert seen[0].startswith("experiment") and re.search(r" (\d+) of \1$", seen[1])
    assert process.returncode == 0 and errors == ""


def test_the_command_reads_other_configurations(made, tmp_path):
    code, text = run(["python", "-m", "radt", "status", "--configfile", "config/smoke.yaml"], made)
    assert code == 0 and re.search(r"^smoke +0 of \d+$", text, flags=re.MULTILINE)
    (tmp_path / "src").symlink_to(made / "src")
    code, text = run(["python", "-m", "radt", "status"], tmp_path)
    assert code == 1 and text == "error: config/config.yaml is not here: go to the folder of the project\n"
