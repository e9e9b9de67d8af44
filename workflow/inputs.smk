"""Inputs and parameters of rules: functions of wildcards, and of a job's inputs and outputs."""

import json
from pathlib import Path

from radt.pipeline.runs import MADE_FROM, WEIGHTS


def folders(wildcards, input):
    """Parameter: an option for the folder of each named input, such as `--encoder results/darkroom/pretrain/seed42`."""
    return " ".join(f"--{name} {Path(files[0]).parent}" for name, files in named(input) if files)


def files(wildcards, input):
    """Parameter: an option for the files of each named input, such as `--paper config/paper_curves.csv`."""
    return " ".join(" ".join([f"--{name}", *files]) for name, files in named(input))


def named(input):
    """The names of a job's inputs, with the files of each."""
    return [(name, [files] if isinstance(files, str) else files) for name, files in input.items()]


def folder(wildcards, output):
    """Parameter: the folder that a stage writes into."""
    return Path(output[0]).parent


def file(wildcards, output):
    """Parameter: the file that a stage writes, where others may stand beside it."""
    return output[0]


def torchrun(wildcards, output):
    """Parameter: command prefix that starts a training in several processes; empty for one process."""
    directory = folder(wildcards, output).parent.relative_to(Path("results", wildcards.experiment))  # such as train/ad
    return RUNS.torchrun(wildcards.experiment, MADE_FROM[str(directory)][-1])


def state(wildcards, output):
    """Parameter: where a training keeps its checkpoint, such as `--state state/darkroom/ad/seed42`."""
    return f"--state {Path('state', wildcards.experiment, *folder(wildcards, output).parts[-2:])}"


def weights(wildcards):
    """Input: the weights of a method."""
    directory = WEIGHTS[RUNS.model(wildcards.experiment, wildcards.method)]
    return made(directory, "seed{seed}/model.safetensors")(wildcards)


def encoder_weights(wildcards):
    """Input: the weights of the DT that encodes for a model that retrieves; none where another encoder does."""
    return made("pretrain", ENCODER)(wildcards) if "pretrain" in VECTORS[encoder_of(wildcards)] else []


def image_encoder(wildcards):
    """Input: the encoder of images; none for experiments whose networks read what environments show."""
    return made("features", "model.safetensors")(wildcards) if SETTINGS.experiment(wildcards.experiment).encoded else []


def evaluations(wildcards):
    """Input: the evaluations of all methods of an experiment."""
    parts = {"method": SETTINGS.methods_of(wildcards.experiment), "seed": SETTINGS.seeds}
    return collect("results/{experiment}/evaluate/{method}/seed{seed}.csv", experiment=wildcards.experiment, **parts)


def variants(wildcards):
    """Input: the evaluations of all variants of an ablation."""
    ablation = SETTINGS.ablations[wildcards.ablation]
    path = "results/ablations/{ablation}/{variant}/evaluate/{method}/seed{seed}.csv"
    parts = {"variant": ablation.variants, "method": ablation.methods, "seed": SETTINGS.seeds}
    return collect(path, ablation=wildcards.ablation, **parts)


def learning_curves(wildcards):
    """Input: the curves of the learning histories of each variant, where they differ."""
    return list(RUNS.sources(wildcards.ablation).values())


def learning(wildcards):
    """Parameter: an option for the same curves with the names of their variants."""
    return " ".join(["--learning", *(f"{variant}={file}" for variant, file in RUNS.sources(wildcards.ablation).items())])


def ablation_settings(wildcards):
    """Parameter: JSON of the experiment, of how each variant is evaluated, of their order, and of the interval."""
    ablation, run = SETTINGS.ablations[wildcards.ablation], f"ablations/{wildcards.ablation}/"
    evaluate = {name: RUNS.sections(run + name)["evaluate"] for name in ablation.variants}
    chosen = {name: RUNS.sections(ablation.experiment)[name] for name in ("experiment", "figure")}
    return json.dumps({**chosen, "variants": evaluate, "order": list(evaluate)})


def overview_settings():
    """Parameter: JSON of all experiments and of the interval."""
    experiments = {name: experiment.model_dump(mode="json") for name, experiment in SETTINGS.experiments.items()}
    return json.dumps({"experiments": experiments, "figure": SETTINGS.figure.model_dump(mode="json")}, sort_keys=True)
