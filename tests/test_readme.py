"""Every number in the tables of results of README and docs/results.md, against the recorded results, without code of radt."""

import csv
import re
from pathlib import Path

import pytest

from radt.cards import CITATION

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "results" / "recorded"
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs/results.md").read_text(encoding="utf-8")
METHODS = {
    "RA-DT": "radt",
    "RA-DT, published target": "radt_fixed",
    "RA-DT, language model": "radt_lm",
    "AD": "ad",
    "DPT": "dpt",
    "DT": "dt",
    "replay": "retrieve",
    "replay, no network": "retrieve",
    "random": "random",
}
"""The key of `evaluate.methods` by the name of a method in the pages."""


def table(first, page=RESULTS):
    """The rows of a page's table whose first line begins with `first`, by column name, markup removed."""
    block = re.search(rf"^\| {re.escape(first)}.*?(?=\n\n)", page, flags=re.MULTILINE | re.DOTALL)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in block]
    names, _, *rows = [[re.sub(r"\[(.*?)\]\(.*?\)", r"\1", cell) for cell in line] for line in cells]
    return [dict(zip(names, row, strict=True)) for row in rows]


def recorded(experiment, name, **chosen):
    """The rows of a recorded CSV file that have the values of `chosen`."""
    with (RECORDED / experiment / name).open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if all(row[key] == value for key, value in chosen.items())]


def held_out(experiment, method):
    """The row of table.csv of a method on held-out tasks."""
    (row,) = recorded(experiment, "table.csv", split="held_out", method=method)
    return row


def close(text, value):
    """Whether a number in a page is a recorded one, rounded to as many places as are printed."""
    places = len(text.partition(".")[2])
    return abs(float(text) - float(value)) <= 0.5000001 * 10**-places


def assert_close(text, *values):
    """Every number in `text` is the recorded one of `values` in the same place."""
    numbers = re.findall(r"(?<![\d.])-?\d+(?:\.\d+)?", text)
    assert len(numbers) == len(values), text
    assert [pair for pair in zip(numbers, values, strict=True) if not close(*pair)] == []


ALL = table("experiment | RA-DT | RA-DT, language model | AD | DPT | DT")
EXPERIMENTS = [row["experiment"] for row in ALL]
OWN = table("experiment | RA-DT | AD | DPT | DT | replay | random |")
SEEDS = table("experiment | RA-DT | RA-DT, language model | AD | DPT |\n")


FIRST = table("experiment | RA-DT | AD", README)


@pytest.mark.parametrize("row", FIRST, ids=lambda row: row["experiment"])
def test_table_of_the_readme(row):
    for name in METHODS.keys() & row.keys():
        assert_close(row[name], held_out(row["experiment"], METHODS[name])["last"])
    best = held_out(row["experiment"], "radt")
    for name, key in (("optimum", "optimum"), ("paper: RA-DT", "paper_last")):
        assert_close(row[name], *filter(None, [best[key]]))


@pytest.mark.parametrize("page", [README, RESULTS], ids=["readme", "results"])
def test_numbers_are_written_by_command(page):
    from radt.figures.pages import written

    spoiled = re.sub(r"(?<=[|*/ ])-?\d+\.\d+(?=[|*/ ])", "-7.77", page)
    rows, again = ([line for line in text.split("\n") if line.startswith("| [")] for text in (page, written(spoiled, RECORDED)))
    assert spoiled != page and again == rows


def test_picture_of_the_method_is_the_one_that_its_code_draws():
    from radt.figures import method

    assert method.FILE.read_text(encoding="utf-8") == method.svg()


def test_pages_show_every_recorded_experiment():
    assert [row["experiment"] for row in FIRST] == [*EXPERIMENTS, *(row["experiment"] for row in OWN)]
    assert {*EXPERIMENTS, *(row["experiment"] for row in OWN)} == {path.parent.name for path in RECORDED.glob("*/table.csv")}


@pytest.mark.parametrize("row", OWN, ids=lambda row: row["experiment"])
def test_table_of_registered_environments(row):
    """First and last episode, and the average of all."""
    for name in METHODS.keys() & row.keys():
        found = held_out(row["experiment"], METHODS[name])
        assert_close(row[name], found["episode_1"], found["last"], found["average"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_table_of_all_experiments(experiment):
    (row,) = (
        row for row in table("experiment | RA-DT | RA-DT, language model | AD | DPT | DT") if row["experiment"] == experiment
    )
    for name in METHODS.keys() & row.keys():
        found = held_out(experiment, METHODS[name])
        assert_close(row[name], found["last"], found["average"])
    best = held_out(experiment, "radt")
    assert_close(row["optimum"], best["optimum"])
    assert_close(row["paper: RA-DT"], best["paper_last"], best["paper_average"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_probability_of_improvement_over_ad(experiment):
    (text,) = re.findall(rf"{experiment}\s+(\d\.\d\d\s+\(\d\.\d\d-\d\.\d\d\))", RESULTS)
    row = held_out(experiment, "ad")
    assert_close(text, row["probability_radt_better"], row["probability_ci_low"], row["probability_ci_high"])


@pytest.mark.parametrize("row", SEEDS, ids=lambda row: row["experiment"])
def test_table_of_single_seeds(row):
    experiment, _, tasks = row["experiment"].partition(", ")
    for name in METHODS.keys() & row.keys():
        seeds = recorded(experiment, "seeds.csv", split="train" if tasks else "held_out", method=METHODS[name])
        assert_close(row[name], *(seed[key] for seed in seeds for key in ("last", "average")))


@pytest.mark.parametrize("row", table("method | episode 1"), ids=lambda row: row["method"])
def test_table_of_the_first_experiment(row):
    found = held_out("darkroom", METHODS[row["method"]])
    assert_close(row["episode 1"], found["episode_1"])
    assert_close(row["10"], found["episode_10"])
    assert_close(row["20"], found["episode_20"])
    assert_close(row["last"], found["last"])
    assert_close(
        row["average (95% interval)"].replace("-", " "), *(found[f"average{end}"] for end in ("", "_ci_low", "_ci_high"))
    )
    for name, keys in {
        "paper: last / average": ("paper_last", "paper_average"),
        "RA-DT is better": ("probability_radt_better",),
        "updates": ("updates",),
        "CPU s a seed": ("cpu_seconds",),
    }.items():
        if row[name] != "the same":
            assert_close(row[name], *(found[key] for key in keys if found[key]))


def test_cards_of_the_hub_cite_what_the_readme_cites():
    assert "".join(CITATION.split()) in "".join(README.split())


def test_untraced_results_are_named():
    untraced = sorted(name for name in EXPERIMENTS if not (RECORDED / name / "provenance.json").exists())
    (text,) = re.findall(r"^Untraced[^.]*: ([^.]*)\.", RESULTS, flags=re.MULTILINE) or [""]
    assert sorted(re.findall(r"\w+", text)) == untraced
