"""The figure stage on made-up CSV files: numbers, bytes, refusals, and what it must not import."""

import hashlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.style
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from radt.errors import RadtError
from radt.figures import curves, draw, inputs, style, table
from radt.settings.evaluation import Evaluate
from radt.settings.figures import Figure
from radt.stages import figure
from radt.suites.dmcontrol.settings import DmcontrolExperiment
from radt.suites.grid.settings import GridExperiment
from radt.suites.procgen.settings import ProcgenExperiment

REPOSITORY = Path(__file__).parent.parent
EPISODES = 12
EXPERIMENT = {"world": "darkroom", "width": 3, "height": 3, "horizon": 9, "num_tasks": 9, "num_held_out": 3, "num_validation": 0}
METHODS = {
    "dt": {"model": "dt", "target_return": "fixed", "actions": "greedy"},
    "radt": {"model": "radt", "target_return": "from_memory", "actions": "sample"},
    "radt_fixed": {"model": "radt", "target_return": "fixed", "actions": "top_half"},
    "retrieve": {"model": "retrieve", "target_return": "none", "actions": "greedy"},
}
EVALUATE = {
    "episodes": EPISODES,
    "splits": ["held_out", "train"],
    "target_mean": 90.0,
    "target_std": 5.0,
    "target_low": [1.0, 40.0],
    "memory": {"k_rerank": 50, "weight_similarity": 1.0, "weight_return": 1.0, "weight_reward": 0.0, "query_stride": 1},
    "methods": METHODS,
    "device": "cpu",
}
FIGURE = {"bootstrap_samples": 200, "bootstrap_seed": 0, "confidence": 0.95}
SETTINGS = json.dumps({"experiment": EXPERIMENT, "evaluate": EVALUATE, "figure": FIGURE})
FILES = ["curves.csv", "figure.pdf", "figure.png", "seeds.csv", "table.csv"]


def evaluation(method: str, seed: int) -> pd.DataFrame:
    """Returns that rise with the episode, differ by seed and task, and are integers as in the rooms."""
    random = np.random.default_rng(seed + 1000 * len(method))
    rows = [
        ("rooms", method, seed, "held_out" if task >= 6 else "train", task, episode, float(min(random.integers(episode), 8)), 8.0)
        for task in range(9)
        for episode in range(1, EPISODES + 1)
    ]
    return pd.DataFrame(rows, columns=[name for name in inputs.EVALUATION if name not in inputs.SOMETIMES])


def metrics(model: str, seed: int) -> pd.DataFrame:
    rows = [(model, seed, update, 1.0, 0.5, 1e-3, 0.1, 1234, update + float(seed)) for update in (10, 20, 30)]
    columns = ["model", "seed", "update", "loss", "accuracy", "learning_rate", "gradient_norm", "parameters", "cpu_seconds"]
    return pd.DataFrame(rows, columns=columns)


def fill(folder: Path) -> Path:
    """Every file that the stage reads, in `folder`."""
    for method in METHODS:
        for seed in (42, 43):
            evaluation(method, seed).to_csv(folder / f"evaluate_{method}_{seed}.csv", index=False)
    for model in ("dt", "radt"):
        for seed in (42, 43):
            metrics(model, seed).to_csv(folder / f"metrics_{model}_{seed}.csv", index=False)
    points = "rooms,eval,radt,1,1.0\nrooms,eval,radt,2,2.0\nrooms,eval,radt,4,6.0\nrooms,train,dt,1,0.5\nother,eval,ad,1,3.0\n"
    (folder / "paper.csv").write_text(
        f"# source: a paper, with commas\nexperiment,split,method,episode,return\n{points}", encoding="utf-8"
    )
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stage's output in `out`."""
    folder = fill(tmp_path_factory.mktemp("made"))
    assert figure.main(arguments(folder)) == 0
    return folder


def arguments(folder: Path, output: str = "out", settings: str = SETTINGS) -> list[str]:
    evaluations = [str(path) for path in sorted(folder.glob("evaluate_*.csv"))]
    trained = [str(path) for path in sorted(folder.glob("metrics_*.csv"))]
    command = ["--experiment", "rooms", "--settings", settings, "--evaluations", *evaluations, "--metrics", *trained]
    return [*command, "--paper", str(folder / "paper.csv"), "--output", str(folder / output)]


def stage(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """The stage in a fresh process."""
    program = [sys.executable, "-m", "radt.stages.figure", *command]
    return subprocess.run(program, capture_output=True, encoding="utf-8", cwd=REPOSITORY / "src", env=os.environ | environment)


def read_table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "out" / "table.csv").set_index(["method", "split"])


def test_every_seed_stands_by_itself(made: Path):
    rows = pd.read_csv(made / "out" / "seeds.csv")
    assert list(rows.columns) == ["experiment", "method", "split", "seed", "last", "average"]
    assert set(rows["experiment"]) == {"rooms"}
    expected = [(m, s, n) for m in ("radt", "radt_fixed", "dt", "retrieve") for s in ("held_out", "train") for n in (42, 43)]
    assert list(rows[["method", "split", "seed"]].itertuples(index=False, name=None)) == expected
    for row in rows.itertuples():
        frame = evaluation(row.method, row.seed)
        frame = frame[frame["split"] == row.split]
        assert row.average == pytest.approx(frame["return"].mean(), rel=1e-5)
        assert row.last == pytest.approx(frame.loc[frame["episode"] == EPISODES, "return"].mean(), rel=1e-5)


def test_table_against_means_taken_by_hand(made: Path):
    header = (made / "out" / "table.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == (
        "experiment,method,model,split,episode_1,episode_10,episode_20,last,last_ci_low,last_ci_high,last_ratio,paper_last,"
        "paper_last_ratio,last_verdict,average,average_ci_low,average_ci_high,average_ratio,paper_average,paper_average_ratio,"
        "average_verdict,iqm,optimum,probability_radt_better,probability_ci_low,probability_ci_high,seeds,updates,parameters,"
        "cpu_seconds"
    )
    rows = read_table(made)
    assert list(rows.index) == [(m, s) for m in ("radt", "radt_fixed", "dt", "retrieve") for s in ("held_out", "train")]
    for (method, split), row in rows.iterrows():
        frame = pd.concat([evaluation(method, seed) for seed in (42, 43)])
        frame = frame[frame["split"] == split]
        by_episode = frame.groupby("episode")["return"].mean()
        expected = [by_episode[1], by_episode[10], by_episode[12], frame["return"].mean(), frame["optimum"].mean()]
        columns = ["episode_1", "episode_10", "last", "average", "optimum"]
        np.testing.assert_allclose(row[columns].astype(float), expected, rtol=1e-5)
        assert row["average_ci_low"] < row["average"] < row["average_ci_high"]
        assert row["last_ci_low"] < row["last"] < row["last_ci_high"]
        np.testing.assert_allclose([row["last_ratio"], row["average_ratio"]], [row["last"] / 8, row["average"] / 8], rtol=1e-5)
        pairs = np.sort(frame.groupby(["seed", "task"])["return"].mean().to_numpy())
        cut = len(pairs) // 4
        assert row["iqm"] == pytest.approx(pairs[cut : len(pairs) - cut].mean(), rel=1e-5)
    assert rows["episode_20"].isna().all()
    trained = rows.drop(index="retrieve", level="method")
    assert set(rows["seeds"]) == {2} and set(trained["updates"]) == {30} and set(trained["parameters"]) == {1234}
    np.testing.assert_allclose(trained["cpu_seconds"], 30 + 42.5)
    assert rows.loc["retrieve", ["updates", "parameters", "cpu_seconds"]].isna().all(axis=None)


def test_probability_compares_radt_with_every_other_method_task_by_task(made: Path):
    rows = read_table(made)
    columns = ["probability_radt_better", "probability_ci_low", "probability_ci_high"]
    assert rows.loc["radt", columns].isna().all(axis=None)
    averages = {
        m: pd.concat([evaluation(m, s) for s in (42, 43)]).groupby(["split", "task", "seed"])["return"].mean() for m in METHODS
    }
    for method in ("radt_fixed", "dt", "retrieve"):
        for split in ("held_out", "train"):
            ours, others = averages["radt"][split].unstack(), averages[method][split].unstack()
            won = [(a > b) + (a == b) / 2 for t in ours.index for a in ours.loc[t] for b in others.loc[t]]
            probability, low, high = rows.loc[(method, split), columns]
            assert probability == pytest.approx(np.mean(won), rel=1e-5)
            assert low <= probability <= high


def test_a_verdict_says_where_our_interval_lies(made: Path):
    assert [table.verdict(2.0, 3.0, paper) for paper in (1.0, 2.0, 2.5, 3.0, 4.0)] == ["better", *["within"] * 3, "worse"]
    rows = read_table(made)
    row = rows.loc[("radt", "held_out")]
    assert row["paper_last_ratio"] == pytest.approx(6 / 8)
    for name in ("last", "average"):
        low, high, paper = (row[column] for column in (f"{name}_ci_low", f"{name}_ci_high", f"paper_{name}"))
        assert row[f"{name}_verdict"] == ("better" if low > paper else "worse" if high < paper else "within")
    assert rows.loc["retrieve", ["last_verdict", "average_verdict", "paper_last_ratio"]].isna().all(axis=None)


def test_paper_columns_follow_the_model_and_fill_gaps_by_lines(made: Path):
    rows = read_table(made)
    for method in ("radt", "radt_fixed"):
        assert rows.loc[(method, "held_out"), "paper_last"] == 6.0
        assert rows.loc[(method, "held_out"), "paper_average"] == pytest.approx((1 + 2 + 4 + 6) / 4)
        assert np.isnan(rows.loc[(method, "train"), "paper_last"])
    assert rows.loc[("dt", "train"), "paper_last"] == 0.5
    lines = pd.read_csv(made / "out" / "curves.csv")
    assert len(lines) == len(METHODS) * 2 * EPISODES
    assert (lines["model"] == lines["method"].str.removesuffix("_fixed")).all()
    radt = lines[(lines["method"] == "radt") & (lines["split"] == "held_out")].set_index("episode")
    assert radt["paper"].dropna().to_dict() == {1: 1.0, 2: 2.0, 4: 6.0}
    assert (radt["low"] <= radt["mean"]).all() and (radt["mean"] <= radt["high"]).all()


def test_same_bytes_in_a_fresh_process_and_from_files_in_another_order(made: Path):
    command = arguments(made, "again")
    first, last = command.index("--evaluations") + 1, command.index("--metrics")
    command[first:last] = reversed(command[first:last])
    assert stage(command, PYTHONHASHSEED="7").returncode == 0
    digests = [[hashlib.sha256((made / out / name).read_bytes()).hexdigest() for name in FILES] for out in ("out", "again")]
    assert digests[0] == digests[1]
    assert sorted(path.name for path in (made / "out").iterdir()) == FILES
    pdf = (made / "out" / "figure.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf and b"/Type3" not in pdf


def edit(path: Path, change) -> None:
    change(pd.read_csv(path)).to_csv(path, index=False)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("evaluate_radt_42.csv", lambda f: f.drop(columns="return"), "lacks the column 'return'"),
        ("evaluate_radt_42.csv", lambda f: pd.concat([f, f.iloc[:1]]), "two rows for the same split, task and episode"),
        ("evaluate_radt_42.csv", lambda f: f.iloc[1:], "episodes other than 1 to 12 for task 0 of 'train'"),
        ("evaluate_radt_42.csv", lambda f: f[f["task"] != 7], "has 2 of the 3 tasks of split 'held_out'"),
        ("evaluate_radt_42.csv", lambda f: f[f["split"] == "train"], "has 0 of the 3 tasks of split 'held_out'"),
        ("evaluate_radt_42.csv", lambda f: f.iloc[:0], "holds experiments []"),
        ("evaluate_radt_42.csv", lambda f: f.assign(experiment="other"), "holds experiments ['other']"),
        ("evaluate_radt_42.csv", lambda f: f.assign(seed=43), "repeats method 'radt', seed 43"),
        ("evaluate_radt_42.csv", lambda f: f.assign(seed=f["task"]), "more than one method or seed"),
        ("evaluate_radt_42.csv", lambda f: f.assign(method="mine"), "evaluate.methods does not name"),
        ("evaluate_radt_42.csv", lambda f: f.assign(**{"return": "x"}), "column 'return'"),
        ("evaluate_radt_42.csv", lambda f: f.assign(episode=f["episode"].where(f["episode"] > 1)), "column 'episode'"),
        ("evaluate_radt_42.csv", lambda f: f.assign(episode=f["episode"] + 0.5), "column 'episode'"),
        ("evaluate_radt_42.csv", lambda f: f.assign(optimum=float("inf")), "not a finite number"),
        ("evaluate_radt_42.csv", lambda f: f.assign(optimum=-1.0), "below 0 or above the optimum of its task"),
        ("evaluate_radt_42.csv", lambda f: f.assign(**{"return": 9.0}), "below 0 or above the optimum of its task"),
        ("evaluate_radt_42.csv", lambda f: f.assign(**{"return": -1.0}), "below 0 or above the optimum of its task"),
        ("evaluate_radt_42.csv", lambda f: f.assign(task=f["task"] + 9), "has task 15 in split 'held_out', allowed are 6 to 8"),
        ("metrics_radt_42.csv", lambda f: f.assign(loss=float("nan")), "column 'loss' that is missing or not a finite number"),
        ("metrics_radt_42.csv", lambda f: f.drop(columns="cpu_seconds"), "lacks the column 'cpu_seconds'"),
        ("metrics_radt_42.csv", lambda f: f.iloc[:0], "does not hold exactly one training run"),
        ("metrics_radt_42.csv", lambda f: f.assign(seed=43), "repeats model 'radt', seed 43"),
        ("metrics_radt_42.csv", lambda f: f.assign(seed=1), "no metrics file holds model 'radt', seed 42"),
        ("metrics_radt_42.csv", lambda f: f.iloc[:2], "end at different updates or sizes"),
    ],
)
def test_bad_files_are_refused_by_name_and_nothing_is_written(folder: Path, name: str, change, words: str):
    edit(folder / name, change)
    with pytest.raises(RadtError) as error:
        figure.main(arguments(folder))
    message = str(error.value)
    assert words in message and "\n" not in message
    assert name in message or name.replace("42", "43") in message or "metrics file" in message
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), ("", "is not a CSV file"), ("a,b\n1,2,3,4\n1\n", "evaluate"), ("\x00\xff", "evaluate")],
)
def test_files_that_are_no_csv_are_refused(folder: Path, content: str | None, words: str):
    path = folder / "evaluate_radt_42.csv"
    command = arguments(folder)
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(RadtError, match=words) as error:
        figure.main(command)
    assert path.name in str(error.value)


def test_command_line_says_one_sentence_and_exits_1(folder: Path):
    (folder / "paper.csv").write_text("experiment,split,method,episode,return\nrooms,test,radt,1,1.0\n", encoding="utf-8")
    done = stage(arguments(folder))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ") and "'test'" in done.stderr and "Traceback" not in done.stderr


def test_repository_holds_the_papers_curves():
    path = REPOSITORY / "config" / "paper_curves.csv"
    assert path.read_text(encoding="utf-8").startswith("# source: ")
    points = inputs.paper(path, "darkroom")
    evaluate = Evaluate.model_validate_json(json.dumps(EVALUATE))
    curve = inputs.paper_curve(points, "radt_fixed", "held_out", evaluate)
    assert (curve[1], curve[40], len(curve)) == (1.1, 81.59, 39)
    assert table._paper(curve)["paper_average"] == pytest.approx(61.0, abs=0.1)
    assert inputs.paper(path, "no_such_room").empty
    assert len(set(inputs.read(path, inputs.PAPER, "")["experiment"])) == 7


def test_split_sizes_leave_validation_out_of_training():
    own = GridExperiment(world="darkroom", width=10, height=10, horizon=100, num_tasks=100, num_held_out=20, num_validation=16)
    assert inputs.split_tasks(own) == {"train": range(64), "validation": range(64, 80), "held_out": range(80, 100)}


def test_labels_are_spread_in_order_inside_the_panel():
    wanted = np.array([1.0, 2.0, 50.0, 51.0, 52.0, 99.0])
    places = draw.spread(wanted, 8.0, 100.0)
    assert (np.diff(places) >= 8.0 - 1e-9).all()
    np.testing.assert_allclose(places[2:5], [43.0, 51.0, 59.0])
    assert places[0] >= 0 and places[-1] == 99.0
    np.testing.assert_allclose(draw.spread(np.array([10.0, 30.0]), 8.0, 100.0), [10.0, 30.0])


ALL_METHODS = {
    "radt": ("radt", "RA-DT"),
    "radt_fixed": ("radt", "RA-DT (fixed)"),
    "radt_lm": ("radt_lm", "RA-DT LM"),
    "ad": ("ad", "AD"),
    "dpt": ("dpt", "DPT"),
    "dt": ("dt", "DT"),
    "retrieve": ("retrieve", "Retrieve"),
    "random": ("random", "Random"),
}


def test_methods_have_their_names_and_differ_without_colour():
    looks = style.looks({method: model for method, (model, _) in ALL_METHODS.items()})
    assert [look.name for look in looks.values()] == [name for _, name in ALL_METHODS.values()]
    assert len({look.dashes for look in looks.values()}) == 8
    assert len({(look.marker, look.hollow) for look in looks.values()}) == 8
    assert [method for method, look in looks.items() if look.reference] == ["retrieve", "random"]


def points(optimum: float, episodes: int, splits: tuple[str, ...]) -> pd.DataFrame:
    """Curves of all methods, the paper's beside one of them."""
    rows = [
        ("maze", method, model, split, episode, *(optimum * share * episode / episodes for share in (0.5, 0.4, 0.6)), optimum)
        for method, (model, _) in ALL_METHODS.items()
        for split in splits
        for episode in range(1, episodes + 1)
    ]
    frame = pd.DataFrame(rows, columns=["experiment", "method", "model", "split", "episode", "mean", "low", "high", "optimum"])
    return frame.assign(paper=(optimum / 3) if splits == ("held_out", "train") else np.nan)


@pytest.mark.parametrize(
    ("optimum", "episodes", "splits"),
    [(2.0, 30, ("held_out", "train")), (774.25, 40, ("held_out",)), (91.0, 40, ("held_out", "train")), (5.0, 1, ("validation",))],
)
def test_eight_methods_fit_the_page(optimum: float, episodes: int, splits: tuple[str, ...]):
    curves = points(optimum, episodes, splits)
    with matplotlib.style.context(["default", style.STYLE]):
        drawn = draw._figure(curves, {"held_out": 20, "train": 80, "validation": 16})
        drawn.draw_without_rendering()
    assert len(drawn.axes) == len(splits)
    for axes in drawn.axes:
        assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] >= optimum
        boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the hairline
        assert len(boxes) == 9
        assert all(box.x0 >= 0 and box.x1 <= drawn.bbox.x1 and box.y0 >= 0 and box.y1 <= drawn.bbox.y1 for box in boxes)
        boxes.sort(key=lambda box: box.y0)
        assert all(low.y0 + 0.6 * low.height <= high.y0 for low, high in itertools.pairwise(boxes))


@pytest.mark.parametrize("best", [90.0, 377.0, 2.0, -1.0, -13.0, -1500.0, 12345.0])
def test_numbers_and_their_name_fit_beside_the_panels(best: float):
    curves = points(abs(best), 20, ("held_out",)).assign(optimum=np.nan)
    curves[["mean", "low", "high"]] *= np.sign(best)
    with matplotlib.style.context(["default", style.STYLE]):
        drawn = draw._figure(curves, {"held_out": 20})
        drawn.draw_without_rendering()
    (axes,) = drawn.axes
    label = axes.yaxis.label.get_window_extent()
    ticks = [tick.label1.get_window_extent() for tick in axes.yaxis.get_major_ticks()]
    assert label.x0 >= 0 and all(label.x1 <= tick.x0 for tick in ticks)


def test_readings_below_the_axis_count_as_zero(tmp_path: Path):
    (tmp_path / "paper.csv").write_text("experiment,split,method,episode,return\nrooms,eval,dt,1,-0.02\n", encoding="utf-8")
    assert inputs.paper(tmp_path / "paper.csv", "rooms")["return"].tolist() == [0.0]


@pytest.mark.parametrize(("seeds", "tasks"), [(1, 9), (1, 2), (2, 2)])
def test_without_a_second_seed_or_task_there_is_no_interval_and_no_verdict(folder: Path, seeds: int, tasks: int):
    """Empty in the tables, and said in the figure: a width of 0 would read as certainty."""
    held_out = 3 if tasks == 9 else 1
    settings = {
        "experiment": {**EXPERIMENT, "num_tasks": tasks, "num_held_out": held_out},
        "evaluate": EVALUATE,
        "figure": FIGURE,
    }
    for path in folder.glob("*_4[23].csv"):
        if "43" in path.name and seeds == 1:
            path.unlink()
        elif path.name.startswith("evaluate"):
            edit(
                path,
                lambda f: f[f["task"] < tasks].assign(
                    split=lambda f: np.where(f["task"] < tasks - held_out, "train", "held_out")
                ),
            )
    assert figure.main(arguments(folder, settings=json.dumps(settings))) == 0
    rows, lines = pd.read_csv(folder / "out/table.csv"), pd.read_csv(folder / "out/curves.csv")
    ends = [f"{name}_ci_{end}" for name in ("last", "average", "probability") for end in ("low", "high")]
    assert rows[[*ends, "last_verdict", "average_verdict"]].isna().all(axis=None) and lines[["low", "high"]].isna().all(axis=None)
    assert rows[["last", "average", "last_ratio", "paper_last"]].iloc[0].notna().all() and set(rows["seeds"]) == {seeds}
    assert rows["probability_radt_better"].iloc[2:].notna().all() == (seeds * held_out > 1)
    drawn = draw._figure(
        lines,
        {"held_out": held_out, "train": tasks - held_out},
    )
    assert [axes.get_title(loc="left").endswith("), no interval") for axes in drawn.axes] == [True, True]


@pytest.mark.parametrize("optimum", [0.0, float("nan")])
def test_of_an_optimum_that_is_not_above_0_there_is_no_share(folder: Path, optimum: float):
    """As where the goal is farther away than an episode is long, or where nobody knows the best return."""
    for path in folder.glob("evaluate_*.csv"):
        edit(path, lambda f: f.assign(optimum=optimum, **{"return": f["return"] if np.isnan(optimum) else 0.0}))
    assert figure.main(arguments(folder)) == 0
    rows = pd.read_csv(folder / "out/table.csv")
    assert rows[[f"{kind}{name}_ratio" for kind in ("", "paper_") for name in ("last", "average")]].isna().all(axis=None)
    assert rows[["last", "average", "last_ci_low"]].notna().all(axis=None)
    assert curves.known(inputs.read(folder / "out/table.csv", table.COLUMNS, "")).shape == rows.shape


def test_where_episodes_succeed_or_fail_their_share_is_told_and_drawn(folder: Path):
    assert figure.main(arguments(folder)) == 0
    without = (folder / "out/figure.png").read_bytes()
    for path in folder.glob("evaluate_*.csv"):
        edit(path, lambda f: f.assign(success=(f["episode"] > f["task"] - 6).astype(int)))
    assert figure.main(arguments(folder)) == 0
    rows, lines = pd.read_csv(folder / "out/table.csv"), pd.read_csv(folder / "out/curves.csv")
    held_out = rows[rows["split"] == "held_out"]
    for name, episode in (("success_1", 1), ("success_last", EPISODES)):
        share = np.mean([episode > task - 6 for task in range(6, 9)])
        np.testing.assert_allclose(held_out[name], share, atol=1e-5)
        np.testing.assert_allclose(
            lines[(lines["episode"] == episode) & (lines["split"] == "held_out")]["success"], share, atol=1e-5
        )
    assert (folder / "out/figure.png").read_bytes() != without


def test_scores_lie_between_random_actions_and_the_expert():
    """Task by task, then averaged; only where both are methods, and the expert is the better one in every task."""
    returns = {
        "dt": {0: (10.0, 20.0), 1: (50.0, 100.0)},
        "random": {0: (0.0, 10.0), 1: (100.0, 0.0)},
        "expert": {0: (25.0, 25.0), 1: (150.0, 150.0)},
    }
    columns = ["experiment", "method", "seed", "split", "task", "episode", "return", "optimum"]
    rows = [
        ("rooms", method, seed, "held_out", task, episode + 1, value, None)
        for method, tasks in returns.items()
        for seed in (42, 43)
        for task, values in tasks.items()
        for episode, value in enumerate(values)
    ]
    methods = {
        name: {"model": name, "target_return": "fixed" if name == "dt" else "none", "actions": "greedy"} for name in returns
    }
    settings = Evaluate.model_validate_json(json.dumps({**EVALUATE, "methods": methods}))
    training = pd.concat([metrics("dt", seed).tail(1) for seed in (42, 43)])
    paper = pd.DataFrame(columns=["split", "method", "episode", "return"])

    room = GridExperiment(world="darkroom", width=2, height=2, horizon=9, num_tasks=3, num_held_out=2, num_validation=0)

    def scored(frame, own=room):
        return table.table(frame, training, paper, settings, Figure.model_validate(FIGURE), own).set_index("method")

    frame = pd.DataFrame(rows, columns=columns).astype({"optimum": "float64"}).assign(success=np.nan)
    found = scored(frame)
    # random: 5 and 50, expert: 25 and 150
    assert found.loc["dt", "last_normalised"] == pytest.approx(((20 - 5) / 20 + (100 - 50) / 100) / 2)
    assert found.loc["dt", "average_normalised"] == pytest.approx(((15 - 5) / 20 + (75 - 50) / 100) / 2)
    assert found.loc["expert", "average_normalised"] == 1.0 and found.loc["random", "average_normalised"] == 0.0
    assert "last_normalised" not in scored(frame[frame["method"] != "expert"])
    games = ProcgenExperiment(
        suite="procgen", games=["bigfish", "climber"], levels=1, horizon=9, num_tasks=2, num_held_out=1, num_validation=0
    )
    assert scored(frame, games).loc["dt", "last_normalised"] == pytest.approx(((20 - 1) / 39 + (100 - 2) / 10.6) / 2)
    frame.loc[(frame["method"] == "expert") & (frame["task"] == 1), "return"] = 50.0
    assert "last_normalised" not in scored(frame)
    assert "last_normalised" not in scored(frame, games.model_copy(update={"mode": "hard"}))
    frame = pd.DataFrame(rows, columns=columns).astype({"optimum": "float64"}).assign(success=np.nan)
    robots = DmcontrolExperiment(
        suite="dmcontrol", names=["finger-turn_easy", "fish-upright"], goals=1, task_seed=0, union=True, action_repeat=4,
        horizon=250, num_tasks=2, num_held_out=1, num_validation=0, action_codes=5
    )  # fmt: skip
    expected = ((20 - 57.8) / (800.645 - 57.8) + (100 - 229.406) / (547.962 - 229.406)) / 2
    assert scored(frame, robots).loc["dt", "last_normalised"] == pytest.approx(expected)
    shorter = scored(frame, robots.model_copy(update={"horizon": 50}))
    assert shorter.loc["expert", "average_normalised"] == 1.0  # scaled by the methods' own returns
