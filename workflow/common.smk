"""What the rules share: wildcards, where artifacts are (`radt.pipeline.runs`), and the parameters of a stage.

Snakemake sets OMP_NUM_THREADS and its relatives to the `threads` of a rule, so that jobs do not slow each other down.
"""

from pathlib import Path

from radt.pipeline.runs import EMBEDDED, ENCODERS, MADE_FROM, PLAIN, REFERENCES, Runs

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


def retrieval_settings(section):
    """Parameter: the same of a section and of those that embed for the model that retrieves."""
    return lambda wildcards: settings(section, *EMBEDDED[encoder_of(wildcards)])(wildcards)


def methods(*models):
    """Wildcard constraint: the methods that use one of `models`."""
    return "|".join(RUNS.methods(*models)) or NOTHING


def folders(wildcards, input):
    """Parameter: an option for the folder of each named input, such as `--encoder results/darkroom/pretrain/seed42`."""
    named = [(name, [file] if isinstance(file, str) else file) for name, file in input.items()]
    return " ".join(f"--{name} {Path(files[0]).parent}" for name, files in named if files)


def files(wildcards, input):
    """Parameter: an option for the files of each named input, such as `--paper config/paper_curves.csv`."""
    named = [(name, [file] if isinstance(file, str) else file) for name, file in input.items()]
    return " ".join(" ".join([f"--{name}", *files]) for name, files in named)


def folder(wildcards, output):
    """Parameter: the folder that a stage writes into."""
    return Path(output[0]).parent


def file(wildcards, output):
    """Parameter: the file that a stage writes, where others may stand beside it."""
    return output[0]


def torchrun(wildcards, output):
    """Parameter: command prefix that starts a training in several processes; empty for one process."""
    return RUNS.torchrun(wildcards.experiment, MADE_FROM[directory_of(wildcards, output)][-1])


def state(wildcards, output):
    """Parameter: where a training keeps checkpoints, such as `--state state/darkroom/ad/seed42`."""
    return f"--state {Path('state', wildcards.experiment, *folder(wildcards, output).parts[-2:])}"


def directory_of(wildcards, output):
    """The directory of a training below its run, such as `train/ad`."""
    return str(folder(wildcards, output).parent.relative_to(Path("results", wildcards.experiment)))
