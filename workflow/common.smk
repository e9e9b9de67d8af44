"""What the rules share: the checked settings, wildcards, where artifacts are, and the parameters of a stage.

Snakemake sets OMP_NUM_THREADS and its relatives to the `threads` of a rule, so that jobs do not slow each other down.
A run is an experiment, or a variant of one as `ablations/{ablation}/{variant}`; a variant shares with its experiment every artifact
whose settings it does not change.
"""

import json
import os
from pathlib import Path

from radt.errors import RadtError
from radt.fingerprint import fingerprint
from radt.settings import load

os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))  # `python` is Snakemake's own

DATA, DT = ["trajectories"], ["trajectories", "pretrain"]
EMBEDDED = {"dt": ["embed"], "lm": ["embed", "embed_language"]}
MEMORY = {"dt": [*DT, *EMBEDDED["dt"]], "lm": [*DATA, *EMBEDDED["lm"]]}
MADE_FROM = {  # the sections behind the artifacts in a directory of results/{run}/
    "trajectories": DATA,
    "ppo": DATA,
    "pretrain": DT,
    "embed/dt": MEMORY["dt"],
    "embed/lm": MEMORY["lm"],
    "index/dt": [*MEMORY["dt"], "index"],
    "index/lm": [*MEMORY["lm"], "index"],
    "train/radt": [*MEMORY["dt"], "index", "train_retrieval"],
    "train/radt_lm": [*MEMORY["lm"], "index", "train_retrieval"],
    "train/ad": [*DATA, "train_ad"],
    "train/dpt": [*DATA, "train_dpt"],
}
MODELS = {"radt": "train/radt", "radt_lm": "train/radt_lm", "ad": "train/ad", "dpt": "train/dpt", "dt": "pretrain"}
ENCODERS = {"radt": "dt", "radt_lm": "lm"}
STAGES = ["trajectories", "ppo", "pretrain", "embed", "embed_language", "index", "train_retrieval", "train_ad", "train_dpt"]
STAGES += ["evaluate", "figure", "overview", "ablation"]

try:
    SETTINGS = load(config)
    for target in sys.argv[1:]:
        SETTINGS.check_target(target)
    CODE = {stage: fingerprint(f"radt.stages.{stage}") for stage in STAGES}
    NAMES = [name for name in type(SETTINGS).__mro__[1].model_fields]
    SECTIONS = {run: json.loads(SETTINGS.select(run, *NAMES)) for run in SETTINGS.runs}
except RadtError as error:
    raise SystemExit(f"error: {error}") from None

ENCODER = f"seed{SETTINGS.encoder_seed}/model.safetensors"


wildcard_constraints:
    experiment="|".join(SETTINGS.runs),
    ablation="|".join(SETTINGS.ablations) or "(?!)",
    method="|".join(SETTINGS.evaluate.methods),
    encoder="dt|lm",
    seed="0|[1-9][0-9]*",
    task="0|[1-9][0-9]*",


def home(run, directory):
    """The run that an artifact of `run` belongs to: itself, or its experiment when it would be the same there."""
    base = SETTINGS.base(run)
    return base if all(SECTIONS[run][name] == SECTIONS[base][name] for name in MADE_FROM[directory]) else run


def made(directory, file):
    """Input: a file of another stage, wherever the run has it; `{name}` in both stand for wildcards."""

    def path(wildcards):
        names = dict(wildcards.items())
        inside = directory.format(**names)
        return f"results/{home(names['experiment'], inside)}/{inside}/{file.format(**names)}"

    return path


def methods(*models):
    """Wildcard constraint: the methods that use the weights of one of `models`."""
    return "|".join(name for name, protocol in SETTINGS.evaluate.methods.items() if protocol.model in models) or "(?!)"


def model_of(run, method):
    """Whose weights a method uses in a run."""
    return SECTIONS[run]["evaluate"]["methods"][method]["model"]


def weights(wildcards):
    """Input: the weights of a method."""
    directory = MODELS[model_of(wildcards.experiment, wildcards.method)]
    return f"results/{home(wildcards.experiment, directory)}/{directory}/seed{wildcards.seed}/model.safetensors"


def metrics(run, chosen):
    """What the trainings behind `chosen` methods of a run wrote down, for all seeds."""
    directories = dict.fromkeys(MODELS[model] for model in (model_of(run, method) for method in chosen) if model in MODELS)
    return [f"results/{home(run, path)}/{path}/seed{seed}/metrics.csv" for path in directories for seed in SETTINGS.seeds]


def settings(*sections):
    """Parameter: JSON of the experiment and of `sections`, and no more, so that a change reruns only what reads it."""

    def select(wildcards):
        chosen = {name: SECTIONS[wildcards.experiment][name] for name in ("experiment", *sections)}
        if "method" in wildcards.keys():  # evaluating a method does not depend on the other methods
            protocol = chosen["evaluate"]["methods"][wildcards.method]
            chosen["evaluate"] = {**chosen["evaluate"], "methods": {wildcards.method: protocol}}
        return json.dumps(chosen, sort_keys=True)

    return select


def gpu(section):
    """Resource: how many GPUs a job of a stage takes in its run."""

    def count(wildcards):
        values = SECTIONS[wildcards.experiment][section]
        return int(values.get("optimization", values)["device"] == "cuda")

    return count


onerror:
    # Every output is marked `update`, so a job that fails leaves the old files; but Snakemake records it as done with the new
    # settings. Marked as started, it counts as incomplete and runs again (docs/decisions/0005-shape-of-rules.md).
    for job in workflow.scheduler.failed:
        workflow.persistence.started(job)
