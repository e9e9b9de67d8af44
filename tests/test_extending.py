"""The recipes of docs/extending.md work: their blocks are applied to a copy of the project, which then makes what they add."""

import re

import pandas as pd

from project import FIGURE, ROOT, counted, planned, snakemake
from radt import artifacts

BLOCK = re.compile(r"^( *)```(\w+) (\S+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def follow(recipes, folder):
    """Apply the blocks of a text to a project; returns the configuration files that they make."""
    made = []
    for indent, kind, name, text in BLOCK.findall(recipes):
        content = re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
        path = folder / (f"{len(made)}_{name}" if kind == "yaml" else name)
        if kind == "yaml":
            made.append(path.name)
        if kind == "diff":
            for hunk in content.removesuffix("\n").split("\n@@\n"):
                replace(path, hunk.split("\n"))
        else:
            path.parent.mkdir(exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(content)
    return made


def replace(path, hunk):
    """Replace the lines of a hunk that begin with `-` or a space by those that begin with `+` or a space."""
    old, new = ("\n".join(line[1:] for line in hunk if line[:1] != other) for other in "+-")
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name} must have once: {old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def extended(folder, *left_out):
    """The options that configure the examples of all recipes but some, which are applied to a project."""
    parts = re.split("^## ", (ROOT / "docs/extending.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return ["--configfile", *follow("\n".join(part for part in parts if not part.startswith(left_out)), folder)]


def test_recipes_make_what_they_add(copy):
    folder, options = copy, extended(copy, "A world", "A suite")  # a world changes what every stage is told
    targets = [*options, "--", FIGURE, "results/darkroom/bars.pdf", "results/ablations/weight.pdf"]
    status, text = snakemake("--cores", "2", *targets, folder=folder)
    assert status == 0, text
    jobs = counted(text)
    assert {*jobs} == {
        "train_bc",
        "embed",
        "index",
        "train_retrieval",
        "evaluate_plain",
        "evaluate_reference",
        "evaluate_retrieval",
        "figure",
        "bars",
        "ablation",
    }
    assert (jobs["embed"], jobs["index"], jobs["train_retrieval"]) == (1, 1, 2)  # those of radt_xy
    assert jobs["evaluate_retrieval"] == 6  # radt_xy, and two variants: nothing of other methods was trained or evaluated again
    table = pd.read_csv(folder / "results/darkroom/table.csv")
    assert {*table["method"]} == {"bc", "best_of_two", "radt", "radt_xy"}
    assert (folder / "results/darkroom/bars.pdf").read_bytes().startswith(b"%PDF")
    variants = pd.read_csv(folder / "results/ablations/weight.csv")
    assert {*variants["variant"]} == {"return_0", "return_1"}
    assert planned(*targets, folder=folder) == {}


def test_a_new_world_has_histories_and_tasks_with_their_optimum(copy):
    """In a ring of 5x5 a goal is at most two steps away in each direction; each pays until the step before the last."""
    folder, options = copy, extended(copy)
    targets = [f"results/ring/{name}" for name in ("trajectories/manifest.json", "evaluate/retrieve/seed42.csv")]
    status, text = snakemake("--cores", "2", *options, "--", *targets, folder=folder)
    assert status == 0, text
    tasks = artifacts.read_json(folder / targets[0])["tasks"]
    for task in tasks:
        away = sum(min(place, 5 - place) for place in task["goal"])
        assert task["optimum"] == 20 - max(away, 1)
    held_out = {task["task"] for task in tasks if task["split"] == "held_out"}
    played = pd.read_csv(folder / targets[1])
    assert {*played.loc[played["split"] == "held_out", "task"]} == held_out


def test_a_new_suite_runs_through_every_method(copy):
    """Of 12 places on a line 3 are held out; nothing of the other experiments is made again."""
    folder = copy
    options = extended(copy, "A world", "A method without", "A trained", "An encoder", "A figure", "An ablation")
    figure = "results/line/figure.pdf"
    status, text = snakemake("--cores", "2", *options, "--config", "methods=[radt,ad,dpt,dt,random]", "--", figure, folder=folder)
    assert status == 0, text
    table = pd.read_csv(folder / "results/line/table.csv")
    assert {*table["method"]} == {"radt", "ad", "dpt", "dt", "random"} and {*table["split"]} >= {"held_out"}
    goals = [task["goal"] for task in artifacts.read_json(folder / "results/line/trajectories/manifest.json")["tasks"]]
    assert sorted(goals) == [*range(12)]
    assert planned(*options, "--", FIGURE, folder=folder) == {}
