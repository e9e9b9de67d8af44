"""The table of results: one row per method and split."""

from __future__ import annotations

import numpy as np
import pandas as pd

from radt.errors import RadtError
from radt.evaluation import statistics
from radt.figures.inputs import SPLITS, method_order, paper_curve, scores
from radt.seeding import generator
from radt.settings import Evaluate, Figure

COLUMNS = (
    "experiment",
    "method",
    "split",
    "episode_1",
    "episode_10",
    "episode_20",
    "episode_last",
    "average",
    "average_ci_low",
    "average_ci_high",
    "iqm",
    "paper_last",
    "paper_average",
    "optimum",
    "seeds",
    "updates",
    "parameters",
    "cpu_seconds",
)
Row = dict[str, str | int | float]


def table(
    evaluations: pd.DataFrame, training: pd.DataFrame, paper: pd.DataFrame, evaluate: Evaluate, figure: Figure
) -> pd.DataFrame:
    """One row per method and split, columns `COLUMNS`; returns are means over seeds and tasks.

    `average`, its interval and `iqm` (interquartile mean over seed-task pairs) are of the return averaged over all episodes.
    `episode_10` and `episode_20` are NaN where fewer episodes were run; the paper's columns are NaN where it has no such curve.
    `updates`, `parameters` and `cpu_seconds` (mean over seeds) are of the method's own model: the encoder of RA-DT, which is
    trained once, stands in the row of `dt`.
    """
    experiment = str(evaluations["experiment"].iloc[0])
    rows = []
    for method in method_order(set(evaluations["method"]), evaluate):
        seeds = sorted(set(evaluations.loc[evaluations["method"] == method, "seed"]))
        cost = _cost(training, evaluate.methods[method].model, seeds)
        for split in (split for split in SPLITS if split in set(evaluations["split"])):
            row: Row = {"experiment": experiment, "method": method, "split": split, "seeds": len(seeds)}
            row |= _returns(scores(evaluations, method, split), figure)
            row |= _paper(paper_curve(paper, method, split, evaluate)) | cost
            row["optimum"] = float(scores(evaluations, method, split, "optimum").mean())
            rows.append(row)
    return pd.DataFrame(rows)[list(COLUMNS)]


def _returns(returns: statistics.Floats, figure: Figure) -> Row:
    """Columns of one method and split from its returns [seeds, tasks, episodes]."""
    by_episode = statistics.mean(returns)
    average = returns.mean(axis=2)
    draws = generator(figure.bootstrap_seed, "bootstrap")
    low, high = statistics.interval(average, figure.bootstrap_samples, figure.confidence, draws)
    row: Row = {f"episode_{n}": float(by_episode[n - 1]) if n <= len(by_episode) else np.nan for n in (1, 10, 20)}
    return row | {
        "episode_last": float(by_episode[-1]),
        "average": float(average.mean()),
        "average_ci_low": float(low),
        "average_ci_high": float(high),
        "iqm": statistics.interquartile_mean(average),
    }


def _paper(curve: pd.Series) -> Row:
    """The paper's last return and its average; episodes that could not be read off are filled in by straight lines."""
    if curve.empty:
        return {"paper_last": np.nan, "paper_average": np.nan}
    points = curve.sort_index()
    filled = np.interp(np.arange(1, points.index[-1] + 1), points.index, points)
    return {"paper_last": float(points.iloc[-1]), "paper_average": float(filled.mean())}


def _cost(training: pd.DataFrame, model: str, seeds: list[int]) -> Row:
    """Updates, parameters and mean training CPU seconds of a model's seeds."""
    runs = training[(training["model"] == model) & training["seed"].isin(seeds)]
    if absent := sorted(set(seeds) - set(runs["seed"])):
        raise RadtError(f"no metrics file holds model {model!r}, seed {absent[0]}: add its metrics.csv to --metrics")
    if len(runs[["update", "parameters"]].drop_duplicates()) != 1:
        raise RadtError(f"the metrics files of model {model!r} end at different updates or sizes: train all its seeds again")
    first = runs.iloc[0]
    return {
        "updates": int(first["update"]),
        "parameters": int(first["parameters"]),
        "cpu_seconds": float(runs["cpu_seconds"].mean()),
    }
