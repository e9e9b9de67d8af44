"""What the workflow asks a cluster for: the plan of Snakemake against the recorded jobs, and the arithmetic of further tries."""

import csv
import math

import pytest

from project import FIGURE, ROOT, asked, copy_of_the_project
from radt.pipeline import config
from radt.pipeline.resources import Needs
from radt.pipeline.runs import Runs


def test_jobs_of_a_recorded_experiment_ask_for_what_they_took_and_more(tmp_path):
    """Half as much again and some for Snakemake itself, three times as long and ten minutes; never for a node of its own."""
    for path in ROOT.iterdir():
        if path.name not in ("results", "benchmarks", "logs", "state", ".snakemake", ".git"):  # nothing was run here
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/recorded").symlink_to(ROOT / "results/recorded")
    found = asked(FIGURE, tmp_path)
    with (ROOT / "results/recorded/darkroom/timeline.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(found) == len(rows)
    for row in rows:
        memory, minutes = found[f"benchmarks/darkroom/{row['rule']}/{row['job']}.tsv"]
        measured = float(row["max_rss_mb"]) * 2**20 / 1e6
        assert 1.5 * measured + 500 <= memory + 1 and memory < 3 * measured + 1000
        assert 3 * float(row["cpu_seconds"]) / 60 < minutes < 10 + 6 * float(row["cpu_seconds"]) / 60 + 5


def test_a_job_that_was_measured_here_asks_for_what_it_took(tmp_path):
    """Whatever the recorded runs took: the present settings are those of the file."""
    folder = copy_of_the_project(tmp_path / "project")
    benchmark = folder / "benchmarks/darkroom/train_ad/seed42.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\tmax_rss\tcpu_time\n400.0\t5000.0\t400.0\n", encoding="utf-8")
    memory, minutes = asked(FIGURE, folder)["benchmarks/darkroom/train_ad/seed42.tsv"]
    assert memory == math.ceil((1.5 * 5000 * 2**20 + 500e6) / 1e6)
    assert minutes == 30  # 10 + 3 x 400 s
    log = folder / "logs/darkroom/train_ad/seed42.log"
    log.parent.mkdir(parents=True)
    log.write_text("going on from update 1990 of state/darkroom/ad/seed42/checkpoint.safetensors\n", encoding="utf-8")
    assert asked(FIGURE, folder)["benchmarks/darkroom/train_ad/seed42.tsv"] != (memory, minutes)  # only the rest was measured


def test_every_further_try_asks_for_twice_as_much(monkeypatch):
    monkeypatch.chdir(ROOT)
    needs = Needs(Runs(config.settings()))
    job = "darkroom/train_dpt/seed43"
    for ask in (needs.memory, needs.minutes):
        first, second, third = (ask(job, attempt) for attempt in (1, 2, 3))
        assert second == pytest.approx(2 * first, abs=2) and third == pytest.approx(4 * first, abs=4)


def test_a_job_that_was_never_measured_asks_for_a_day(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    runs = Runs(config.settings(ROOT / "config/smoke.yaml"))
    monkeypatch.chdir(tmp_path)  # without recorded runs
    needs = Needs(runs)
    assert (needs.memory("smoke/train_ad/seed42", 1), needs.minutes("smoke/train_ad/seed42", 1)) == (6500, 1450)
