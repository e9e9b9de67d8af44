"""The whole configuration: experiments, their overrides, ablations, and checks that all settings fit together.

`read` merges files (`layers`), and `load` checks the result before Snakemake builds its graph.
`python -m radt.settings.configuration` writes `config/schema.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from radt.errors import RadtError
from radt.settings import layers, yaml_reader
from radt.settings.base import Name, NonNegativeInt, Section
from radt.settings.experiment import Experiment
from radt.settings.experiments import AnyExperiment
from radt.settings.layers import Shared
from radt.settings.models import Training
from radt.settings.parsing import explain, parse
from radt.settings.registry import METHODS
from radt.settings.stages import Stages


class Ablation(Section):
    """Variants of an experiment, drawn in one figure, `results/ablations/{name}.pdf`."""

    experiment: Name
    """The experiment of which they are variants."""
    methods: Annotated[list[Name], Field(min_length=1)]
    """Methods that are evaluated for every variant."""
    variants: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    """What differs from the experiment, by variant: keys of the sections, `experiment` with keys of its tasks, and `like`,
    another variant to begin with."""


Tracker = Literal["tensorboard", "wandb", "trackio", "mlflow"]
DEFAULTS = Path("config/config.yaml")
"""The file that is read first; DVC may write it."""
ABLATIONS = Path("config/ablations.yaml")
"""The file that is read second, if it exists."""
RESERVED = {"ablations", "bench", "overview", "recorded"}
"""Names below results/ that no experiment may have."""


class Settings(Stages, Shared):
    """The whole configuration."""

    seeds: Annotated[list[NonNegativeInt], Field(min_length=1)]
    """Seeds of every trained method."""
    methods: Annotated[list[Name], Field(min_length=1)]
    """Methods in figures, keys of `evaluate.methods`. An experiment leaves out a method that it does not have."""
    encoder_seed: NonNegativeInt
    """Seed of the pre-trained DT that is the encoder of all seeds of RA-DT."""
    experiments: Annotated[dict[Name, AnyExperiment], Field(min_length=1)]
    """Benchmarks by name."""
    ablations: dict[Name, Ablation] = Field(default_factory=dict)
    """Variants of experiments, by name of the figure."""
    tracking: list[Tracker] = Field(default_factory=list)
    """Where a run of the workflow sends the numbers of its trainings when it ends; `python -m radt track` does so at any time."""

    _overrides: dict[str, dict[str, Any]] = PrivateAttr(default_factory=dict)
    _stages: dict[str, Stages] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        lists: tuple[tuple[str, Sequence[Any]], ...] = (
            ("seeds", self.seeds),
            ("methods", self.methods),
            ("tracking", self.tracking),
            ("evaluate.splits", self.evaluate.splits),
        )
        for name, values in lists:
            if len(set(values)) < len(values):
                raise ValueError(f"{name} is {values}, allowed is each of them once")
        if self.encoder_seed not in self.seeds:
            raise ValueError(f"encoder_seed is {self.encoder_seed}, allowed is one of seeds {self.seeds}")
        if taken := sorted(self.experiments.keys() & RESERVED):
            raise ValueError(f"experiments names {taken[0]!r}, which results/ has for something else: choose another name")
        return self

    def check_form(self, run: str) -> None:
        """Raise `RadtError` for an unknown key or a wrong type in a run; `check` also checks that its values fit together."""
        try:
            self.experiment(run)
            self.stages(run)
        except RadtError as error:
            problems = error.__cause__.errors() if isinstance(error.__cause__, ValidationError) else []
            if {problem["type"] for problem in problems} != {"value_error"}:
                raise

    @property
    def overrides(self) -> dict[str, dict[str, Any]]:
        """Keys that differ from the sections, by experiment."""
        return self._overrides

    @property
    def runs(self) -> list[str]:
        """Names of all runs: experiments, and variants as `ablations/{ablation}/{variant}`.

        An ablation of an experiment that is not configured has no runs.
        """
        ablations = {name: ablation for name, ablation in self.ablations.items() if ablation.experiment in self.experiments}
        variants = [f"ablations/{name}/{variant}" for name, ablation in ablations.items() for variant in ablation.variants]
        return [*self.experiments, *variants]

    def base(self, run: str) -> str:
        """Name of the experiment of a run; raises `RadtError` when the run does not exist."""
        if run not in self.runs:
            raise RadtError(f"unknown experiment {run!r}: the configuration has {sorted(self.runs)}")
        return self.ablations[run.split("/")[1]].experiment if "/" in run else run

    def experiment(self, run: str) -> Experiment:
        """The tasks of a run; raises `RadtError` with the key for a value that is not allowed."""
        base = self.experiments[self.base(run)]
        changes = self._changes(run).get("experiment")
        if changes is None:
            return base
        try:
            values = layers.merge(base.model_dump(mode="json"), changes)
            return type(base).model_validate_json(json.dumps(values))
        except ValidationError as error:
            raise RadtError(f"{run}: experiment.{explain(error)}") from error

    def _changes(self, run: str) -> dict[str, Any]:
        """What differs in a variant from its experiment; nothing in an experiment."""
        if "/" not in run:
            return {}
        _, ablation, variant = run.split("/")
        return self.ablations[ablation].variants[variant]

    def stages(self, run: str) -> Stages:
        """The stages' sections of a run, with its overrides; raises `RadtError` with the key for a value that is not allowed."""
        if run not in self._stages:
            try:
                self._stages[run] = Stages.model_validate_json(json.dumps(self._values(run)))
            except ValidationError as error:
                raise RadtError(f"{run}: {explain(error)}") from error
        return self._stages[run]

    def _values(self, run: str) -> dict[str, Any]:
        """The stages' sections of a run as plain values, not checked."""
        base = self.base(run)
        values = {name: getattr(self, name).model_dump(mode="json") for name in Stages.model_fields}
        values = layers.merge(values, self.overrides.get(base, {}))
        return layers.merge(values, {key: value for key, value in self._changes(run).items() if key != "experiment"})

    def check(self, run: str) -> None:
        """Raise `RadtError` when the settings of a run do not fit together, or a method of it is not in `evaluate.methods`."""
        stages = self.stages(run)
        variant, own = "/" in run, stages.evaluate.methods.keys()
        sometimes = {name for name, method in METHODS.items() if method.needs_expert}
        allowed = sorted(own if variant else {*own, *self.evaluate.methods, *sometimes})
        methods = self.ablations[run.split("/")[1]].methods if variant else self.methods
        if unknown := [method for method in methods if method not in allowed]:
            raise RadtError(f"methods of {run!r} names {unknown}, allowed are the keys of evaluate.methods: {allowed}")
        if not self.methods_of(run):
            raise RadtError(f"{run!r} leaves out all of methods {methods}: name one that it has")
        _check_fit(run, self.experiment(run), stages)

    def methods_of(self, run: str) -> list[str]:
        """The configured methods, without methods that the experiment of the run leaves out."""
        methods = self.ablations[run.split("/")[1]].methods if "/" in run else self.methods
        return [method for method in methods if method in self.stages(run).evaluate.methods]

    def select(self, run: str, *sections: str) -> str:
        """JSON of a run's experiment and of the named sections, for the command line of a stage.

        Raises `RadtError` when the run does not exist.
        """
        chosen = {"experiment": self.experiment(run).model_dump(mode="json")}
        stages = self.stages(run)
        chosen |= {name: getattr(stages, name).model_dump(mode="json") for name in sections}
        return json.dumps(chosen, sort_keys=True)


def _check_fit(name: str, experiment: Experiment, stages: Stages) -> None:
    """Raise `RadtError` when the settings cannot be used in an experiment."""
    horizon, retrieval, model = experiment.horizon, stages.train_retrieval.retrieval, stages.train_retrieval.model
    chunk_length, query_stride = stages.embed.chunk_length, stages.embed.query_stride
    windowed = {section: kind for section, kind in stages if isinstance(kind, Training)}
    for section, kind in windowed.items():
        if kind.model.tokens == "step" and kind.model.window < horizon and kind.model.window % 2:
            raise RadtError(
                f"{section}.model.window is {kind.model.window}, allowed are even numbers, or the horizon of {name!r}"
                f" ({horizon}) or more: windows of an episode begin every half window"
            )
    tasks = experiment.sizes
    if not any(tasks.get(split) for split in stages.evaluate.splits):
        raise RadtError(f"evaluate.splits is {stages.evaluate.splits}, allowed is one of which {name!r} has tasks: {tasks}")
    if retrieval.k_context > (most := min(retrieval.k_rerank, stages.evaluate.memory.k_rerank)):
        raise RadtError(f"train_retrieval.retrieval.k_context is {retrieval.k_context}, allowed is at most k_rerank ({most})")
    if stages.pretrain.model.tokens == "step" and stages.embed.aggregate not in ("states", "last"):
        raise RadtError(f"embed.aggregate is {stages.embed.aggregate!r}, which needs pretrain.model.tokens 'interleaved'")
    if chunk_length > horizon:
        raise RadtError(f"embed.chunk_length is {chunk_length}, allowed is at most the horizon of {name!r} ({horizon})")
    if isinstance(model_blocks := stages.train_retrieval.cross_attention, list) and max(model_blocks) >= model.layers:
        raise RadtError(f"train_retrieval.cross_attention is {model_blocks}, allowed are blocks 0 to {model.layers - 1}")
    span = model.span(experiment)
    parts = (horizon,) if span == horizon else (horizon, span, span // 2)
    if retrieval.scope == "segment" and (
        model.tokens != "step" or query_stride is None or any(part % query_stride for part in parts) or retrieval.query_dropout
    ):
        raise RadtError(
            f"train_retrieval.retrieval.scope is 'segment' with tokens {model.tokens!r}, window {model.window}, query_dropout"
            f" {retrieval.query_dropout} and embed.query_stride {query_stride}: allowed are tokens 'step', no query dropout and a"
            f" divisor of the horizon of {name!r} ({horizon}) and of half a window that is shorter"
        )
    if model.tokens == "step" and span < horizon and (span // 2) % stages.evaluate.memory.query_stride:
        raise RadtError(
            f"evaluate.memory.query_stride is {stages.evaluate.memory.query_stride}, allowed is a divisor of half a window"
            f" ({span // 2}) that is shorter than the horizon of {name!r} ({horizon})"
        )


def read(files: Iterable[Path], arguments: Iterable[str] = ()) -> Settings:
    """The settings of configuration files, each merged over those before it, and of `KEY=VALUE` arguments over all of them.

    Raises `RadtError` for a file that is missing, damaged or ambiguous, and for settings that are not allowed.
    """
    values: dict[str, Any] = {}
    read_files = (yaml_reader.read(file, empty=file == DEFAULTS) for file in files)
    for changes in (*read_files, *map(_argument, arguments)):
        values = layers.merge(values, layers.written_out(changes))
    return load(values)


def defaults() -> list[Path]:
    """The files that are always read."""
    return [DEFAULTS, *([ABLATIONS] if ABLATIONS.is_file() else [])]


def _argument(text: str) -> dict[str, Any]:
    """The nested mapping of an argument `KEY=VALUE`."""
    key, equals, value = text.partition("=")
    if not equals:
        raise RadtError(f"--config {text}: write KEY=VALUE, for an inner key --config 'train_ad={{episode_gap: 3}}'")
    return {key: yaml_reader.parse(value, f"--config {key}")}


def load(values: dict[str, Any]) -> Settings:
    """The settings of a merged configuration; raises `RadtError` for a value that is not allowed."""
    if "overrides" in values:
        name = next(iter(values["overrides"]), "NAME") if isinstance(values["overrides"], dict) else "NAME"
        raise RadtError(f"configuration key 'overrides' is gone: write what overrides.{name} has into experiments.{name}")
    values = layers.alike(layers.written_out(values))
    settings = parse(Settings, layers.at(values, ("experiments", "*"), lambda entry: _only(entry, of_stages=False)))
    for name in settings.experiments:
        settings.overrides[name] = _only(values["experiments"][name], of_stages=True)
    for run in settings.runs:
        settings.check_form(run)
    return settings


def _only(entry: dict[str, Any], *, of_stages: bool) -> dict[str, Any]:
    """The keys of an experiment that are sections of stages, or the other ones, which describe its tasks."""
    return {key: value for key, value in entry.items() if (key in Stages.model_fields) == of_stages}


def schema() -> str:
    """JSON schema of a configuration file, for `config/schema.json`; no key is required."""
    tree = Settings.model_json_schema()
    names = [*Stages.model_fields, *Shared.model_fields]
    sections = {name: {"$ref": tree["properties"][name]["$ref"]} for name in names}
    for kind in re.findall(r"#/\$defs/(\w+)", json.dumps(tree["properties"]["experiments"])):
        like = {"type": "string", "description": "Another experiment, whose tasks and settings this one begins with."}
        tree["$defs"][kind]["properties"] |= {**sections, "like": like}
    for part in (tree, *tree["$defs"].values()):
        part.pop("required", None)
    return json.dumps(tree, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path("config/schema.json").write_text(schema(), encoding="utf-8")
