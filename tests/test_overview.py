"""The overview of all experiments on made-up curves and tables: rows, figure, page, and refusals."""

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from radt.errors import RadtError
from radt.figures import curves, inputs, overview, page
from radt.figures.table import COLUMNS
from radt.stages.overview import main
from radt.suites.grid.settings import GridExperiment

ROOM = {"world": "darkroom", "width": 10, "height": 10, "horizon": 100, "num_tasks": 100, "num_held_out": 20, "num_validation": 0}
EXPERIMENTS = {
    "a_maze": ROOM | {"world": "mazerunner", "width": 15, "height": 15, "horizon": 400},
    "big": ROOM | {"width": 40, "height": 20},
    "doors": ROOM | {"world": "keydoor"},
    "small": ROOM,
}
ORDER = ["small", "big", "doors", "a_maze"]
MODELS = {"radt": "radt", "radt_fixed": "radt", "radt_lm": "radt_lm", "dt": "dt", "random": "random"}
SETTINGS = json.dumps({"experiments": EXPERIMENTS, "figure": {"bootstrap_samples": 10, "bootstrap_seed": 0, "confidence": 0.95}})


def table_of(name: str) -> pd.DataFrame:
    """A table as the stage `figure` writes it; `random` is not in the paper, and nothing of the maze is."""
    optimum, rows = (2.0 if name == "a_maze" else 100.0), []
    for method, model in MODELS.items():
        for split in ("held_out", "train"):
            known = name != "a_maze" and method != "random"
            row = {column: 0.5 * optimum for column in COLUMNS} | {"experiment": name, "method": method, "model": model}
            row |= {"split": split, "seeds": 3, "optimum": optimum, "updates": 1500, "parameters": 1234567, "cpu_seconds": 750.0}
            row |= {"last_ratio": 0.5, "average_ratio": 0.5, "probability_radt_better": np.nan if method == "radt" else 0.75}
            for value in ("last", "average"):
                row |= {f"paper_{value}": 0.4 * optimum if known else np.nan, f"paper_{value}_ratio": 0.4 if known else np.nan}
                row[f"{value}_verdict"] = {"radt": "better", "dt": "worse"}.get(method, "within") if known else np.nan
            if method == "random":
                row |= dict.fromkeys(("updates", "parameters", "cpu_seconds"), np.nan)
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"updates": "Int64", "parameters": "Int64"})


def curves_of(name: str) -> pd.DataFrame:
    rows = [
        (name, method, model, split, episode, *3 * [float(episode)], 100.0, 0.9 * episode if method == "radt" else np.nan)
        for method, model in MODELS.items()
        for split in ("held_out", "train")
        for episode in range(1, 6)
    ]
    return pd.DataFrame(rows, columns=[name for name in curves.COLUMNS if name not in inputs.SOMETIMES])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in EXPERIMENTS:
        (tmp_path / name).mkdir()
        table_of(name).to_csv(tmp_path / name / "table.csv", index=False)
        curves_of(name).to_csv(tmp_path / name / "curves.csv", index=False)
    return tmp_path


def run(folder: Path, output: str = "out", names: tuple[str, ...] = tuple(EXPERIMENTS)) -> Path:
    files = [[str(folder / name / f"{kind}.csv") for name in names] for kind in ("curves", "table")]
    main(["--settings", SETTINGS, "--curves", *files[0], "--tables", *files[1], "--output", str(folder / output)])
    return folder / output


def rows_of(folder: Path) -> pd.DataFrame:
    rooms = {name: GridExperiment.model_validate_json(json.dumps(values)) for name, values in EXPERIMENTS.items()}
    return overview.tables([folder / name / "table.csv" for name in EXPERIMENTS], rooms)


def page_of(folder: Path) -> str:
    rooms = {name: GridExperiment.model_validate_json(json.dumps(values)) for name, values in EXPERIMENTS.items()}
    return page.page(rows_of(folder), rooms, 0.95)


def test_rows_are_those_of_unseen_tasks_by_world_and_size(folder: Path):
    rows = rows_of(folder)
    assert list(rows.columns) == list(COLUMNS)
    assert list(dict.fromkeys(rows["experiment"])) == ORDER
    assert set(rows["split"]) == {"held_out"}
    assert len(rows) == len(EXPERIMENTS) * len(MODELS)
    expected = pd.concat([table_of(name).query("split == 'held_out'") for name in ORDER], ignore_index=True)
    pd.testing.assert_frame_equal(rows, expected, check_dtype=False)


def test_same_bytes_from_files_in_another_order(folder: Path):
    outs = [run(folder, "one"), run(folder, "two", tuple(reversed(EXPERIMENTS)))]
    names = ["overview.csv", "overview.html", "overview.pdf", "overview.png"]
    digests = [[hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names] for out in outs]
    assert digests[0] == digests[1]
    assert ",1234567," in (outs[0] / "overview.csv").read_text(encoding="utf-8")
    assert (outs[0] / "overview.html").read_text(encoding="utf-8") == page_of(folder)
    assert sorted(path.name for path in outs[0].iterdir()) == names


def test_without_held_out_rows_validation_is_shown(folder: Path):
    for name in ("table.csv", "curves.csv"):
        frame = pd.read_csv(folder / "big" / name)
        frame.assign(split=frame["split"].replace("held_out", "validation")).to_csv(folder / "big" / name, index=False)
    rows = rows_of(folder)
    assert set(rows.loc[rows["experiment"] == "big", "split"]) == {"validation"}


class Cells(HTMLParser):
    """Text and class of the cells of every row of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, str | None]]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append(("", dict(attrs).get("class")))

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            text, kind = self.rows[-1][-1]
            self.rows[-1][-1] = (text + data, kind)


def test_page_sets_expected_beside_obtained_with_a_word_for_the_verdict(folder: Path):
    text = page_of(folder)
    parsed = Cells()
    parsed.feed(text)
    headings = [row[0][0] for row in parsed.rows if row[0][1] == "group"]
    assert [heading.partition(" — ")[0] for heading in headings] == [
        "Dark-Room 10x10",
        "Dark-Room 40x20",
        "Dark Key-Door 10x10",
        "MazeRunner 15x15",
    ]
    lines = [row for row in parsed.rows[2:] if len(row) > 1]
    assert [len(row) for row in lines] == [14] * 20
    radt, random = lines[0], lines[4]
    assert [text for text, _ in radt[:5]] == ["RA-DT", "40.0", "50.0 (50.0\u201350.0)", "40% → 50%", "▲ better"]
    assert radt[4][1] == "better" and lines[3][4] == ("▼ worse", "worse") and lines[2][4] == ("● within", "within")
    assert [text for text, _ in radt[9:]] == ["", "3", "1,500", "1,234,567", "12 min"]
    assert random[0][0] == "Random, no network" and lines[2][0][0] == "RA-DT LM, domain-agnostic"
    assert [text for text, _ in random[10:]] == ["3", "", "", ""] and random[4] == ("", None)
    assert "<b>3</b> better, <b>6</b> within, <b>3</b> worse" in text


def test_page_needs_nothing_from_outside(folder: Path):
    text = page_of(folder)
    assert not re.search(r"(src|href)=|@import|url\(|<script|<link", text)
    for verdict in page.COLOURS:
        assert f".radt td.{verdict}{{background:" in text


def test_names_are_no_markup(folder: Path):
    rooms = {"<i>": GridExperiment.model_validate_json(json.dumps(ROOM))}
    rows = rows_of(folder).query("experiment == 'small'").assign(experiment="<i>", method="<b>&")
    text = page.page(rows, rooms, 0.95)
    assert "(&lt;i&gt;)" in text and "&lt;b&gt;&amp;" in text and "<i>" not in text and "<b>&" not in text


def test_names_of_experiments_carry_world_and_size():
    assert GridExperiment.model_validate_json(json.dumps(EXPERIMENTS["big"])).title == "Dark-Room 40x20"


def test_one_seed_has_no_interval_and_no_verdict_on_the_page(folder: Path):
    path = folder / "small" / "table.csv"
    empty = [name for name in COLUMNS if "_ci_" in name or name.endswith("_verdict")]
    pd.read_csv(path).assign(seeds=1, **dict.fromkeys(empty, np.nan)).to_csv(path, index=False)
    parsed, text = Cells(), page_of(folder)
    parsed.feed(text)
    assert "Of fewer than two seeds or tasks there is no interval and no verdict." in text and "nan" not in text
    radt, fixed = (row for row in parsed.rows[3:5])
    assert radt[1:5] == [("40.0", None), ("50.0 (no interval)", None), ("40% → 50%", None), ("", None)]
    assert fixed[9] == ("0.75 (no interval)", None)
    assert (run(folder) / "overview.pdf").read_bytes() != (run(path_of_complete(folder)) / "overview.pdf").read_bytes()


def path_of_complete(folder: Path) -> Path:
    """Another folder with all files as they were."""
    for name in EXPERIMENTS:
        (folder / "complete" / name).mkdir(parents=True)
        table_of(name).to_csv(folder / "complete" / name / "table.csv", index=False)
        curves_of(name).to_csv(folder / "complete" / name / "curves.csv", index=False)
    return folder / "complete"


@pytest.mark.parametrize("optimum", [0.0, np.nan])
def test_without_an_optimum_above_0_no_share_is_drawn_and_none_is_told(folder: Path, optimum: float):
    """And the shares of the other experiments stay as they are."""
    for name, change in (
        ("table.csv", lambda f: f.assign(optimum=optimum, **dict.fromkeys([c for c in f if c.endswith("_ratio")], np.nan))),
        ("curves.csv", lambda f: f.assign(optimum=optimum)),
    ):
        path = folder / "small" / name
        change(pd.read_csv(path)).to_csv(path, index=False)
    parsed, text = Cells(), page_of(folder)
    parsed.feed(text)
    assert "nan" not in text and "inf" not in text
    assert parsed.rows[2][0][0].startswith(
        "Dark-Room 10x10 — held-out tasks, best possible " + ("0.00" if optimum == 0 else "unknown")
    )
    assert [text for text, _ in parsed.rows[3][1:4]] == ["40.0", "50.0 (50.0\u201350.0)", ""]
    figure = Figure()
    axes = figure.add_subplot()
    rows = rows_of(folder)
    overview._shares(axes, rows, ORDER, overview.looks(overview._models(rows)))
    assert axes.get_ylim() == (0, 1.05) and [label.get_text() for label in axes.texts] == ["no optimum above 0"]
    run(folder)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("table.csv", lambda f: pd.concat([f, f]), "has a row twice"),
        ("table.csv", lambda f: f.assign(average_ci_low=None), "has one of average_ci_low and average_ci_high without the other"),
        ("curves.csv", lambda f: f.drop(index=3), "has not every episode of small radt held_out once"),
        ("table.csv", lambda f: f.drop(columns="iqm"), "lacks the column 'iqm'"),
        ("table.csv", lambda f: f.iloc[:0], "holds experiments []"),
        ("curves.csv", lambda f: f.assign(experiment="other"), "holds experiments ['other']"),
        ("curves.csv", lambda f: f.assign(experiment="big"), "each in one file"),
        ("table.csv", lambda f: f.assign(average="x"), "column 'average'"),
        ("table.csv", lambda f: f.assign(updates=0.5), "column 'updates' that is missing or not a whole number"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(folder: Path, name: str, change, words: str):
    path = folder / "small" / name
    change(pd.read_csv(path)).to_csv(path, index=False)
    with pytest.raises(RadtError) as error:
        run(folder)
    assert words in str(error.value) and "\n" not in str(error.value)
    assert not (folder / "out").exists()


def test_an_experiment_without_files_is_named(folder: Path):
    with pytest.raises(RadtError, match="no file holds experiment 'small'"):
        run(folder, names=("a_maze", "big", "doors"))
