"""The targets of Snakemake's command line: the runs that they need, and checks that these runs have a defined result."""

from __future__ import annotations

import os
from collections.abc import Iterable

from radt.errors import RadtError
from radt.settings.configuration import Settings
from radt.suites import suite_of


def given(argv: list[str]) -> list[str]:
    """The targets of a command line of Snakemake, with those of --forcerun and --until; empty for other programs.

    Values of options are no targets: `--report results/report.html`. A job that Snakemake submitted is represented by a file of
    its run.
    """
    from snakemake.cli import get_argument_parser

    options, targets = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    try:
        options_given, _ = get_argument_parser().parse_known_args(options)
    except (Exception, SystemExit):
        return targets
    jobs = [_file_of(job.wildcards_dict or {}) for job in options_given.target_jobs or ()]
    asked = [*options_given.targets, *targets, *jobs] or ["all"]
    return [*asked, *(options_given.forcerun or ()), *(options_given.until or ())]


def _file_of(wildcards: dict[str, str]) -> str:
    """A file of the run of a job."""
    if "ablation" in wildcards:
        return f"results/ablations/{wildcards['ablation']}.pdf"
    return f"results/{wildcards['experiment']}/figure.pdf" if "experiment" in wildcards else "overview"


def check(settings: Settings, targets: Iterable[str]) -> None:
    """Raise `RadtError` when a target does not exist, or needs a run whose settings do not fit or have no defined result."""
    asked = [run for target in targets for run in runs_of(settings, os.path.normpath(target))]
    for run in dict.fromkeys(asked):
        settings.check(run)
        check_paid(settings, run)


def runs_of(settings: Settings, target: str) -> list[str]:
    """The runs that a target needs; none if it is no result of this project.

    Raises `RadtError` when it names an unknown experiment, ablation, variant or method.
    """
    if target == "stage":
        raise RadtError("rule stage makes nothing, other rules use it: name one of them, or a file below results/")
    folder, run, *inside = [*target.split("/"), ""]
    if target in ("all", "overview") or (folder == "results" and run.startswith("overview.")):
        return list(settings.experiments)
    if target == "ablations":
        return [run for name in settings.ablations for run in _variants(settings, name, target)]
    if folder != "results" or not inside or run == "recorded":
        return []
    known = list(settings.experiments)
    if run == "ablations":
        known = _variants(settings, inside[0].partition(".")[0], target)
        if len(inside) < 3:  # a file, or the folder, of all variants
            return known
        run, inside = "/".join((run, *inside[:2])), inside[2:]
    if run not in known:
        raise RadtError(f"unknown experiment {run!r} in {target}: the configuration has {sorted(known)}")
    methods = settings.stages(run).evaluate.methods
    if inside[0] == "evaluate" and len(inside) > 2 and inside[1] not in methods:
        raise RadtError(f"unknown method {inside[1]!r} in {target}: evaluate.methods has {sorted(methods)}")
    return [run]


def _variants(settings: Settings, name: str, target: str) -> list[str]:
    """The runs of an ablation; raises `RadtError` when it or its experiment does not exist."""
    if name not in settings.ablations:
        raise RadtError(f"unknown ablation {name!r} in {target}: the configuration has {sorted(settings.ablations)}")
    ablation = settings.ablations[name]
    if ablation.experiment not in settings.experiments:
        allowed = sorted(settings.experiments)
        raise RadtError(f"ablations.{name}.experiment is {ablation.experiment!r}, allowed are {allowed}")
    return [f"ablations/{name}/{variant}" for variant in ablation.variants]


def check_paid(settings: Settings, run: str) -> None:
    """Raise `RadtError` when a split that is trained or evaluated on has no task with a possible return above 0.

    Figures divide by the best possible return, and nothing can be learned if it is 0.
    """
    experiment = settings.experiment(run)
    if experiment.horizon > experiment.farthest:
        return
    tasks = suite_of(experiment).tasks()
    for split in ("train", *settings.stages(run).evaluate.splits):
        best = [task.references["optimum"] for task in tasks if task.split == split]
        if best and not any(best):
            raise RadtError(
                f"the horizon of {run!r} is {experiment.horizon}, allowed is one in which a task of the split {split!r} can be"
                " rewarded: no goal of them can be reached in time"
            )
