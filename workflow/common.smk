"""What the rules share: wildcards, where artifacts are (`radt.pipeline.runs`), and the parameters of a stage.

Snakemake sets OMP_NUM_THREADS and its relatives to the `threads` of a rule, so that jobs do not slow each other down.
"""

from radt.pipeline.runs import EMBEDDED, ENCODERS, PLAIN, REFERENCES, Runs
from radt.settings.registry import VECTORS

RUNS = Runs(SETTINGS)
ENCODER = f"seed{SETTINGS.encoder_seed}/model.safetensors"
NOTHING = "(?!)"  # matches no wildcard
VARIANTS = [f"ablations/{name}/(?:{'|'.join(ablation.variants)})" for name, ablation in SETTINGS.ablations.items()]


wildcard_constraints:
    experiment="|".join([*SETTINGS.experiments, *VARIANTS]),
    ablation="|".join(SETTINGS.ablations) or NOTHING,
    encoder="|".join(EMBEDDED),
    model="|".join(ENCODERS),
    seed="0|[1-9][0-9]*",
    task="0|[1-9][0-9]*",


def made(directory, file):
    """Input: a file of another stage, wherever the run has it; `{name}` in both stand for wildcards and for the encoder."""

    def path(wildcards):
        names = dict(wildcards.items())
        if "{encoder}" in directory:
            names["encoder"] = encoder_of(wildcards)
        return RUNS.path(names["experiment"], directory.format(**names), file.format(**names))

    return path


def encoder_of(wildcards):
    """The encoder that a job reads vectors of: that of its wildcard, or of the model that retrieves."""
    if "encoder" in wildcards.keys():
        return wildcards.encoder
    return ENCODERS[wildcards.get("model") or RUNS.model(wildcards.experiment, wildcards.method)]


def settings(*sections):
    """Parameter: JSON of the experiment and of `sections`; where there is a method, of no other method."""
    return lambda wildcards: RUNS.select(wildcards.experiment, sections, wildcards.get("method"))


def retrieval_settings(*sections):
    """Parameter: the same, and of the sections that embed."""
    return lambda wildcards: settings(*sections, *EMBEDDED[encoder_of(wildcards)])(wildcards)


def methods(*models):
    """Wildcard constraint: the methods that use one of `models`."""
    return "|".join(RUNS.methods(*models)) or NOTHING
