"""What the rules share: the checked settings, wildcards, the directories of the models, and the parameters of a stage.

Snakemake sets OMP_NUM_THREADS and its relatives to the `threads` of a rule, so that jobs do not slow each other down.
"""

import json
import os
from pathlib import Path

from radt.errors import RadtError
from radt.fingerprint import fingerprint
from radt.settings import load

os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))  # `python` is Snakemake's own

try:
    SETTINGS = load(config)
    STAGES = ["trajectories", "pretrain", "embed", "index", "train_retrieval", "train_ad", "evaluate", "figure"]
    CODE = {stage: fingerprint(f"radt.stages.{stage}") for stage in STAGES}
    SECTIONS = {name: json.loads(SETTINGS.select(name, *STAGES)) for name in SETTINGS.experiments}
except RadtError as error:
    raise SystemExit(f"error: {error}") from None

MODELS = {  # the weights of a method, by `model` of evaluate.methods
    "radt": "results/{experiment}/train/radt/seed{seed}/model.safetensors",
    "ad": "results/{experiment}/train/ad/seed{seed}/model.safetensors",
    "dt": "results/{experiment}/pretrain/seed{seed}/model.safetensors",
}
ENCODER = MODELS["dt"].replace("{seed}", str(SETTINGS.encoder_seed))
DRAWN = dict.fromkeys(SETTINGS.evaluate.methods[method].model for method in SETTINGS.methods)
METRICS = [MODELS[model].replace("model.safetensors", "metrics.csv") for model in DRAWN]


wildcard_constraints:
    experiment="|".join(SETTINGS.experiments),
    method="|".join(SETTINGS.evaluate.methods),
    encoder="dt",
    seed="0|[1-9][0-9]*",


def methods(*models):
    """Wildcard constraint: the methods that use the weights of one of `models`."""
    return "|".join(name for name, protocol in SETTINGS.evaluate.methods.items() if protocol.model in models) or "(?!)"


def settings(*sections):
    """Parameter: JSON of the experiment and of `sections`, and no more, so that a change reruns only what reads it."""

    def select(wildcards):
        chosen = {name: SECTIONS[wildcards.experiment][name] for name in ("experiment", *sections)}
        if "method" in wildcards.keys():  # evaluating a method does not depend on the other methods
            protocol = chosen["evaluate"]["methods"][wildcards.method]
            chosen["evaluate"] = {**chosen["evaluate"], "methods": {wildcards.method: protocol}}
        return json.dumps(chosen, sort_keys=True)

    return select


def weights(wildcards):
    """Input: the weights of a method."""
    return MODELS[SETTINGS.evaluate.methods[wildcards.method].model]


def gpu(device):
    """Resource: how many GPUs a job on `device` takes."""
    return 1 if device == "cuda" else 0


onerror:
    # Every output is marked `update`, so a job that fails leaves the old files; but Snakemake records it as done with the new
    # settings. Marked as started, it counts as incomplete and runs again (docs/decisions/0005-shape-of-rules.md).
    for job in workflow.scheduler.failed:
        workflow.persistence.started(job)
