"""The curves of the figure: return against in-context episode."""

from __future__ import annotations

import pandas as pd

from radt.evaluation import statistics
from radt.figures.inputs import SOMETIMES, SPLITS, method_order, paper_curve, scores
from radt.seeding import generator
from radt.settings.evaluation import Evaluate
from radt.settings.figures import Figure

COLUMNS = {  # and their kinds, for `radt.figures.inputs.read`
    "experiment": "str",
    "method": "str",
    "model": "str",
    "split": "str",
    "episode": "int64",
    "mean": "float64",
    "low": "float64?",
    "high": "float64?",
    "optimum": "float64?",
    "paper": "float64?",
    "success": "float64?",
}


def curves(evaluations: pd.DataFrame, paper: pd.DataFrame, evaluate: Evaluate, figure: Figure) -> pd.DataFrame:
    """One row per method, split and episode, columns `COLUMNS`.

    `model` is the model whose weights the method uses. `mean` is over seeds and tasks; `low` and `high` are its interval (NaN for
    fewer than two seeds or tasks, see `radt.evaluation.statistics`). `optimum` is the mean best return of the split's tasks,
    `paper` the published return at that episode, NaN if unknown. All are in units of return. `success` is the share of episodes
    that succeed; the column is left out where environments do not report it. Every curve is resampled with the same draws, so
    adding a method changes no other interval.
    """
    experiment = evaluations["experiment"].iloc[0]
    parts = []
    for method in method_order(set(evaluations["method"]), evaluate):
        for split in (split for split in SPLITS if split in set(evaluations["split"])):
            returns = scores(evaluations, method, split)
            draws = generator(figure.bootstrap_seed, "bootstrap")
            low, high = statistics.interval(returns, figure.bootstrap_samples, figure.confidence, draws)
            part = pd.DataFrame({"mean": statistics.mean(returns), "low": low, "high": high})
            part["episode"] = part.index + 1
            part["optimum"] = scores(evaluations, method, split, "optimum").mean()
            part["paper"] = part["episode"].map(paper_curve(paper, method, split, evaluate))
            part["success"] = scores(evaluations, method, split, "success").mean(axis=(0, 1))
            model = evaluate.methods[method].model
            parts.append(part.assign(experiment=experiment, method=method, model=model, split=split))
    return known(pd.concat(parts, ignore_index=True)[list(COLUMNS)])


def known(frame: pd.DataFrame) -> pd.DataFrame:
    """A table without those of its columns `SOMETIMES` that are unknown in all rows."""
    return frame.drop(columns=[name for name in SOMETIMES if name in frame and frame[name].isna().all()])
