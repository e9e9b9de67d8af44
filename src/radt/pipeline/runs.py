"""Paths of the artifacts of a run, which runs share them, and the settings for the stages that make them.

A run is an experiment, or a variant of one as `ablations/{ablation}/{variant}`. Its artifacts are in `results/{run}/{directory}`.
A variant shares with its experiment every artifact whose settings it does not change, so that nothing is trained twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from radt.devices import present
from radt.errors import RadtError
from radt.settings.configuration import Settings
from radt.settings.evaluation import Protocol
from radt.settings.registry import METHODS, TRAINED, VECTORS
from radt.settings.sources import LEARNERS, Trajectories
from radt.settings.stages import Stages

EMBEDDED = {encoder: tuple(name for name in sections if name != "pretrain") for encoder, sections in VECTORS.items()}
"""Sections of the stage `embed`, by encoder."""
ENCODERS = {name: method.encoder for name, method in TRAINED.items() if method.encoder}
"""Encoders by the name of the model that retrieves with them."""

_DATA = ("features", "trajectories")
_MEMORY = {encoder: (*_DATA, *sections) for encoder, sections in VECTORS.items()}
MADE_FROM = {
    "features": _DATA,
    "trajectories": _DATA,
    **{f"embed/{encoder}": sections for encoder, sections in _MEMORY.items()},
    **{f"index/{encoder}": (*sections, "index") for encoder, sections in _MEMORY.items()},
    **{m.folder: ((*_MEMORY[m.encoder], "index", m.stage) if m.encoder else (*_DATA, m.stage)) for m in TRAINED.values()},
}
"""Sections on which the artifacts of a directory depend, directly and by their inputs."""
WEIGHTS = {name: method.folder for name, method in TRAINED.items()}
"""Directories of weights, by model."""
PLAIN = tuple(model for model in WEIGHTS if model not in ENCODERS)
"""Models with weights and without retrieval."""
REFERENCES = tuple(name for name in METHODS if name not in TRAINED)
"""Models without weights."""


class Runs:
    """Sections and places of all runs of a configuration."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._sections: dict[str, dict[str, Any]] = {}

    def sections(self, run: str) -> dict[str, Any]:
        """Every section of a run, `experiment` included, as plain values; raises `RadtError` for values that are not allowed."""
        if run not in self._sections:
            self._sections[run] = json.loads(self.settings.select(run, *Stages.model_fields))
        return self._sections[run]

    def select(self, run: str, sections: Iterable[str], method: str | None = None) -> str:
        """JSON of the experiment and of `sections` only, so that a change reruns only the stages that read it.

        With a `method`, the section `evaluate` has no other method, because evaluations do not depend on other methods. Raises
        `RadtError` when the settings of the run do not fit together.
        """
        self.settings.check(run)
        chosen = {name: self.sections(run)[name] for name in ("experiment", *sections)}
        if source := chosen.get("trajectories"):
            chosen["trajectories"] = {name: source[name] for name in ("source", Trajectories.key_of(source["source"]))}
        if method:
            chosen["evaluate"] = {**chosen["evaluate"], "methods": {method: chosen["evaluate"]["methods"][method]}}
        return json.dumps(chosen, sort_keys=True)

    def home(self, run: str, directory: str) -> str:
        """The run to which an artifact of `run` belongs: its experiment if the artifact would be the same there, else `run`."""
        base = self.settings.base(run)
        same = all(self.sections(run)[name] == self.sections(base)[name] for name in ("experiment", *MADE_FROM[directory]))
        return base if same else run

    def path(self, run: str, directory: str, file: str = "") -> str:
        """Path of an artifact of a run, or of a file in it."""
        return "/".join(filter(None, ("results", self.home(run, directory), directory, file)))

    def model(self, run: str, method: str) -> str:
        """The model of a method in a run."""
        return str(self.sections(run)["evaluate"]["methods"][method]["model"])

    def methods(self, *models: str) -> list[str]:
        """The methods of any run that use one of `models`, or all methods, once each."""
        found: list[tuple[str, Protocol]] = []
        for run in self.settings.runs:
            with suppress(RadtError):  # an invalid run is refused when it is a target
                found += self.settings.stages(run).evaluate.methods.items()
        return list(dict.fromkeys(name for name, protocol in found if not models or protocol.model in models))

    def metrics(self, run: str, methods: Iterable[str]) -> list[str]:
        """Paths of `metrics.csv` of the trainings of some methods of a run, for all seeds; none for methods without weights."""
        models = [self.model(run, method) for method in methods]
        directories = dict.fromkeys(WEIGHTS[model] for model in models if model in WEIGHTS)
        return [self.path(run, name, f"seed{seed}/metrics.csv") for name in directories for seed in self.settings.seeds]

    def ranks(self, run: str, section: str) -> int:
        """Number of processes of a job of a stage in a run; above 1 only for trainings."""
        return int(self.sections(run)[section].get("optimization", {}).get("ranks", 1))

    def torchrun(self, run: str, section: str) -> str:
        """Prefix of the command of a training in a run that starts several processes; empty for one process."""
        ranks = self.ranks(run, section)
        return f"python -m radt.training.torchrun {ranks} " if ranks > 1 else ""

    def gpus(self, run: str, section: str) -> int:
        """Number of GPUs of a job of a stage in a run; 0 if its section has no device.

        Device `auto` means a GPU if this machine has one.
        """
        values = self.sections(run)[section]
        values = values.get("optimization", values)
        device = values.get("device")
        return int(values.get("ranks", 1)) if device == "cuda" or (device == "auto" and present()) else 0

    def learned(self, run: str) -> list[str]:
        """Files of the stage `rl`, one for each training task, if the source learns each task in a job; else none."""
        if self.sections(run)["trajectories"]["source"] not in LEARNERS:
            return []
        tasks = self.settings.experiment(run).sizes["train"]
        return [f"results/{run}/rl/task{task}.safetensors" for task in range(tasks)]

    def sources(self, ablation: str) -> dict[str, str]:
        """Learning curves of each variant's histories, by variant; empty if all variants have the same histories."""
        runs = {variant: f"ablations/{ablation}/{variant}" for variant in self.settings.ablations[ablation].variants}
        sources = [self.sections(run)["trajectories"] for run in runs.values()]
        if all(one == sources[0] for one in sources):
            return {}
        return {variant: self.path(run, "trajectories", "learning.csv") for variant, run in runs.items()}
