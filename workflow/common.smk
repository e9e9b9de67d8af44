"""What the rules share: the checked settings, wildcards and the parameters of a stage.

Snakemake sets OMP_NUM_THREADS and its relatives to the `threads` of a rule, so that jobs do not slow each other down.
A run is an experiment, or a variant of one as `ablations/{ablation}/{variant}`.
"""

import json
import os
from pathlib import Path

from radt.errors import RadtError
from radt.fingerprint import fingerprint
from radt.settings import load

os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))  # `python` is Snakemake's own

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


wildcard_constraints:
    experiment="|".join(SETTINGS.runs),
    ablation="|".join(SETTINGS.ablations) or "(?!)",
    method="|".join(SETTINGS.evaluate.methods),
    seed="0|[1-9][0-9]*",
    task="0|[1-9][0-9]*",


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
