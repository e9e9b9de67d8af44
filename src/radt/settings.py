"""All settings: one frozen, typed class per section of `config/config.yaml`.

`load` checks a merged configuration before Snakemake builds its graph; a stage receives the sections that it needs as JSON
(`Settings.select`), so that a change of another section reruns nothing. Unknown keys, wrong types and impossible combinations
raise `RadtError` naming key, value and what is allowed. `python -m radt.settings` writes `config/schema.json`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from radt.errors import RadtError

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]
NAME = r"[a-z][a-z0-9_]*"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]


class Section(BaseModel):
    """Base of every section: unknown keys and loose types are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)


class Experiment(Section):
    """One benchmark: the room, its goals and their split (paper, Section 4)."""

    width: Annotated[int, Field(ge=1, le=256)]
    """Columns of the room."""
    height: Annotated[int, Field(ge=1, le=256)]
    """Rows of the room."""
    horizon: PositiveInt
    """Steps of an episode; no episode ends earlier."""
    goals: PositiveInt
    """Goals drawn from the cells of the room, one task each."""
    held_out: PositiveInt
    """How many of them, counted from the end, are only ever evaluated on."""
    validation: NonNegativeInt
    """How many training goals, counted from the end, are kept from training to choose settings on."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        cells = self.width * self.height
        if self.goals > cells:
            raise ValueError(f"goals is {self.goals}, but a {self.width}x{self.height} room has {cells} cells")
        if self.held_out + self.validation >= self.goals:
            raise ValueError(
                f"held_out {self.held_out} + validation {self.validation} leave none of the {self.goals} goals to train on"
            )
        return self


class Generate(Section):
    """Tabular Q-learning on all training tasks at once."""

    seed: NonNegativeInt
    """Seed of the learner's exploration."""
    episodes: PositiveInt
    """Episodes of the learning history of each task."""
    learning_rate: Fraction
    """Step size of the Q update."""
    discount: Fraction
    """Discount of the learner's return."""
    epsilon_first: Fraction
    """Chance of a random action in the first episode."""
    epsilon_last: Fraction
    """Chance of a random action after the decay."""
    epsilon_episodes: PositiveInt
    """Episodes over which the chance falls in a straight line."""


class Download(Section):
    """The published data set on the Hugging Face Hub."""

    repository: str
    """Name of the data set repository."""
    revision: str
    """Commit of the repository: 40 hex digits, so that the data cannot change unnoticed."""
    folder: str
    """Folder of the room size inside the repository."""
    checksums: str | None
    """File with the expected sha256 of every downloaded file (`sha256sum` form); null takes those that the Hub states."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(f"revision is {self.revision!r}, allowed is a commit of 40 hex digits")
        return self


class Trajectories(Section):
    """Where the learning histories come from."""

    source: Literal["generate", "download", "import"]
    """`generate` makes them here, `download` fetches the published ones, `import` converts a folder of published files."""
    generate: Generate
    """Settings of `source: generate`."""
    download: Download
    """Settings of `source: download`."""
    import_folder: str | None
    """Folder of `.npz` files for `source: import`."""

    @model_validator(mode="after")
    def _folder(self) -> Self:
        if self.source == "import" and not self.import_folder:
            raise ValueError("import_folder is null, but source is 'import': name the folder that holds the .npz files")
        return self


class Model(Section):
    """A decision transformer (paper, Section 3; shapes in `radt.models`)."""

    tokens: Literal["step", "interleaved"]
    """`step`: one token per step; `interleaved`: the paper's separate tokens for state, return-to-go, action and reward."""
    width: PositiveInt
    """Size of a token's vector."""
    layers: PositiveInt
    """Transformer blocks."""
    heads: PositiveInt
    """Attention heads; must divide `width`."""
    dropout: Fraction
    """Dropout of embeddings, attention and residual branches while training."""
    window: PositiveInt
    """Steps of the current episode that the model sees."""
    return_bin: PositiveInt
    """Width of a bin of the return-to-go token; 1 tells returns exactly (published), the horizon or more hides them."""

    def span(self, experiment: Experiment) -> int:
        """Steps of a window in an experiment: never more than an episode."""
        return min(self.window, experiment.horizon)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}, which does not divide width {self.width}")
        return self


class Optimization(Section):
    """AdamW with linear warm-up and cosine decay."""

    updates: PositiveInt
    """Gradient steps."""
    batch_size: PositiveInt
    """Windows per gradient step."""
    learning_rate: PositiveFloat
    """Highest learning rate, reached after `warmup` updates."""
    learning_rate_last: NonNegativeFloat
    """Learning rate of the last update."""
    warmup: NonNegativeInt
    """Updates over which the learning rate rises from zero."""
    weight_decay: NonNegativeFloat
    """Decay of the weight matrices; biases, norms and embeddings have none."""
    gradient_clip: PositiveFloat
    """Largest norm of the gradient."""
    precision: Literal["float32", "bfloat16"]
    """Precision of the matrix products; the loss stays in float32, and so does attention on a GPU, with dropout, and over more
    than 256 tokens."""
    checkpoint_every: PositiveInt
    """Updates between two checkpoints."""
    log_every: PositiveInt
    """Updates between two rows of `metrics.csv`."""
    device: Literal["cpu", "cuda"]
    """Where to train."""

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup >= self.updates:
            raise ValueError(f"warmup is {self.warmup}, allowed is less than updates ({self.updates})")
        return self


class Training(Section):
    """What every trained method has."""

    model: Model
    """The network."""
    optimization: Optimization
    """How it is trained."""


class Embed(Section):
    """Sub-trajectories and their vectors (paper, Section 3.1)."""

    chunk: PositiveInt
    """Steps between two sub-trajectories, averaged in a key, and taken before and after the anchor of a value."""
    every: PositiveInt | None
    """Steps between two queries of a training window, which are embedded with the episode; null: queries are made while
    training (published)."""
    batch_size: PositiveInt
    """Episodes embedded at once."""
    device: Literal["cpu", "cuda"]
    """Where to embed."""


class Index(Section):
    """The search structure over the training sub-trajectories."""

    duplicate_similarity: PositiveFloat
    """Of keys of one task that are more similar (cosine) than this, one stays; 1 or more keeps all."""


class Retrieval(Section):
    """How a query becomes a context while training (paper, Section 3.2)."""

    engine: Literal["faiss", "torch"]
    """Search engine; both return the same ids in the same order."""
    exact_keys: PositiveInt
    """Up to how many keys a search among all of them (pool `all`) is exact; beyond, FAISS' inverted lists take over."""
    probes: PositiveInt
    """Lists searched for a query where the search is not exact."""
    scope: Literal["segment", "window"]
    """`segment`: one context for each `embed.every` steps, found from what came before; `window`: one for the whole window,
    found from its end (published)."""
    pool: Literal["all", "earlier"]
    """Where to search: the chunks of all tasks (published), or of the first m episodes of the same learning history, m drawn
    uniformly up to the window's own episode: a memory of any age, as in evaluation."""
    candidates: PositiveInt
    """Nearest keys searched, before the cut-off."""
    cutoff: PositiveFloat
    """Keys more similar (cosine) than this are never returned; 1 or more keeps all."""
    keep: PositiveInt
    """Nearest keys after the cut-off that are re-ranked."""
    weight_similarity: NonNegativeFloat
    """Weight of the min-max normalised similarity."""
    weight_task: NonNegativeFloat
    """Weight of belonging to the query's task."""
    weight_return: NonNegativeFloat
    """Weight of the min-max normalised return of the chunk's episode."""
    weight_reward: NonNegativeFloat
    """Weight of the min-max normalised reward inside the chunk."""
    query_dropout: Fraction
    """Chance to leave a step out of a training query."""
    random_before: NonNegativeInt
    """Queries at an earlier step of the episode get a random chunk of their task instead."""
    chunks: PositiveInt
    """Retrieved chunks in a context."""


class TrainRetrieval(Training):
    """RA-DT."""

    cross_attention: Literal["first", "all"]
    """Blocks that read the retrieved context."""
    context_embedding: Literal["own", "shared"]
    """Whether contexts have embedding tables of their own (published) or share those of the window."""
    context_dropout: Fraction
    """Share of training windows without any context, as in the first episode of a new task."""
    retrieval: Retrieval
    """How contexts are found."""


class TrainAd(Training):
    """Algorithm Distillation."""

    later: PositiveInt
    """Episodes of the learning history between the context episode and the current one."""


class Protocol(Section):
    """How one trained model acts in context."""

    model: Literal["radt", "ad", "dt"]
    """Whose weights."""
    target_return: Literal["fixed", "from_memory", "none"]
    """`fixed`: drawn around `target_mean`; `from_memory`: low while nothing has been rewarded, then `target_mean`; `none`: not
    used."""
    actions: Literal["greedy", "top_half", "sample"]
    """Best action, sampled among those above the median, or sampled among all."""

    @model_validator(mode="after")
    def _target_is_read(self) -> Self:
        allowed = {"radt": ("fixed", "from_memory"), "ad": ("none",), "dt": ("fixed",)}[self.model]
        if self.target_return not in allowed:
            raise ValueError(f"target_return is {self.target_return!r}, allowed for {self.model!r} is {' or '.join(allowed)}")
        return self


class Memory(Section):
    """Ranking of the agent's own chunks in evaluation."""

    keep: PositiveInt
    """Nearest keys that are re-ranked."""
    weight_similarity: NonNegativeFloat
    """Weight of the min-max normalised similarity."""
    weight_return: NonNegativeFloat
    """Weight of the min-max normalised return of the chunk's episode."""
    weight_reward: NonNegativeFloat
    """Weight of the min-max normalised reward inside the chunk."""
    every: PositiveInt
    """Steps between two queries; need not be `embed.every`, which training has."""


class Evaluate(Section):
    """In-context evaluation (paper, Section 4)."""

    episodes: PositiveInt
    """Episodes of a task, weights frozen."""
    splits: Annotated[list[Literal["held_out", "train", "validation"]], Field(min_length=1)]
    """Which tasks; a split that has none in an experiment is passed over."""
    target_mean: PositiveFloat
    """Mean of the fixed target return."""
    target_std: NonNegativeFloat
    """Its standard deviation."""
    target_low: tuple[NonNegativeFloat, PositiveFloat]
    """Range of the target return while nothing has been rewarded."""
    memory: Memory
    """Ranking of the memory."""
    methods: dict[Name, Protocol]
    """What is evaluated, by name; the top-level `methods` choose among them."""
    device: Literal["cpu", "cuda"]
    """Where to evaluate."""

    @model_validator(mode="after")
    def _low_to_high(self) -> Self:
        if self.target_low[0] > self.target_low[1]:
            raise ValueError(f"target_low is {list(self.target_low)}, allowed is [low, high] with low <= high")
        return self


class Figure(Section):
    """Curves and table."""

    bootstrap_samples: PositiveInt
    """Resamples of the confidence interval."""
    bootstrap_seed: NonNegativeInt
    """Seed of the resampling."""
    confidence: Fraction
    """Coverage of the interval."""


class Settings(Section):
    """The whole configuration."""

    seeds: Annotated[list[NonNegativeInt], Field(min_length=1)]
    """Seeds of every trained method."""
    methods: Annotated[list[Name], Field(min_length=1)]
    """Methods drawn in the figure, keys of `evaluate.methods`."""
    encoder_seed: NonNegativeInt
    """Which of the seeds' pre-trained DT embeds sub-trajectories, for every seed of RA-DT."""
    experiments: Annotated[dict[Name, Experiment], Field(min_length=1)]
    """Benchmarks by name."""
    trajectories: Trajectories
    pretrain: Training
    embed: Embed
    index: Index
    train_retrieval: TrainRetrieval
    train_ad: TrainAd
    evaluate: Evaluate
    figure: Figure

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if unknown := [m for m in self.methods if m not in self.evaluate.methods]:
            raise ValueError(
                f"methods names {unknown}, allowed are the keys of evaluate.methods: {sorted(self.evaluate.methods)}"
            )
        lists = (("seeds", self.seeds), ("methods", self.methods), ("evaluate.splits", self.evaluate.splits))
        for name, values in lists:
            if len(set(values)) < len(values):
                raise ValueError(f"{name} is {values}, allowed is each of them once")
        chunks, keep = self.train_retrieval.retrieval.chunks, min(self.train_retrieval.retrieval.keep, self.evaluate.memory.keep)
        if chunks > keep:
            raise ValueError(f"train_retrieval.retrieval.chunks is {chunks}, allowed is at most what is kept ({keep})")
        if self.encoder_seed not in self.seeds:
            raise ValueError(f"encoder_seed is {self.encoder_seed}, allowed is one of seeds {self.seeds}")
        for name, experiment in self.experiments.items():
            self._check_fit(name, experiment)
        return self

    def _check_fit(self, name: str, experiment: Experiment) -> None:
        """Raise `ValueError` when the settings cannot be used in an experiment."""
        horizon, retrieval, model = experiment.horizon, self.train_retrieval.retrieval, self.train_retrieval.model
        if self.embed.chunk > horizon:
            raise ValueError(f"embed.chunk is {self.embed.chunk}, allowed is at most the horizon of {name!r} ({horizon})")
        every = self.embed.every
        if retrieval.scope == "segment" and (
            model.tokens != "step" or model.window < horizon or every is None or horizon % every or retrieval.query_dropout
        ):
            raise ValueError(
                f"train_retrieval.retrieval.scope is 'segment' with tokens {model.tokens!r}, window {model.window}, query_dropout"
                f" {retrieval.query_dropout} and embed.every {every}: allowed are tokens 'step', at least the horizon of {name!r}"
                f" ({horizon}), no query dropout and a divisor of the horizon"
            )

    def select(self, experiment: str, *sections: str) -> str:
        """JSON of one experiment's section and of the named ones, for the command line of a stage.

        Raises `RadtError` when the experiment is unknown.
        """
        if experiment not in self.experiments:
            raise RadtError(f"unknown experiment {experiment!r}: the configuration has {sorted(self.experiments)}")
        room = self.experiments[experiment]
        chosen = {"experiment": room.model_dump(mode="json")}
        chosen |= {name: getattr(self, name).model_dump(mode="json") for name in sections}
        return json.dumps(chosen, sort_keys=True)


def explain(error: ValidationError) -> str:
    """One sentence for the first problem of a validation: key, value, what is allowed."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"]) or "configuration"
    if problem["type"] == "extra_forbidden":
        return f"unknown configuration key {key!r}: remove it or correct its spelling (config/README.md lists all keys)"
    if problem["type"] == "missing":
        return f"configuration key {key!r} is missing: config/config.yaml shows its place"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"configuration key {key!r}: {message}" if problem["loc"] else f"configuration: {message}"
    return f"configuration key {key!r} has the value {problem['input']!r}: {message[0].lower()}{message[1:]}"


def parse(kind: type[SectionT], values: dict[str, Any] | str) -> SectionT:
    """Validate `values` (a mapping, or JSON text) as `kind`; raises `RadtError` with one sentence."""
    try:
        text = values if isinstance(values, str) else json.dumps(values, default=str)
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise RadtError(explain(error)) from None


def load(values: dict[str, Any]) -> Settings:
    """The settings of a merged Snakemake configuration."""
    return parse(Settings, values)


def schema() -> str:
    """JSON schema of the configuration, as kept in `config/schema.json`."""
    return json.dumps(Settings.model_json_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path("config/schema.json").write_text(schema())
