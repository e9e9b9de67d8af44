"""What a target costs: a schedule worked out by hand, formulas against files and recorded runs, Snakemake's own plan."""

import csv
import json
import os
import random
import re
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from project import FIGURE, ROOT, change, planned, run
from radt.__main__ import main
from radt.errors import RadtError
from radt.pipeline import config, costs, plan, status
from radt.pipeline.jobs import Name, name_of
from radt.pipeline.measured import Estimate, alone, estimate, here, key_of, known, recorded
from radt.pipeline.resources import Needs
from radt.pipeline.runs import Runs
from radt.pipeline.text import duration
from radt.settings.parsing import parse


def job(number, needs=(), priority=0, gpus=0, threads=1):
    return plan.Job(number, "rule", Name("run", "train_ad", f"seed{number}"), frozenset(needs), priority, gpus, threads)


def sections(runs, run):
    return parse(costs.Sections, runs.sections(run))


def test_schedule_and_critical_path_are_those_worked_out_by_hand():
    # 1 (2 s) leads to 2 (3 s) and 3 (4 s, urgent), both to 4 (1 s); 5 (10 s) stands alone.
    # Two cores: 1 and 5 from 0, 3 before 2 from 2 to 6, 2 from 6 to 9, 5 until 10, 4 from 9 to 10.
    todo = [job(1), job(2, [1]), job(3, [1], priority=5), job(4, [2, 3]), job(5)]
    seconds = {1: 2.0, 2: 3.0, 3: 4.0, 4: 1.0, 5: 10.0}
    assert plan.schedule(todo, seconds, 2, 1) == {1: (0, 2), 5: (0, 10), 3: (2, 6), 2: (6, 9), 4: (9, 10)}
    assert plan.schedule(todo, seconds, 1, 1) == {1: (0, 2), 3: (2, 6), 2: (6, 9), 4: (9, 10), 5: (10, 20)}
    assert plan.schedule(todo, seconds, 3, 1)[4] == (6, 7)
    assert [one.id for one in plan.critical_path(todo, seconds)] == [5]
    assert [one.id for one in plan.critical_path(todo[:4], seconds)] == [1, 3, 4]


def test_jobs_that_share_one_gpu_wait_for_it():
    todo, seconds = [job(1, gpus=1), job(2, gpus=1), job(3)], {1: 5.0, 2: 5.0, 3: 1.0}
    assert plan.schedule(todo, seconds, 3, 1) == {1: (0, 5), 3: (0, 1), 2: (5, 10)}
    assert plan.schedule(todo, seconds, 3, 2)[2] == (0, 5)
    with pytest.raises(RadtError, match="no job can start"):
        plan.schedule([job(1, gpus=2)], seconds, 3, 1)


def test_a_job_of_several_ranks_waits_for_as_many_cores():
    todo, seconds = [job(1, threads=3), job(2), job(3, priority=1, threads=2)], {1: 4.0, 2: 1.0, 3: 2.0}
    assert plan.schedule(todo, seconds, 3, 0) == {3: (0, 2), 2: (0, 1), 1: (2, 6)}
    assert plan.schedule(todo, seconds, 5, 0) == {3: (0, 2), 1: (0, 4), 2: (2, 3)}
    with pytest.raises(RadtError, match="no job can start on 2 cores"):
        plan.schedule(todo[:1], seconds, 2, 0)
    text = plan.report([todo[0]], {1: Estimate(3600.0, 1e9, 0.0, "recorded")}, 4, 0)
    assert re.search(r"^all +1 +3\.000 ", text, flags=re.MULTILINE) and "critical path: 1 hour," in text


@pytest.mark.parametrize(("cores", "threads"), [(8, 3), (2, 2)])
def test_the_cores_of_a_job_are_those_that_snakemake_would_give_it(made, tmp_path, monkeypatch, cores, threads):
    monkeypatch.chdir(made)
    (tmp_path / "ranks.yaml").write_text("train_ad: {optimization: {ranks: 3}}", encoding="utf-8")
    todo = plan.jobs(plan.dry_run([FIGURE], [tmp_path / "ranks.yaml"], cores, 1))
    assert {one.rule: one.threads for one in todo} == {"train_ad": threads, "evaluate_plain": 1, "figure": 1}


def test_ranks_share_the_work_and_have_memory_of_their_own():
    runs, name = Runs(config.settings()), Name("darkroom", "train_ad", "seed42")
    one = sections(runs, "darkroom")
    four = changed_ranks(one, 4)
    known = [job for job in recorded(runs, []) if job.run == "darkroom" and job.key.folder == "train_ad"]
    alone_, shared = (estimate(name, "darkroom", asked, known) for asked in (one, four))
    start = costs.STAGES["train_ad"].start
    assert shared.seconds - start == pytest.approx((alone_.seconds - start) / 4) and shared.memory == pytest.approx(
        4 * alone_.memory
    )
    measured_in_four = [replace(job, sections=four, seconds=shared.seconds, memory=shared.memory) for job in known]
    back = estimate(name, "darkroom", one, measured_in_four)
    assert back.seconds == pytest.approx(alone_.seconds) and back.memory == pytest.approx(alone_.memory)


def changed_ranks(chosen, ranks):
    """The same sections with AD trained by so many ranks."""
    optimization = chosen.train_ad.optimization.model_copy(update={"ranks": ranks})
    return chosen.model_copy(update={"train_ad": chosen.train_ad.model_copy(update={"optimization": optimization})})


def test_cpu_seconds_of_the_last_look_are_continued_to_the_end_of_the_job():
    assert alone(29.0, 15.0) == pytest.approx(29.0)  # busy for the 15 s that were looked at
    assert alone(768.0, 424.0) == pytest.approx(424.0 * 768 / 765)  # the last look was at 15 + 25 x 30 s
    assert alone(10.0, 8.0) == pytest.approx(8.0)
    assert alone(10.0, 0.0) == 10.0  # not measured


def test_every_job_of_the_workflow_is_known_by_its_log_benchmark_and_record(planned_jobs):
    found = set()
    for job in planned_jobs:
        for log in job["log"]:
            name = name_of(Path(log).relative_to("logs"))
            assert name == name_of(Path(job["benchmark"]).relative_to("benchmarks"))
            assert str(name.record) in job["output"]
            found.add(name.folder)
    assert found == set(costs.STAGES)


def test_a_recorded_run_is_predicted_from_another_of_a_fourth_of_its_size():
    runs = Runs(config.settings())
    known = [one for one in recorded(runs, []) if one.run == "darkroom"]
    predicted, least, most = defaultdict(float), defaultdict(float), defaultdict(float)
    with (ROOT / "results/recorded/darkroom_20x20/timeline.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found = estimate(
                Name("darkroom_20x20", row["rule"], row["job"]), "darkroom_20x20", sections(runs, "darkroom_20x20"), known
            )
            for key in (row["rule"], "all"):
                predicted[key] += found.seconds
                least[key] += float(row["cpu_seconds"])
                most[key] += float(row["stop"]) - float(row["start"])
    for key in predicted:
        assert least[key] / 2 < predicted[key] < 2 * most[key], key
    assert 0.7 * least["all"] < predicted["all"] < most["all"]  # the machine of the smaller room was faster


def test_a_gpu_is_estimated_from_a_cpu_only_where_no_gpu_was_measured_and_it_says_so():
    runs = Runs(config.settings(Path("config/gpu.yaml")))
    known, name = list(recorded(runs, [])), Name("darkroom", "train_ad", "seed42")
    measured = estimate(name, "darkroom", sections(runs, "darkroom"), known)
    assert measured.origin == "keydoor_40x20, recorded"  # the only one that a GPU made
    guess = estimate(name, "darkroom", sections(runs, "darkroom"), [one for one in known if one.run == "darkroom"])
    assert guess.origin == "recorded, on a CPU" and guess.seconds > measured.seconds
    on_gpu = plan.Job(1, "train_ad", name, frozenset(), 5, 1, 1)
    assert "estimated from CPU" in plan.report([on_gpu], {1: guess}, 2, 1)
    assert "estimated from CPU" not in plan.report([on_gpu], {1: measured}, 2, 1)


def test_a_job_of_a_kind_that_was_never_measured_is_not_counted():
    runs = Runs(config.settings())
    assert estimate(Name("darkroom", "train_ad", "seed42"), "darkroom", sections(runs, "darkroom"), []) is None
    assert estimate(Name("darkroom", "unknown", "seed42"), "darkroom", sections(runs, "darkroom"), []) is None


def test_disk_is_that_of_the_files(made, monkeypatch):
    monkeypatch.chdir(made)
    chosen = sections(Runs(config.settings()), "darkroom")
    for encoder in ("dt", "lm"):
        assert costs.embed(chosen, encoder).disk == pytest.approx(size(f"embed/{encoder}/embeddings.safetensors"), rel=0.01)
        assert 0.1 < size(f"index/{encoder}/index.safetensors") / costs.index(chosen, encoder).disk < 1.1
    assert costs.trajectories(chosen, "").disk == pytest.approx(size("trajectories/*.safetensors"), rel=0.1)
    assert costs.evaluate(chosen, "ad").disk == pytest.approx(size("evaluate/ad/seed42.csv"), rel=0.5)
    assert costs.figure(chosen, "").disk == pytest.approx(size("figure.*"), rel=0.5)


def size(pattern):
    """Bytes of files of the tiny Dark-Room."""
    return sum(path.stat().st_size for path in Path("results/darkroom").glob(pattern))


def test_only_what_is_out_of_date_is_planned_and_its_time_grows_with_the_settings(copy, monkeypatch):
    monkeypatch.chdir(copy)
    assert plan.plan([FIGURE], [], 2, 1) == "nothing would run: everything is up to date"
    for seed in (42, 43):
        head = "s\tmax_rss\tcpu_time\n"
        (copy / f"benchmarks/darkroom/train_ad/seed{seed}.tsv").write_text(f"{head}13.5\t300\t13.5\n", encoding="utf-8")
    change(copy, "train_ad.optimization.updates", 200)  # was 20
    text, todo = plan.plan([FIGURE], [], 2, 1), planned("--", FIGURE, folder=copy)
    assert todo == {"train_ad": 2, "evaluate_plain": 2, "figure": 1}
    assert {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)  ", text, flags=re.MULTILINE) if rule != "all"} == todo
    start = costs.STAGES["train_ad"].start
    assert re.search(rf"{duration(start + 10 * (13.5 - start))}  darkroom/train_ad/seed4[23]$", text, flags=re.MULTILINE)
    assert "critical path" in text and re.search(r"^train_ad .*measured here$", text, flags=re.MULTILINE)


def test_a_plan_that_snakemake_refuses_is_one_sentence(made):
    for arguments, sentence in (
        (["results/nowhere/figure.pdf"], "error: Snakemake cannot plan this: unknown experiment 'nowhere'"),
        ([FIGURE, "--configfile", "nothing.yaml"], "error: nothing.yaml is missing: name a YAML file of settings"),
    ):
        status, text = run(["python", "-m", "radt", "plan", *arguments], made)
        assert status == 1 and text.startswith(sentence) and text.count("\n") == 1
    status, text = run(["python", "-m", "radt", "plan", FIGURE, "--cores", "0"], made)
    assert status == 2 and "'0' is no whole number from 1 on" in text


def test_without_any_measured_job_the_plan_says_what_is_missing(copy, monkeypatch):
    monkeypatch.chdir(copy)
    for path in (copy / "benchmarks").rglob("*.tsv"):
        path.write_text("cut off", encoding="utf-8")
    change(copy, "train_ad.episode_gap", 3)
    with pytest.raises(RadtError, match=r"what was is damaged \(benchmarks/.*restore results/recorded"):
        plan.plan([FIGURE], [], 2, 1)


HEAD = "s\tmax_rss\tcpu_time\n"
DAMAGE = {
    "settings.json": ["", "{", "[]", "3", '{"experiment": 3}', "\xff", "[" * 100_000, None],
    "timeline.csv": ["", "rule,job\n", "rule,job,lane,start,stop,cpu_seconds,max_rss_mb\na,b,0,1,nan,1,1\n", "\0", None],
    "seed42.tsv": ["", f"{HEAD}nan\t1\t1\n", f"{HEAD}1e300\t1\t1\n", f"{HEAD}1\t-1\t1\n", f"{HEAD}1\t1\n", None],
}
"""What is in place of a file that estimates are made from; None: a pipe that nobody writes to."""


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A folder with the project's configuration, the recorded jobs of two experiments and one that was measured here."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    for name in ("darkroom", "keydoor"):
        for file in ("settings.json", "timeline.csv"):
            place = tmp_path / "results/recorded" / name / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "results/recorded" / name / file, place)
    (tmp_path / "benchmarks/darkroom/train_ad").mkdir(parents=True)
    (tmp_path / "benchmarks/darkroom/train_ad/seed42.tsv").write_text(f"{HEAD}9\t300\t9\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_measurements_are_left_out_of_estimates_with_one_warning(measured, name, capsys):
    runs = Runs(config.settings())
    whole, nothing = known(runs)
    (path,) = (path for path in measured.rglob(name) if "keydoor" not in path.parts)
    place = "measured here" if name == "seed42.tsv" else "recorded"
    lost = [job for job in whole if (job.run, job.place) == ("darkroom", place)]
    assert nothing == [] and lost and capsys.readouterr().err == ""
    for content in DAMAGE[name]:
        path.unlink()
        os.mkfifo(path) if content is None else path.write_text(content, encoding="latin-1")
        found, damaged = known(runs)
        warnings = capsys.readouterr().err
        assert warnings.count("\n") <= 1 and (not warnings or warnings.startswith("warning: 1 file"))
        if content != '{"experiment": 3}':  # JSON, but no settings: the present ones count
            assert len(found) == len(whole) - len(lost) and str(path.relative_to(measured)) in "".join(damaged)
        needs = Needs(runs)
        assert 0 < needs.memory("darkroom/train_ad/seed42", 1) < 1e5 and 0 < needs.minutes("darkroom/train_ad/seed42", 1) < 1e5


def test_recorded_settings_of_older_versions_are_read(measured):
    path = measured / "results/recorded/darkroom/settings.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["embed"] = {"chunk": 7, "every": 5}
    told["experiment"] |= {"tasks": 60, "held_out": 10, "validation": 3}
    told["experiment"] = {key: value for key, value in told["experiment"].items() if not key.startswith("num_")}
    path.write_text(json.dumps(told), encoding="utf-8")
    jobs = [job for job in known(Runs(config.settings()))[0] if (job.run, job.place) == ("darkroom", "recorded")]
    assert jobs and {job.sections.embed.chunk_length for job in jobs} == {7}
    assert {(job.sections.embed.query_stride, job.sections.experiment.num_tasks) for job in jobs} == {(5, 60)}


def test_mutated_measurements_never_stop_an_estimate(measured):
    chance, runs = random.Random(0), Runs(config.settings())
    paths = [path for path in measured.rglob("*") if path.name in DAMAGE]
    kept = {path: path.read_bytes() for path in paths}
    for number in range(3000 if os.environ.get("RADT_TORTURE") == "1" else 30):
        path = chance.choice(paths)
        content = bytearray(kept[path])
        for _ in range(chance.randrange(1, 30)):
            content[chance.randrange(len(content))] = chance.choice(b"0123456789-.,e\n\t\x00\xff{}[]naif")
        path.write_bytes(content[: chance.choice([len(content), chance.randrange(len(content))])])
        needs = Needs(runs)
        asked = needs.memory("darkroom/train_ad/seed42", 1), needs.minutes("darkroom/train_ad/seed42", 1)
        assert 0 < asked[0] < 1e12 and 0 < asked[1] < 1e12, number
        path.write_bytes(kept[path])


@pytest.mark.parametrize("command", ["plan results/a/figure.pdf", "status"])
def test_several_configuration_files_stand_behind_one_flag_or_several(command, monkeypatch):
    seen = []
    monkeypatch.setattr(plan, "plan", lambda targets, files, cores, gpus: seen.append((targets, files)))
    monkeypatch.setattr(status, "show", lambda files, watch: seen.append((["results/a/figure.pdf"], files)))
    name, *target = command.split()
    lines = [
        [name, *target, "--configfile", "a.yaml", "b.yaml"],
        [name, *target, "--configfile", "a.yaml", "--configfile", "b.yaml"],
    ]
    lines += [[name, "--configfile", "a.yaml", "b.yaml", "--", *target]] if target else []
    for line in lines:
        main(line)
    assert seen == [(["results/a/figure.pdf"], [Path("a.yaml"), Path("b.yaml")])] * len(lines)


def test_measured_jobs_keep_the_settings_that_they_were_run_with(copy, jobs, monkeypatch):
    monkeypatch.chdir(copy)
    change(copy, "train_ad.optimization.updates", 200)
    known = list(here(Runs(config.settings()), []))
    assert len(known) == len(jobs) and {
        one.sections.train_ad.optimization.updates for one in known if one.key.folder == "train_ad"
    } == {20}


def test_a_key_names_model_and_device():
    chosen = sections(Runs(config.settings(Path("config/gpu.yaml"))), "darkroom")
    assert [
        (key.model, key.device)
        for key in (
            key_of(Name("darkroom", folder, name), chosen)
            for folder, name in (
                ("evaluate_retrieval", "radt_fixed_seed42"),
                ("embed", "lm"),
                ("train_dpt", "seed42"),
                ("index", "dt"),
            )
        )
    ] == [("radt", "cpu"), ("lm", "cuda"), ("", "cuda"), ("dt", "cpu")]


def test_hours_memory_and_disk_are_summed():
    todo = [job(1), job(2, [1], gpus=1)]
    found = {1: Estimate(3600.0, 1e9, 5e8, "recorded"), 2: Estimate(1800.0, 2e9, 5e8, "recorded")}
    text = plan.report(todo, found, 4, 1)
    assert re.search(r"^all +2 +1\.500 +0\.500 +2\.0$", text, flags=re.MULTILINE)
    assert "largest job: 2.0 GB, run/train_ad/seed2" in text and "disk for the results: 1.00 GB" in text
    assert "critical path: 1 hour and 30 minutes," in text and "expected time: 1 hour and 30 minutes on 4 cores" in text
