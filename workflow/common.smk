"""What the rules share: wildcards, where artifacts are (`radt.pipeline.runs`), and the parameters of a stage.

Snakemake sets OMP_NUM_THREADS and its relatives to the `threads` of a rule, so that jobs do not slow each other down.
"""

import json
from pathlib import Path

from radt.pipeline.fingerprint import fingerprint
from radt.pipeline.runs import EMBEDDED, ENCODERS, PLAIN, REFERENCES, WEIGHTS, Runs

STAGES = ["trajectories", "ppo", "pretrain", "embed", "embed_language", "index", "train_retrieval", "train_ad", "train_dpt"]
STAGES += ["evaluate", "figure", "overview", "ablation"]

try:
    CODE = {stage: fingerprint(f"radt.stages.{stage}") for stage in STAGES}
except RadtError as error:
    raise SystemExit(f"error: {error}") from None

RUNS = Runs(SETTINGS)
ENCODER = f"seed{SETTINGS.encoder_seed}/model.safetensors"
NOTHING = "(?!)"  # matches no wildcard
VARIANTS = [f"ablations/{name}/(?:{'|'.join(ablation.variants)})" for name, ablation in SETTINGS.ablations.items()]


wildcard_constraints:
    experiment="|".join([*SETTINGS.experiments, *VARIANTS]),
    ablation="|".join(SETTINGS.ablations) or NOTHING,
    encoder="|".join(EMBEDDED),
    seed="0|[1-9][0-9]*",
    task="0|[1-9][0-9]*",


def made(directory, file):
    """Input: a file of another stage, wherever the run has it; `{name}` in both stand for wildcards."""

    def path(wildcards):
        names = dict(wildcards.items())
        return RUNS.path(names["experiment"], directory.format(**names), file.format(**names))

    return path


def settings(*sections):
    """Parameter: JSON of the experiment and of `sections`; where there is a method, of no other method."""
    return lambda wildcards: RUNS.select(wildcards.experiment, sections, wildcards.get("method"))


def methods(*models):
    """Wildcard constraint: the methods that use one of `models`."""
    return "|".join(RUNS.methods(*models)) or NOTHING
