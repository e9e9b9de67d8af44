"""Where artifacts are: what they are made from, whose they are, and which rule reads which.

A variant of an experiment shares with it every artifact whose settings it does not change (docs/decisions/0007-runs-and-variants.md).
"""

DATA = ["trajectories"]
DT = [*DATA, "pretrain"]
EMBEDDED = {"dt": ["embed"], "lm": ["embed", "embed_language"]}  # what an encoder's rule reads of the settings
MEMORY = {"dt": [*DT, *EMBEDDED["dt"]], "lm": [*DATA, *EMBEDDED["lm"]]}  # and all that is behind its vectors
ENCODERS = {"radt": "dt", "radt_lm": "lm"}  # by the model that reads its memory with it
MADE_FROM = {  # the sections behind the artifacts in a directory of results/{run}/
    "trajectories": DATA,
    "ppo": DATA,
    "pretrain": DT,
    **{f"embed/{encoder}": sections for encoder, sections in MEMORY.items()},
    **{f"index/{encoder}": [*sections, "index"] for encoder, sections in MEMORY.items()},
    **{f"train/{model}": [*MEMORY[encoder], "index", "train_retrieval"] for model, encoder in ENCODERS.items()},
    "train/ad": [*DATA, "train_ad"],
    "train/dpt": [*DATA, "train_dpt"],
}
MODELS = {path.removeprefix("train/"): path for path in MADE_FROM if path.startswith("train/")} | {"dt": "pretrain"}
USED = list(dict.fromkeys(protocol.model for protocol in SETTINGS.evaluate.methods.values()))
ENCODER = f"seed{SETTINGS.encoder_seed}/model.safetensors"


wildcard_constraints:
    encoder="|".join(EMBEDDED),


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
