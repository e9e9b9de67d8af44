"""The workflow plans every target, refuses bad settings, reruns what an edit reaches, and tells why a job failed."""

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake.api  # before snakemake.workflow, which imports it
import yaml
from snakemake import workflow
from snakemake.dag import DAG
from snakemake.iocontainers import Namedlist
from snakemake.jobs import Job
from snakemake.persistence import PersistenceBase
from snakemake.utils import format as fill

from project import FIGURE, ROOT, counted, planned, snakemake, words
from radt.errors import RadtError
from radt.pipeline import atomic_stage
from radt.pipeline.runs import Runs
from radt.settings.configuration import read

SMOKE = ["--configfile", "config/smoke.yaml", "--", "results/smoke/figure.pdf"]
SHORT = {"world": "darkroom", "width": 5, "height": 5, "horizon": 30, "num_tasks": 25, "num_held_out": 5, "num_validation": 0}
EVALUATE = {"evaluate_retrieval": 6, "evaluate_plain": 6, "evaluate_reference": 4}
AFTER_INDEX = {"train_retrieval": 4, "evaluate_retrieval": 6, "figure": 1}


@pytest.fixture(scope="module")
def forced():
    """What Snakemake prints of every job of the smoke experiment."""
    status, text = snakemake("--dry-run", "--forceall", "--printshellcmds", *SMOKE)
    assert status == 0, text
    return text


def settings(*names):
    """The checked settings of the files that are always read, under those of other files."""
    return read([ROOT / f"config/{name}.yaml" for name in ("config", "ablations", *names)])


def trained(chosen, others=lambda *sections, method: 0):
    """How many jobs of each rule train, for all experiments and for `others`, variants that differ from them in some sections."""
    figures, seeds, dt = len(chosen.experiments), len(chosen.seeds), ("trajectories", "pretrain")
    retrieving = sum(len({"radt", "radt_lm"} & {*chosen.methods_of(name)}) for name in chosen.experiments)
    return {
        "trajectories": figures + others("trajectories", method=None),
        "pretrain": figures * seeds + others(*dt, method="radt"),
        "embed": retrieving + others(*dt, "embed", method="radt"),
        "train_retrieval": (retrieving + others(*dt, "embed", "index", "train_retrieval", method="radt")) * seeds,
        "train_ad": (figures + others("trajectories", "train_ad", method="ad")) * seeds,
        "train_dpt": figures * seeds,
    }


def test_all_of_the_papers_form_is_planned():
    plan, chosen = planned("--forceall", "--configfile", "config/paper.yaml", "--", "all"), settings("paper")
    figures = len(chosen.experiments)
    assert trained(chosen).items() <= plan.items()
    assert plan["figure"] == plan["index"] / 2 == figures and plan["overview"] == 1
    assert sum(plan[rule] for rule in EVALUATE) == figures * len(chosen.methods) * len(chosen.seeds)


def test_the_validation_of_every_experiment_is_planned():
    names = yaml.safe_load((ROOT / "config/validation.yaml").read_text(encoding="utf-8"))["experiments"]
    chosen = settings("validation")
    plan = planned(
        "--forceall", "--configfile", "config/validation.yaml", "--", *(f"results/{name}/figure.pdf" for name in names)
    )
    assert len(names) == plan["figure"] == plan["trajectories"]
    evaluations = sum(len(chosen.methods_of(name)) for name in names)
    assert sum(plan[rule] for rule in EVALUATE) == evaluations * len(chosen.seeds)


def test_all_is_planned_and_ablations_share_what_they_do_not_change(everything):
    plan, chosen = counted(everything), settings()
    variants = [(one, f"ablations/{name}/{variant}") for name, one in chosen.ablations.items() for variant in one.variants]
    sections = Runs(chosen).sections

    def others(*keys, method):
        return sum(
            method in (None, *one.methods)
            and any(sections(run)[key] != sections(one.experiment)[key] for key in ("experiment", *keys))
            for one, run in variants
        )

    assert trained(chosen, others).items() <= plan.items()
    assert plan["figure"] == len(chosen.experiments) and plan["ablation"] == len(chosen.ablations) and plan["overview"] == 1
    figures = sum(len(chosen.methods_of(name)) for name in chosen.experiments)
    evaluations = figures + sum(len(one.methods) for one, _ in variants)
    assert sum(plan[rule] for rule in EVALUATE) == evaluations * len(chosen.seeds)


def test_the_ablation_of_sources_is_told_their_learning_curves(everything):
    places = [("q_learning", "darkroom"), *((name, f"ablations/source/{name}") for name in ("one_history", "ppo"))]
    told = [f"{variant}=results/{run}/trajectories/learning.csv" for variant, run in places]
    assert f" --learning {' '.join(told)} --inputs " in everything


def test_evaluation_reads_weights_only_and_the_figure_tables_only(forced):
    inputs = re.findall(r"rule (\w+):\n +input: (.+)$", forced, flags=re.MULTILINE)
    for rule, paths in inputs:
        if rule.startswith("evaluate"):
            assert all(path.endswith("/model.safetensors") for path in paths.split(", "))
            assert len(paths.split(", ")) == 1 + (rule == "evaluate_retrieval" and "/radt/" in paths)
        if rule == "figure":
            assert all(path.endswith(".csv") for path in paths.split(", "))
        if rule in ("pretrain", "train_ad", "train_dpt"):
            assert paths == "results/smoke/trajectories/manifest.json"
    assert {"figure", "evaluate_plain", "evaluate_retrieval"} <= {rule for rule, _ in inputs}


def test_bad_settings_are_refused_before_the_graph_is_built(tmp_path):
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({"experiments": {"short": SHORT}}), encoding="utf-8")
    refused(["embed.chunk_length", "50", "'short'", "30"], "--configfile", str(tmp_path / "bad.yaml"))


def test_a_target_that_there_is_not_gets_the_list_of_those_that_there_are():
    refused(["unknown", "experiment", "'darkrom'", "keydoor_20x20"], "--", "results/darkrom/figure.pdf")


def refused(words, *options):
    """Assert that Snakemake refuses before it builds its graph, in a sentence with `words`."""
    status, text = snakemake("--dry-run", *options)
    assert status != 0
    assert "Building DAG" not in text
    assert "Traceback" not in text
    last = text.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert all(word in last for word in words)


def test_old_python_is_refused_in_a_sentence(monkeypatch):
    head = (ROOT / "Snakefile").read_text(encoding="utf-8").partition("configfile:")[0]
    compile(head, "Snakefile", "exec", dont_inherit=True)
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer, this is 3\.10"):
        exec(head, {})


def test_every_job_has_what_plans_logs_and_records_need(forced):
    """Of every rule that runs a stage, inherited or not: what Snakemake knows of its jobs, and the command that it starts."""
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:(?: |Shell command).*\n)+)", forced, flags=re.MULTILINE)
    assert {"trajectories", "pretrain", "train_ad", "evaluate_reference", "figure"} <= {rule for rule, _ in jobs}
    for rule, job in jobs:
        fields = dict(re.findall(r"^ *(\w[\w ]*): (.+)$", job, flags=re.MULTILINE))
        assert fields["log"].startswith("logs/") and fields["benchmark"].startswith("benchmarks/"), rule
        assert {"mem_mb", "runtime"} <= {name for name, _ in re.findall(r"(\w+)=(\d+)", fields["resources"])}, rule
        ((_, stage, *arguments),) = words([fields["Shell command"].rpartition(" > ")[0]])
        assert stage.startswith("radt.stages."), rule
        assert "experiment" in json.loads(arguments[arguments.index("--settings") + 1]), rule
        record, inputs, _ = atomic_stage.parse(arguments)
        assert str(record) in fields["output"], rule
        assert list(map(str, inputs)) == (fields["input"].split(", ") if "input" in fields else []), rule


@pytest.fixture
def smk(monkeypatch):
    """Reads workflow/staleness.smk in this process, as Snakemake does; what it replaces is put back afterwards."""
    for owner, name in ((workflow, "FilePersistence"), (workflow, "DbPersistence"), (DAG, "clean"), (Job, "output_mintime")):
        monkeypatch.setattr(owner, name, getattr(owner, name))

    def read():
        path, names = ROOT / "workflow/staleness.smk", {"Path": Path, "sys": sys, "RadtError": RadtError}
        exec(compile(path.read_text(encoding="utf-8"), path, "exec"), names)
        return SimpleNamespace(**names)

    return read


def package(monkeypatch, folder):
    """What workflow/package.smk ends with when the Snakefile is in a folder."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("PATH", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    place = SimpleNamespace(basedir=str(folder), deployment_settings=SimpleNamespace(deployment_method=()))
    names = {"sys": sys, "workflow": place, "shell": SimpleNamespace(prefix=lambda line: None)}
    path = ROOT / "workflow/package.smk"
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), names)
    return os.environ["PYTHONPATH"].split(os.pathsep)


def test_the_package_beside_the_snakefile_comes_first_and_another_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/another/src")
    assert package(monkeypatch, ROOT) == [str(ROOT / "src"), "/another/src"]
    with pytest.raises(SystemExit, match=rf"error: the package of .*radt.* is loaded already, not that of {tmp_path}/src: start"):
        package(monkeypatch, tmp_path)


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_an_environment_without_the_packages_of_radt_is_refused(monkeypatch, name):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == name else find(asked))
    with pytest.raises(SystemExit, match=rf"error: the Python of .* has no module '{name}': run `make setup`, then"):
        package(monkeypatch, ROOT)


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (PersistenceBase, "params_changed", lambda self, job, path=None: False),
        (PersistenceBase, "incomplete", lambda self, job: []),
        (PersistenceBase, "restore_output", None),
        (DAG, "clean", lambda self, dryrun=False: None),
    ],
    ids=["argument", "not async", "gone", "class"],
)
def test_another_snakemake_is_refused_in_a_sentence(smk, monkeypatch, owner, name, value):
    monkeypatch.setattr(owner, name, value)
    with pytest.raises(
        SystemExit, match=rf"error: the workflow needs Snakemake 9\.27, this is 9\.\S+ \(\w+\.{name} differs\): run"
    ):
        smk()


@pytest.mark.parametrize(
    "text", ["a b", "$(dirname /x/y)", 'it\'s "quoted" > logs/x', "two\nlines", "{input} {{}} `id` $HOME \\"]
)
def test_a_record_holds_the_command_line_that_the_shell_makes_of_a_rule(smk, text):
    """What is compared with the record against what a job gets from bash, for settings that mean something to a shell."""
    shell = (
        "{params.torchrun}python -m radt.stages.{params.command} --settings {params.settings:q} {params.reads} {params.options}"
    )
    job = SimpleNamespace(
        rule=SimpleNamespace(shellcmd=f"{shell} --inputs {{input}} --output {{params.writes}} > {{log}} 2>&1"),
        input=Namedlist(fromdict={"data": "in/a.json"}),
        output=Namedlist(fromdict={"model": "out/model"}),
        params=Namedlist(
            fromdict={
                "settings": json.dumps({"folder": text}),
                "torchrun": "python -m radt.training.torchrun 2 ",
                "command": "x --seed 1",
                "reads": "--data in",
                "options": "",
                "writes": "out",
            }
        ),
        wildcards=Namedlist(),
        log=Namedlist(fromdict={"log": "logs/x.log"}),
    )
    known = {name: getattr(job, name) for name in ("input", "output", "params", "wildcards", "log")}
    (line,) = words([fill(job.rule.shellcmd, **known).rpartition(" > ")[0]])
    assert smk().command(job) == ("radt.stages.x", atomic_stage.parse(line[line.index("radt.stages.x") + 1 :])[2])


@pytest.mark.parametrize(
    ("key", "value", "rerun"),
    [
        (
            "evaluate",
            {"methods": {"ad": {"model": "ad", "target_return": "none", "actions": "greedy"}}},
            {"evaluate_plain": 2, "figure": 1},
        ),
        ("index", {"max_similarity": 0.9}, {"index": 2, **AFTER_INDEX}),
        ("experiments", {"keydoor": {"index": {"max_similarity": 0.9}}}, {}),
    ],
    ids=["one method", "index", "another experiment"],
)
def test_a_changed_setting_reruns_what_reads_it_and_what_follows(copy, tmp_path, key, value, rerun):
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump({key: value}), encoding="utf-8")
    assert planned("--configfile", str(tmp_path / "changed.yaml"), "--", FIGURE, folder=copy) == rerun


def test_the_report_is_one_page_with_captions(copy):
    status, text = snakemake("--report", "report.html", "--", FIGURE, folder=copy)
    assert status == 0, text
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "read off its" in page  # the captions name their source
    assert not re.search(r"<(script|link|img)[^>]* (src|href)=.?https?:", page)


def test_every_output_outlives_a_failure(forced):
    outputs = re.findall(r"^ +output: (.+)$", forced, flags=re.MULTILINE)
    assert outputs
    assert all(name.endswith(" (update)") for names in outputs for name in names.split(", "))


@pytest.mark.parametrize("name", ["slurm", "cluster-generic", "kubernetes"])
def test_every_profile_is_accepted(name):
    """That of no cluster is the one of all other dry runs."""
    assert planned("--workflow-profile", f"profiles/{name}", "--forceall", *SMOKE)["figure"] == 1
