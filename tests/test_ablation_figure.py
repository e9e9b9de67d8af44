"""The figure and table of an ablation on made-up evaluations: numbers, the paper's values, order, and refusals."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from radt.errors import RadtError
from radt.figures import ablation, draw, inputs
from radt.stages.ablation import AblationSettings, main

REPOSITORY = Path(__file__).parent.parent
EPISODES, OPTIMUM = 6, 8.0
VARIANTS = ["return_5", "return_0_25", "mine"]  # not in the order of the alphabet
METHODS = {
    "radt": {"model": "radt", "target_return": "from_memory", "actions": "sample"},
    "ad": {"model": "ad", "target_return": "none", "actions": "sample"},
}
EVALUATE = {
    "episodes": EPISODES,
    "splits": ["held_out", "validation"],
    "target_mean": 90.0,
    "target_std": 5.0,
    "target_low": [1.0, 40.0],
    "memory": {"k_rerank": 50, "weight_similarity": 1.0, "weight_return": 1.0, "weight_reward": 0.0, "query_stride": 1},
    "methods": METHODS,
    "device": "cpu",
}
SETTINGS = {
    "experiment": {
        "world": "darkroom",
        "width": 3,
        "height": 3,
        "horizon": 9,
        "num_tasks": 9,
        "num_held_out": 3,
        "num_validation": 2,
    },
    "variants": dict.fromkeys(VARIANTS, EVALUATE),
    "order": VARIANTS,
    "figure": {"bootstrap_samples": 100, "bootstrap_seed": 0, "confidence": 0.9},
}


def evaluation(variant: str, method: str, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed + 1000 * len(method) + 10 * len(variant))
    rows = [
        (f"ablations/weights/{variant}", method, seed, split, task, episode, float(random.integers(episode + 2)), OPTIMUM)
        for split, tasks in (("held_out", (6, 7, 8)), ("validation", (4, 5)))
        for task in tasks
        for episode in range(1, EPISODES + 1)
    ]
    return pd.DataFrame(rows, columns=[name for name in inputs.EVALUATION if name not in inputs.SOMETIMES])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for variant in VARIANTS:
        for method in METHODS:
            for seed in (1, 2):
                evaluation(variant, method, seed).to_csv(tmp_path / f"{variant}-{method}-{seed}.csv", index=False)
    content = "ablation,variant,last,average\nweights,return_5,100,\nweights,return_0_25,0,3.5\nother,mine,1,1\n"
    (tmp_path / "paper.csv").write_text("# source: a paper\n" + content, encoding="utf-8")
    return tmp_path


def run(folder: Path, output: str = "out", reverse: bool = False, learning: tuple[str, ...] = ()) -> None:
    files = sorted(map(str, folder.glob("*-*-*.csv")), reverse=reverse)
    command = ["--ablation", "weights", "--settings", json.dumps(SETTINGS), "--evaluations", *files, "--learning", *learning]
    assert main([*command, "--paper", str(folder / "paper.csv"), "--output", str(folder / output)]) == 0


def rows_of(folder: Path, variants: dict = SETTINGS["variants"]) -> pd.DataFrame:
    settings = AblationSettings.model_validate_json(json.dumps({**SETTINGS, "variants": variants}))
    protocols = {f"ablations/weights/{variant}": evaluate for variant, evaluate in settings.variants.items()}
    evaluations = inputs.evaluations(sorted(folder.glob("*-*-*.csv")), settings.experiment, protocols)
    paper = inputs.paper_ablation(folder / "paper.csv", "weights")
    return ablation.table(evaluations, "weights", paper, protocols, settings.figure).set_index(["variant", "method", "split"])


def test_table_against_means_taken_by_hand(folder: Path):
    rows = rows_of(folder)
    order = [(v, m, s) for v in VARIANTS for m in ("radt", "ad") for s in ("held_out", "validation")]
    assert list(rows.index) == order and set(rows["ablation"]) == {"weights"} and set(rows["seeds"]) == {2}
    for (variant, method, split), row in rows.iterrows():
        frame = pd.concat([evaluation(variant, method, seed) for seed in (1, 2)])
        frame = frame[frame["split"] == split]
        last = frame.loc[frame["episode"] == EPISODES, "return"].mean()
        np.testing.assert_allclose([row["last"], row["average"]], [last, frame["return"].mean()], rtol=1e-5)
        assert row["last_ci_low"] <= row["last"] <= row["last_ci_high"]
        assert row["average_ci_low"] <= row["average"] <= row["average_ci_high"]
        assert row["optimum"] == OPTIMUM


def test_the_papers_values_stand_beside_held_out_tasks_of_the_same_variant(folder: Path):
    rows = rows_of(folder)
    held_out = rows.xs("held_out", level="split").xs("radt", level="method")
    assert held_out["paper_last"].fillna(-1).to_dict() == {"return_5": 100.0, "return_0_25": 0.0, "mine": -1.0}
    assert held_out["paper_average"].fillna(-1).to_dict() == {"return_5": -1.0, "return_0_25": 3.5, "mine": -1.0}
    assert held_out["last_verdict"].fillna("").to_dict() == {"return_5": "worse", "return_0_25": "better", "mine": ""}
    assert rows.xs("validation", level="split")[["paper_last", "paper_average", "last_verdict"]].isna().all(axis=None)


def test_same_bytes_from_files_in_another_order(folder: Path):
    run(folder, "one")
    run(folder, "two", reverse=True)
    names = ["weights.csv", "weights.curves.csv", "weights.learning.csv", "weights.pdf", "weights.png"]
    digests = [[hashlib.sha256((folder / out / name).read_bytes()).hexdigest() for name in names] for out in ("one", "two")]
    assert digests[0] == digests[1]
    assert sorted(path.name for path in (folder / "one").iterdir()) == names
    written = pd.read_csv(folder / "one" / "weights.csv", index_col=["variant", "method", "split"])
    pd.testing.assert_frame_equal(written, rows_of(folder), check_dtype=False, rtol=1e-5)


def test_learning_curves_of_several_sources_get_a_panel_of_their_own(folder: Path):
    for name, length in (("long", 100_000), ("short", 500)):
        values = np.linspace(0, 8, 50)
        columns = dict(zip(inputs.LEARNING, (length // 50 * np.arange(1, 51), values, values / 2, values + 1), strict=True))
        pd.DataFrame(columns).to_csv(folder / f"{name}.csv", index=False)
    run(folder, "without")
    run(folder, "with", learning=(f"mine={folder / 'short.csv'}", f"return_5={folder / 'long.csv'}"))
    run(folder, "other", learning=(f"mine={folder / 'long.csv'}", f"return_5={folder / 'short.csv'}"))
    assert (folder / "with/weights.png").read_bytes() != (folder / "other/weights.png").read_bytes()
    heights = [int.from_bytes((folder / out / "weights.png").read_bytes()[20:24], "big") for out in ("without", "with")]
    assert heights[1] - heights[0] == pytest.approx(300 * (draw.MAIN_HEIGHT + ablation.BETWEEN), abs=2)
    assert (folder / "with/weights.csv").read_bytes() == (folder / "without/weights.csv").read_bytes()
    axes = Figure().add_subplot()
    histories = inputs.learning({"mine": folder / "short.csv", "return_5": folder / "long.csv"})
    ablation._histories(axes, histories, ablation.looks(VARIANTS))
    assert [line.get_xdata()[-1] for line in axes.lines] == [500, 100_000] and axes.get_xscale() == "log"
    assert all(line.get_ydata()[-1] == 8 for line in axes.lines) and axes.get_ylim()[1] > 9


@pytest.mark.parametrize(("variant", "words"), [("yours", "names the variant 'yours'"), ("mine", "cannot be read")])
def test_learning_curves_are_refused_where_they_do_not_belong(folder: Path, variant: str, words: str):
    with pytest.raises(RadtError, match=words):
        run(folder, learning=(f"{variant}={folder / 'absent.csv'}",))
    assert not (folder / "out").exists()


def test_variants_may_differ_in_episodes_and_seeds(folder: Path):
    short = {**EVALUATE, "episodes": 4}
    for path in folder.glob("mine-*-*.csv"):
        frame = pd.read_csv(path)
        frame[frame["episode"] <= 4].to_csv(path, index=False)
    (folder / "mine-ad-2.csv").unlink()
    rows = rows_of(folder, {**SETTINGS["variants"], "mine": short})
    assert rows.loc[("mine", "ad", "held_out"), "seeds"] == 1


def test_a_variant_of_one_seed_has_no_interval_and_no_verdict(folder: Path):
    """The figure says so beside its name; the others keep theirs."""
    for path in folder.glob("return_5-*-2.csv"):
        path.unlink()
    run(folder)
    rows = pd.read_csv(folder / "out/weights.csv").set_index("variant")
    empty = ["last_ci_low", "last_ci_high", "last_verdict", "average_ci_low", "average_ci_high", "average_verdict"]
    assert rows.loc["return_5", empty].isna().all(axis=None) and rows.loc["return_0_25", empty[:2]].notna().all(axis=None)
    labels = ablation._labels(rows.reset_index(), {"radt": "radt"}, ablation.looks(VARIANTS))
    assert {label for label in labels if label.endswith(", no interval")} == {"return 5, no interval"}


def test_an_optimum_of_0_is_drawn(folder: Path):
    for path in folder.glob("*-*-*.csv"):
        pd.read_csv(path).assign(optimum=0.0, **{"return": 0.0}).to_csv(path, index=False)
    run(folder)
    assert set(pd.read_csv(folder / "out/weights.csv")["optimum"]) == {0.0}


def test_variants_are_called_by_words_and_differ_without_colour():
    names = ["return_0_25", "same_task", "alpha_2", "ad_10", "a", "b", "c", "d", "e"]
    looks = ablation.looks(names)
    assert [look.name for look in looks.values()][:4] == ["return 0.25", "same task", "alpha 2", "ad 10"]
    assert len({(look.marker, look.dashes) for look in looks.values()}) == len(names)
    assert len({(look.colour, look.hollow) for look in looks.values()}) == len(names)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="return"), "lacks the column 'return'"),
        (lambda f: f.assign(experiment="darkroom"), "holds experiments ['darkroom']"),
        (lambda f: f.assign(experiment="ablations/weights/mine"), "repeats method 'ad', seed 1 of another file"),
        (lambda f: f.iloc[1:], "has episodes other than 1 to 6 for task 6"),
        (lambda f: f[f["split"] == "held_out"], "has 0 of the 2 tasks of split 'validation'"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(folder: Path, change, words: str):
    path = folder / "return_5-ad-1.csv"
    change(pd.read_csv(path)).to_csv(path, index=False)
    with pytest.raises(RadtError) as error:
        run(folder)
    assert words in str(error.value) and "\n" not in str(error.value)
    assert not (folder / "out").exists()


def test_a_variant_without_files_is_named(folder: Path):
    for path in folder.glob("mine-*.csv"):
        path.unlink()
    with pytest.raises(RadtError, match="no evaluation file holds 'ablations/weights/mine'"):
        run(folder)


def test_the_papers_file_is_checked(folder: Path):
    (folder / "paper.csv").write_text("ablation,variant,last,average\nweights,mine,1,1\nweights,mine,2,2\n", encoding="utf-8")
    with pytest.raises(RadtError, match="two rows for the same variant"):
        run(folder)


def test_repository_holds_the_papers_ablations():
    path = REPOSITORY / "config" / "paper_ablations.csv"
    assert path.read_text(encoding="utf-8").startswith("# source: ")
    assert inputs.paper_ablation(path, "context_source").loc["uniform"].tolist() == [9.3, 12.0]
    assert np.isnan(inputs.paper_ablation(path, "ad_later").loc["later_1", "average"])
    assert inputs.paper_ablation(path, "no_such_ablation").empty
