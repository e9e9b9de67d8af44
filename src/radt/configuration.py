"""The whole configuration: experiments, what differs in each of them, ablations, and whether all of it fits together.

`load` checks a merged configuration before Snakemake builds its graph. `python -m radt.configuration` writes
`config/schema.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from radt.errors import RadtError
from radt.settings import Experiment, Name, NonNegativeInt, Section, Stages, explain, parse


class Ablation(Section):
    """Variants of an experiment, drawn in one figure, `results/ablations/{name}.pdf`."""

    experiment: Name
    """The experiment that they are variants of."""
    methods: Annotated[list[Name], Field(min_length=1)]
    """Methods that are evaluated for every variant."""
    variants: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    """What differs from the experiment, by variant: keys of the stages' sections."""


class Settings(Stages):
    """The whole configuration."""

    seeds: Annotated[list[NonNegativeInt], Field(min_length=1)]
    """Seeds of every trained method."""
    methods: Annotated[list[Name], Field(min_length=1)]
    """Methods drawn in the figure, keys of `evaluate.methods`."""
    encoder_seed: NonNegativeInt
    """Seed of the pre-trained DT that embeds sub-trajectories. All seeds of RA-DT use it."""
    experiments: Annotated[dict[Name, Experiment], Field(min_length=1)]
    """Benchmarks by name."""
    overrides: dict[Name, dict[str, Any] | Name]
    """Settings that differ from the defaults, by experiment; or the name of an experiment whose overrides are shared."""
    ablations: dict[Name, Ablation]
    """Variants of experiments, by name of the figure."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        lists = (("seeds", self.seeds), ("methods", self.methods), ("evaluate.splits", self.evaluate.splits))
        for name, values in lists:
            if len(set(values)) < len(values):
                raise ValueError(f"{name} is {values}, allowed is each of them once")
        if self.encoder_seed not in self.seeds:
            raise ValueError(f"encoder_seed is {self.encoder_seed}, allowed is one of seeds {self.seeds}")
        if unknown := sorted(self.overrides.keys() - self.experiments.keys()):
            raise ValueError(f"overrides names {unknown[0]!r}, allowed are the experiments: {sorted(self.experiments)}")
        for name, ablation in self.ablations.items():
            if ablation.experiment not in self.experiments:
                allowed = sorted(self.experiments)
                raise ValueError(f"ablations.{name}.experiment is {ablation.experiment!r}, allowed are {allowed}")
        for name in self.runs:
            stages = self.stages(name)
            asked = self.ablations[name.split("/")[1]].methods if "/" in name else self.methods
            if unknown := [method for method in asked if method not in stages.evaluate.methods]:
                raise ValueError(
                    f"methods of {name!r} names {unknown}, allowed are the keys of evaluate.methods:"
                    f" {sorted(stages.evaluate.methods)}"
                )
            _check_fit(name, self.experiment(name), stages)
        return self

    @property
    def runs(self) -> list[str]:
        """Names of everything that has results of its own: experiments, and variants as `ablations/{ablation}/{variant}`."""
        variants = [f"ablations/{name}/{variant}" for name, ablation in self.ablations.items() for variant in ablation.variants]
        return [*self.experiments, *variants]

    def check_target(self, target: str) -> None:
        """Raise `RadtError` when a file below results/ names an experiment, an ablation or a method that there is not."""
        folder, run, part, name, *_ = [*target.split("/"), "", "", ""]
        if folder != "results" or not part:
            return
        if run == "ablations" and part.partition(".")[0] not in self.ablations:
            raise RadtError(f"unknown ablation in {target}: the configuration has {sorted(self.ablations)}")
        if run not in (*self.experiments, "ablations"):
            raise RadtError(f"unknown experiment {run!r} in {target}: the configuration has {sorted(self.experiments)}")
        if part == "evaluate" and name and name not in self.evaluate.methods:
            raise RadtError(f"unknown method {name!r} in {target}: evaluate.methods has {sorted(self.evaluate.methods)}")

    def base(self, run: str) -> str:
        """The experiment of a run; raises `RadtError` when there is no such run."""
        if run not in self.runs:
            raise RadtError(f"unknown experiment {run!r}: the configuration has {sorted(self.runs)}")
        return self.ablations[run.split("/")[1]].experiment if "/" in run else run

    def experiment(self, run: str) -> Experiment:
        """The grid world of a run."""
        return self.experiments[self.base(run)]

    def stages(self, run: str) -> Stages:
        """The stages' sections of a run, with what it overrides; raises `ValueError` naming the key when that is not allowed."""
        base = self.base(run)
        values = {name: getattr(self, name).model_dump(mode="json") for name in Stages.model_fields}
        values = merge(values, self._changes(base))
        if run != base:
            _, ablation, variant = run.split("/")
            values = merge(values, self.ablations[ablation].variants[variant])
        try:
            return Stages.model_validate_json(json.dumps(values))
        except ValidationError as error:
            raise ValueError(f"{run}: {explain(error)}") from None

    def _changes(self, name: str) -> dict[str, Any]:
        """What an experiment overrides; raises `ValueError` when it names another that has nothing of its own."""
        changes = self.overrides.get(name, {})
        other = self.overrides.get(changes) if isinstance(changes, str) else changes
        if not isinstance(other, dict):
            allowed = sorted(key for key, values in self.overrides.items() if isinstance(values, dict))
            raise ValueError(f"overrides.{name} is {changes!r}, allowed are keys, or an experiment that has some: {allowed}")
        return other

    def select(self, run: str, *sections: str) -> str:
        """JSON of a run's grid world and of the named sections, for the command line of a stage.

        Raises `RadtError` when there is no such run.
        """
        chosen = {"experiment": self.experiment(run).model_dump(mode="json")}
        stages = self.stages(run)
        chosen |= {name: getattr(stages, name).model_dump(mode="json") for name in sections}
        return json.dumps(chosen, sort_keys=True)


def merge(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`values` with `changes`, key by key; a value that is no mapping is replaced."""
    nested = {
        key: merge(values[key], value) if isinstance(value, dict) and isinstance(values.get(key), dict) else value
        for key, value in changes.items()
    }
    return {**values, **nested}


def _check_fit(name: str, experiment: Experiment, stages: Stages) -> None:
    """Raise `ValueError` when the settings cannot be used in an experiment."""
    horizon, retrieval, model = experiment.horizon, stages.train_retrieval.retrieval, stages.train_retrieval.model
    chunk, every = stages.embed.chunk, stages.embed.every
    for section, kind in (
        ("pretrain", stages.pretrain),
        ("train_retrieval", stages.train_retrieval),
        ("train_ad", stages.train_ad),
    ):
        if kind.model.tokens == "step" and kind.model.window < horizon and kind.model.window % 2:
            raise ValueError(
                f"{section}.model.window is {kind.model.window}, allowed are even numbers, or the horizon of {name!r}"
                f" ({horizon}) or more: windows of an episode begin every half window"
            )
    if retrieval.chunks > (keep := min(retrieval.keep, stages.evaluate.memory.keep)):
        raise ValueError(f"train_retrieval.retrieval.chunks is {retrieval.chunks}, allowed is at most what is kept ({keep})")
    if stages.pretrain.model.tokens == "step" and stages.embed.aggregate not in ("states", "last"):
        raise ValueError(f"embed.aggregate is {stages.embed.aggregate!r}, which needs pretrain.model.tokens 'interleaved'")
    if chunk > horizon:
        raise ValueError(f"embed.chunk is {chunk}, allowed is at most the horizon of {name!r} ({horizon})")
    if isinstance(model_blocks := stages.train_retrieval.cross_attention, list) and max(model_blocks) >= model.layers:
        raise ValueError(f"train_retrieval.cross_attention is {model_blocks}, allowed are blocks 0 to {model.layers - 1}")
    span = model.span(experiment)
    parts = (horizon,) if span == horizon else (horizon, span, span // 2)
    if retrieval.scope == "segment" and (
        model.tokens != "step" or every is None or any(part % every for part in parts) or retrieval.query_dropout
    ):
        raise ValueError(
            f"train_retrieval.retrieval.scope is 'segment' with tokens {model.tokens!r}, window {model.window}, query_dropout"
            f" {retrieval.query_dropout} and embed.every {every}: allowed are tokens 'step', no query dropout and a divisor of"
            f" the horizon of {name!r} ({horizon}) and of half a window that is shorter"
        )
    if model.tokens == "step" and span < horizon and (span // 2) % stages.evaluate.memory.every:
        raise ValueError(
            f"evaluate.memory.every is {stages.evaluate.memory.every}, allowed is a divisor of half a window ({span // 2}) that"
            f" is shorter than the horizon of {name!r} ({horizon})"
        )


def load(values: dict[str, Any]) -> Settings:
    """The settings of a merged Snakemake configuration."""
    return parse(Settings, values)


def schema() -> str:
    """JSON schema of the configuration, as kept in `config/schema.json`."""
    return json.dumps(Settings.model_json_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path("config/schema.json").write_text(schema(), encoding="utf-8")
