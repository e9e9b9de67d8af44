"""The table of results: one row per method and split."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pandas as pd

from radt.errors import RadtError
from radt.evaluation import statistics
from radt.figures.curves import known
from radt.figures.inputs import SPLITS, method_order, paper_curve, scores
from radt.seeding import generator
from radt.settings.evaluation import Evaluate
from radt.settings.experiment import Experiment
from radt.settings.figures import Figure
from radt.settings.registry import TRAINED

COLUMNS = {  # and their kinds, for `radt.figures.inputs.read`
    "experiment": "str",
    "method": "str",
    "model": "str",
    "split": "str",
    "episode_1": "float64",
    "episode_10": "float64?",
    "episode_20": "float64?",
    "last": "float64",
    "last_ci_low": "float64?",
    "last_ci_high": "float64?",
    "last_ratio": "float64?",
    "paper_last": "float64?",
    "paper_last_ratio": "float64?",
    "last_verdict": "str?",
    "average": "float64",
    "average_ci_low": "float64?",
    "average_ci_high": "float64?",
    "average_ratio": "float64?",
    "paper_average": "float64?",
    "paper_average_ratio": "float64?",
    "average_verdict": "str?",
    "iqm": "float64",
    "optimum": "float64?",
    "probability_radt_better": "float64?",
    "probability_ci_low": "float64?",
    "probability_ci_high": "float64?",
    "seeds": "int64",
    "updates": "int64?",
    "parameters": "int64?",
    "cpu_seconds": "float64?",
    "success_1": "float64?",
    "success_last": "float64?",
    "last_normalised": "float64?",
    "average_normalised": "float64?",
}
Row = dict[str, str | int | float]


def table(
    evaluations: pd.DataFrame,
    training: pd.DataFrame,
    paper: pd.DataFrame,
    evaluate: Evaluate,
    figure: Figure,
    experiment: Experiment,
) -> pd.DataFrame:
    """One row per method and split, columns `COLUMNS`; returns are means over seeds and tasks, ratios are returns / optimum.

    `last` and `average` (over all episodes) have an interval, the paper's value, and a verdict: `better` or `worse` when the
    interval lies above or below the paper's value, `within` when it contains it. The verdict ignores the uncertainty of the
    paper's value. `iqm` is the interquartile mean of `average` over seed-task pairs. `probability_radt_better` is the probability
    of improvement of the method `radt` over this one, in `average`.
    `updates`, `parameters` and `cpu_seconds` (mean over seeds) are of the method's own model; the encoder of RA-DT, which is
    trained once, is in the row of `dt`. `success_1` and `success_last` are the shares of successful first and last episodes, if
    environments report success. `last_normalised` and `average_normalised` are 0 and 1, task by task, at the returns that
    `Experiment.scale` gives; else at those of random actions and of an expert, if both were evaluated and the expert is better in
    every task. Values that are unknown or undefined are NaN: episodes that were not run, curves that the paper lacks, intervals
    and verdicts of fewer than two seeds or tasks, shares of an optimum that is not above 0, RA-DT against itself, trainings of
    methods without weights.
    """
    name = str(evaluations["experiment"].iloc[0])
    methods = method_order(set(evaluations["method"]), evaluate)
    rows = []
    for method in methods:
        seeds, model = sorted(set(evaluations.loc[evaluations["method"] == method, "seed"])), evaluate.methods[method].model
        cost = _cost(training, model, seeds)
        for split in (split for split in SPLITS if split in set(evaluations["split"])):
            row: Row = {"experiment": name, "method": method, "model": model, "split": split, "seeds": len(seeds)}
            returns, optimum = scores(evaluations, method, split), float(scores(evaluations, method, split, "optimum").mean())
            row |= _returns(returns, figure) | {"optimum": optimum} | cost
            reached = scores(evaluations, method, split, "success").mean(axis=(0, 1))
            row |= {"success_1": float(reached[0]), "success_last": float(reached[-1])}
            row |= _normalised(returns, *_ends(evaluations, evaluate, experiment, split))
            row |= _paper(paper_curve(paper, method, split, evaluate))
            row |= _compared(row, optimum)
            if "radt" in methods and method != "radt":
                row |= _improvement(scores(evaluations, "radt", split), returns, figure)
            rows.append(row)
    return known(pd.DataFrame(rows, columns=list(COLUMNS))).astype({"updates": "Int64", "parameters": "Int64"})


def by_seed(evaluations: pd.DataFrame, evaluate: Evaluate) -> pd.DataFrame:
    """One row per method, split and seed: mean return of the last episode and of all, over the tasks of the split."""
    keys = ["experiment", "method", "split", "seed"]
    ends = evaluations[evaluations["episode"] == evaluations["episode"].max()]
    means = {name: part.groupby(keys)["return"].mean() for name, part in (("last", ends), ("average", evaluations))}
    return pd.DataFrame(means).reindex(method_order(set(evaluations["method"]), evaluate), level="method").reset_index()


def estimates(returns: statistics.Floats, figure: Figure) -> Row:
    """Last return and average over episodes with their intervals, from returns [seeds, tasks, episodes]."""
    row: Row = {}
    for name, values in (("last", returns[:, :, -1]), ("average", returns.mean(axis=2))):
        draws = generator(figure.bootstrap_seed, "bootstrap")
        low, high = statistics.interval(values, figure.bootstrap_samples, figure.confidence, draws)
        row |= {name: float(values.mean()), f"{name}_ci_low": float(low), f"{name}_ci_high": float(high)}
    return row


def verdict(low: float, high: float, paper: float) -> str | float:
    """`better`, `worse` or `within`: our interval against the paper's value; NaN if either is unknown."""
    if np.isnan([low, high, paper]).any():
        return np.nan
    return "better" if low > paper else "worse" if high < paper else "within"


def share(value: float, optimum: float) -> float:
    """A return divided by the best possible one; NaN if that is unknown or not above 0."""
    return value / optimum if optimum > 0 else np.nan


def _returns(returns: statistics.Floats, figure: Figure) -> Row:
    """Columns of one method and split from its returns [seeds, tasks, episodes]."""
    by_episode = statistics.mean(returns)
    row: Row = {f"episode_{n}": float(by_episode[n - 1]) if n <= len(by_episode) else np.nan for n in (1, 10, 20)}
    return row | estimates(returns, figure) | {"iqm": statistics.interquartile_mean(returns.mean(axis=2))}


def _ends(
    evaluations: pd.DataFrame, evaluate: Evaluate, experiment: Experiment, split: str
) -> tuple[statistics.Floats | None, statistics.Floats | None]:
    """Returns [tasks] that count as 0 and as 1; None where they are unknown."""
    ends = [experiment.scale(task) for task in sorted(set(evaluations.loc[evaluations["split"] == split, "task"]))]
    if published := [pair for pair in ends if pair is not None]:
        return np.array([low for low, _ in published]), np.array([high for _, high in published])
    return _reference(evaluations, evaluate, "random", split), _reference(evaluations, evaluate, "expert", split)


def _reference(evaluations: pd.DataFrame, evaluate: Evaluate, model: str, split: str) -> statistics.Floats | None:
    """Mean return [tasks] of a model without a network, None where no method has it."""
    names = [name for name in method_order(set(evaluations["method"]), evaluate) if evaluate.methods[name].model == model]
    return scores(evaluations, names[0], split).mean(axis=(0, 2)) if names else None


def _normalised(returns: statistics.Floats, low: statistics.Floats | None, high: statistics.Floats | None) -> Row:
    """Mean normalised returns, 0 at `low` [tasks] and 1 at `high` [tasks], from returns [seeds, tasks, episodes]."""
    if low is None or high is None or not (high > low).all():
        return {}
    scaled = (returns - low[:, None]) / (high - low)[:, None]
    return {"last_normalised": float(scaled[:, :, -1].mean()), "average_normalised": float(scaled.mean())}


def _compared(row: Row, optimum: float) -> Row:
    """Verdicts, and all values as shares of the best possible return."""
    found: Row = {}
    for name in ("last", "average"):
        low, high, paper = (float(row[key]) for key in (f"{name}_ci_low", f"{name}_ci_high", f"paper_{name}"))
        found |= {f"{name}_ratio": share(float(row[name]), optimum), f"paper_{name}_ratio": share(paper, optimum)}
        found[f"{name}_verdict"] = verdict(low, high, paper)
    return found


def _improvement(radt: statistics.Floats, returns: statistics.Floats, figure: Figure) -> Row:
    """Probability that RA-DT has the higher average return, from returns [seeds, tasks, episodes] of both."""
    ours, others = radt.mean(axis=2), returns.mean(axis=2)
    draws = generator(figure.bootstrap_seed, "bootstrap")
    low, high = statistics.improvement_interval(ours, others, figure.bootstrap_samples, figure.confidence, draws)
    probability = float(statistics.probability_of_improvement(ours, others))
    return {"probability_radt_better": probability, "probability_ci_low": low, "probability_ci_high": high}


def _paper(curve: pd.Series) -> Row:
    """The paper's last return and its average; episodes that could not be read off are interpolated linearly."""
    if curve.empty:
        return {"paper_last": np.nan, "paper_average": np.nan}
    points = curve.sort_index()
    filled = np.interp(np.arange(1, points.index[-1] + 1), points.index, points)
    return {"paper_last": float(points.iloc[-1]), "paper_average": float(filled.mean())}


def _cost(training: pd.DataFrame, model: str, seeds: list[int]) -> Row:
    """Updates, parameters and mean training CPU seconds of a model's seeds; nothing for a model that is not trained."""
    if model not in TRAINED:
        return {}
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


def csv(frame: pd.DataFrame) -> str:
    """CSV text with six significant digits; unknown values are empty."""
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """A table after a round trip through its `csv`, so that figures from either are the same bytes."""
    return pd.read_csv(StringIO(csv(frame)), keep_default_na=False, na_values=[""])
