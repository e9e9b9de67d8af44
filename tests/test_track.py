"""Trackers get the numbers that the workflow wrote, once; each real one where its package is installed."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import typing
from importlib.util import find_spec
from pathlib import Path

import pytest

from project import FIGURE, ROOT, planned, snakemake
from radt import artifacts
from radt.commands import track as command
from radt.commands.track import name_of, points, track
from radt.errors import RadtError
from radt.pipeline import trackers
from radt.settings import configuration
from radt.settings.configuration import read

RECORDED = ROOT / "results/recorded/cartpole"
TRAINING = "train/ad/seed42/metrics.csv"
EVALUATION = "evaluate/ad/seed42.csv"
NAMES = ["cartpole/evaluate/ad/seed42", "cartpole/train/ad/seed42"]


class Kept:
    """A tracker that keeps all it gets."""

    runs: typing.ClassVar[list["Kept"]] = []

    def __init__(self, name, settings):
        self.name, self.settings, self.points, self.over = name, settings, [], False
        self.runs.append(self)

    def log(self, step, values):
        assert not self.over
        self.points.append((step, values))

    def finish(self):
        self.over = True


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A training and an evaluation of cartpole, in the working directory."""
    for name in (TRAINING, EVALUATION, "train/ad/seed42/provenance.json", "evaluate/ad/seed42.provenance.json"):
        (tmp_path / "results/cartpole" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(RECORDED / name, tmp_path / "results/cartpole" / name)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return Path("results")


@pytest.fixture
def kept(monkeypatch):
    """The runs of a tracker `json`, a package that is there."""
    monkeypatch.setattr(Kept, "runs", [])
    monkeypatch.setitem(trackers.TRACKERS, "json", Kept)
    return Kept.runs


def test_each_file_is_sent_once_and_again_when_it_is_another(results, kept):
    assert track(results, ["json"], False) == "sent 2 trainings and evaluations to json"
    assert [run.name.rpartition("/")[0] for run in kept] == NAMES and all(run.over for run in kept)
    assert [run.points for run in kept] == [points(results / "cartpole" / name) for name in (EVALUATION, TRAINING)]
    assert kept[1].settings["train_ad"]["episode_gap"] == 10
    assert track(results, ["json"], False) == "sent 0 trainings and evaluations to json"
    rows = (results / "cartpole" / TRAINING).read_text(encoding="utf-8").splitlines(keepends=True)
    (results / "cartpole" / TRAINING).write_text("".join(rows[:3]), encoding="utf-8")
    assert track(results, ["json"], False) == "sent 1 trainings and evaluations to json" and len(kept[-1].points) == 2


def test_points_are_the_numbers_of_the_files():
    step, values = points(RECORDED / TRAINING)[0]
    row = dict(
        zip(*(line.split(",") for line in (RECORDED / TRAINING).read_text(encoding="utf-8").splitlines()[:2]), strict=True)
    )
    assert step == int(row["update"]) and values == {name: float(row[name]) for name in command.SHOWN}
    steps = [step for step, _ in points(RECORDED / EVALUATION)]
    assert steps == list(range(1, len(steps) + 1)) and points(RECORDED / EVALUATION)[0][1].keys() == {"return/held_out"}
    robot = points(ROOT / "results/recorded/metaworld_reach/evaluate/radt/seed42.csv")
    assert robot[0][1].keys() == {"return/held_out", "success/held_out"}


def test_a_training_that_runs_is_followed_to_its_end(results, kept, monkeypatch):
    """Its run in the tracker is the same when it is done. Ctrl-C ends what is left open."""
    shutil.rmtree(results / "cartpole/evaluate")
    done = results / "cartpole" / TRAINING
    content = done.read_bytes()
    shutil.rmtree(done.parent)
    log, state = Path("logs/cartpole/train_ad/seed42.log"), Path("state/cartpole/ad/seed42/progress.json")
    values = {"first": 0, "updates": 40, "every": 20, "seconds": 2.0}
    for path in (log, state):
        path.parent.mkdir(parents=True)
    log.write_text("update 20/40 loss 1.0000\n", encoding="utf-8")
    assert name_of(Path("results/cartpole/train/ad/seed42/provenance.json")) == NAMES[1]
    said = iter([(20, 1.0), (20, 1.0), (30, 0.5), None, KeyboardInterrupt])

    def later(seconds):
        match next(said):
            case (update, loss):
                state.write_text(json.dumps({**values, "update": update, "loss": loss}), encoding="utf-8")
            case None:
                artifacts.write_bytes(done, content)
                log.unlink()
            case error:
                raise error

    later(0)
    monkeypatch.setattr(command.time, "sleep", later)
    assert track(results, ["json"], True) == "sent 1 trainings and evaluations to json"
    (run,) = kept
    assert run.over and run.points[2:] == points(done)
    assert run.points[:2] == [
        (20, {"live/loss": 1.0, "live/updates_per_second": 10.0}),
        (30, {"live/loss": 0.5, "live/updates_per_second": 15.0}),
    ]


def test_what_cannot_be_sent_is_refused_in_a_sentence(results, kept, monkeypatch):
    with pytest.raises(RadtError, match="there is no tracker: set `tracking:"):
        track(results, [], False)
    artifacts.write_json(command.SENT, [1])
    with pytest.raises(RadtError, match=r"sent\.json is damaged: delete tracking, and all is sent again"):
        track(results, ["json"], False)
    command.SENT.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(trackers, "find_spec", lambda name: None)
        with pytest.raises(RadtError, match="tracking names 'wandb', whose package is not installed: run `pip install wandb`"):
            track(results, ["wandb"], False)
    monkeypatch.setitem(trackers.TRACKERS, "json", lambda name, settings: 1 / 0)
    with pytest.raises(RadtError, match=r"json does not start \(division by zero\): mend that, or leave it out"):
        track(results, ["json"], False)


def test_trackers_are_those_of_the_settings_and_no_stage_is_told(results):
    assert list(trackers.TRACKERS) == list(typing.get_args(configuration.Tracker))
    plain, with_trackers = (read([ROOT / "config/config.yaml"], given) for given in ([], ["tracking=[wandb, mlflow]"]))
    assert plain.tracking == [] and with_trackers.tracking == ["wandb", "mlflow"]
    sections = [name for name in type(plain).model_fields if name in configuration.Stages.model_fields]
    assert "tracking" not in sections and plain.select("darkroom", *sections) == with_trackers.select("darkroom", *sections)
    for wrong in ("[neptune]", "[wandb, wandb]"):
        with pytest.raises(RadtError, match="tracking"):
            read([ROOT / "config/config.yaml"], [f"tracking={wrong}"])


def test_a_run_of_the_workflow_names_the_status_and_sends_what_it_made(copy):
    """That changes no result. A tracker that is not installed stops nothing."""
    (copy / "mine.yaml").write_text("tracking: [tensorboard]", encoding="utf-8")
    given, played = ("--configfile", "mine.yaml", "--"), "results/darkroom/evaluate/random/seed42.csv"
    assert planned(*given, FIGURE, folder=copy) == {}
    (copy / played).unlink()
    status, text = snakemake("--cores", "1", *given, played, folder=copy)
    assert status == 0, text
    assert re.search(r"in another terminal: python -m radt status --watch --configfile \S*mine.yaml\n", text)
    assert "trainings and evaluations to tensorboard" in text or "names 'tensorboard', whose package is not installed" in text


def sent(*names):
    """Send what is in results/ to real trackers, in a process of its own, without a network."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "MLFLOW_", "TRACKIO_"))}
    environment = {**variables, "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-m", "radt", "track", "--to", *names]
    done = subprocess.run(words, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"sent 2 trainings and evaluations to {', '.join(names)}"


def needs(name):
    """What skips a test where a package is not installed."""
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed")


@needs("tensorboard")
def test_tensorboard_has_the_numbers(results):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sent("tensorboard")
    (folder,) = Path("tracking/tensorboard", NAMES[1]).iterdir()
    events = EventAccumulator(str(folder))
    events.Reload()
    got = [(event.step, pytest.approx(event.value)) for event in events.Scalars("loss")]
    assert got == [(step, values["loss"]) for step, values in points(results / "cartpole" / TRAINING)]


@needs("wandb")
def test_wandb_keeps_a_run_of_each_file_to_be_sent_later(results):
    sent("wandb")
    assert len(list(Path("tracking/wandb").glob("offline-run-*/*.wandb"))) == 2


@needs("trackio")
def test_trackio_has_the_numbers(results):
    sent("trackio")
    with sqlite3.connect("tracking/trackio/radt.db") as store:
        rows = store.execute(
            "SELECT step, metrics FROM metrics WHERE run_name LIKE ? ORDER BY step", (f"{NAMES[1]}%",)
        ).fetchall()
    assert [(step, json.loads(values)) for step, values in rows] == points(results / "cartpole" / TRAINING)


@needs("mlflow")
def test_mlflow_has_the_numbers_and_the_settings(results):
    sent("mlflow")
    with sqlite3.connect("tracking/mlflow.db") as store:
        (run,) = store.execute("SELECT run_uuid FROM runs WHERE name LIKE ?", (f"{NAMES[1]}%",)).fetchone()
        rows = store.execute(
            "SELECT step, value FROM metrics WHERE run_uuid = ? AND key = 'loss' ORDER BY step", (run,)
        ).fetchall()
        gap = store.execute("SELECT value FROM params WHERE run_uuid = ? AND key = 'train_ad.episode_gap'", (run,)).fetchone()
    assert rows == [(step, values["loss"]) for step, values in points(results / "cartpole" / TRAINING)] and gap == ("10",)
