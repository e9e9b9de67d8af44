"""Sources of learning histories."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from radt.settings.base import Fraction, NonNegativeFloat, NonNegativeInt, Place, PositiveFloat, PositiveInt, Section

if TYPE_CHECKING:
    import numpy as np

DATASET = r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*-v\d+$"
"""Name of a data set of Minari."""
ALGORITHMS = ("ppo", "sac", "dqn")
"""Sources that let Stable-Baselines3 learn."""
LEARNERS = (*ALGORITHMS, "search", "expert")
"""Sources that learn each training task in a job of its own."""


class Generate(Section):
    """Tabular Q-learning on all training tasks at once. Learners of Procgen's heist search instead: of these settings they
    have the seed, the counts, and the chance of a random action."""

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

    @model_validator(mode="after")
    def _learns(self) -> Self:
        if self.rollout >= self.steps:
            raise ValueError(f"rollout is {self.rollout}, allowed is less than steps ({self.steps}): nothing is learned before")
        return self


class Replay(Section):
    """A learner of Stable-Baselines3 with a replay buffer."""

    seed: NonNegativeInt
    """Seed; every task has its own stream."""
    steps: PositiveInt
    """Steps of the learning history of each task."""
    learning_rate: PositiveFloat
    """Step size of Adam."""
    width: PositiveInt
    """Units of each of two hidden layers."""
    batch_size: PositiveInt
    """Transitions of an update."""
    begin: NonNegativeInt
    """Steps with random actions before the first update."""
    train_every: PositiveInt
    """Steps between rounds of updates; a round has one update for each step."""
    discount: Fraction
    """Discount of the return."""

    @model_validator(mode="after")
    def _learns(self) -> Self:
        if self.begin >= self.steps:
            raise ValueError(f"begin is {self.begin}, allowed is less than steps ({self.steps}): nothing is learned before")
        return self


class Sac(Replay):
    """Soft actor-critic on one task after the other; for continuous actions."""


class Dqn(Replay):
    """Deep Q-learning on one task after the other; for one action dimension of codes."""

    target_every: PositiveInt
    """Steps between copies of the network to the target network."""
    explore: Fraction
    """Share of the steps over which the chance of a random action falls."""
    epsilon_last: Fraction
    """Chance of a random action after that."""


class Search(Section):
    """A learner that searches for a hidden goal and remembers where it reached it (robots)."""

    seed: NonNegativeInt
    """Seed; every history has its own stream."""
    histories: PositiveInt
    """Learning histories per task, each of a new learner."""
    episodes: PositiveInt
    """Episodes of a history."""
    patience: PositiveInt
    """Steps at one place, after which a learner that has not reached the goal tries another place."""
    noise: NonNegativeFloat
    """Standard deviation of the noise that is added to actions, which range from -1 to 1."""


class Expert(Section):
    """An expert with random actions, fewer in each episode: a history looks like learning (Zisman et al., arXiv 2312.12275)."""

    seed: NonNegativeInt
    """Seed; every history has its own stream."""
    histories: PositiveInt
    """Learning histories per task."""
    episodes: Annotated[int, Field(ge=2)]
    """Episodes of a history."""
    power: PositiveFloat
    """After a share x of the episodes, a share of (1 - x^power)^(1 / power) of the actions is random; it falls from 1 to 0."""
    random: Literal["mixed", "first"]
    """Which actions are random: `mixed` draws for each action, `first` takes those at the beginning of an episode."""

    def at_random(self, episode: int, time: float, random: np.random.Generator) -> bool:
        """Whether the action at `time`, a share of the horizon, is random. `mixed` draws a random number."""
        share = episode / (self.episodes - 1)
        return bool((time if self.random == "first" else random.random()) < (1.0 - share**self.power) ** (1.0 / self.power))


class Minari(Section):
    """Data sets of Minari that are on this machine."""

    datasets: Annotated[list[Annotated[str, Field(pattern=DATASET)]], Field(min_length=1)]
    """One data set for each training task, in task order; or one for all tasks, as `radt export` writes it."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.datasets)) < len(self.datasets):
            raise ValueError(f"datasets is {self.datasets}, allowed is each of them once")
        return self


class Download(Section):
    """The published data set. That of grid worlds and robots is on the Hugging Face Hub (`repository`, `revision`, `folder`),
    that of Procgen on the authors' web server (`url`, `folder`)."""

    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}$")]
    """Name of the data set repository on the Hub."""
    revision: str
    """Commit of the repository: 40 hex digits, so that the data cannot change unnoticed."""
    folder: Annotated[str, Field(min_length=1)]
    """Folder inside the repository, one for each room size or robot suite. Procgen: `procgen_2M` or `procgen_20M`."""
    checksums: Place | None
    """File with the expected sha256 of every downloaded file (`sha256sum` form). null takes those that the Hub states;
    for Procgen, those of the first download."""
    url: Annotated[str | None, Field(pattern=r"^https?://[A-Za-z0-9._:~%+/-]{1,200}$", exclude_if=lambda url: url is None)] = None
    """Procgen only: address of the folder on a web server that holds `folder`, for a mirror. null: the authors' server."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(f"revision is {self.revision!r}, allowed is a commit of 40 hex digits")
        if re.search(r"(^|/)\.{0,2}(/|$)|[\\\x00-\x1f]", self.folder):
            raise ValueError(f"folder is {self.folder!r}, allowed is a folder inside the repository, like 10x10")
        if self.url is not None and re.search(r"/\.{0,2}/", self.url.partition(":/")[2].rstrip("/") + "/"):
            raise ValueError(f"url is {self.url!r}, allowed is the address of a folder, without steps that are empty, . or ..")
        return self


class Features(Section):
    """The encoder of images, for experiments that have `numbers_per_frame`."""

    frames: PositiveInt
    """Number of different frames to learn from, equally many of each training task. They are read one task at a time."""


class Trajectories(Section):
    """Source of the learning histories. A stage receives only the settings of the chosen source."""

    source: Literal["generate", "ppo", "sac", "dqn", "search", "expert", "minari", "download", "import"]
    """`generate` is the suite's own learner, `search` one for robots, `expert` an expert for robots and Procgen. `ppo`, `sac` and
    `dqn` let Stable-Baselines3 learn each training task, `minari` reads data sets of Minari (all four: extra `rl`). `download`
    fetches the published ones, `import` converts a folder."""
    generate: Generate | None = None
    """Settings of `source: generate`."""
    ppo: Ppo | None = None
    """Settings of `source: ppo`."""
    sac: Sac | None = None
    """Settings of `source: sac`."""
    dqn: Dqn | None = None
    """Settings of `source: dqn`."""
    search: Search | None = None
    """Settings of `source: search`."""
    expert: Expert | None = None
    """Settings of `source: expert`."""
    minari: Minari | None = None
    """Settings of `source: minari`."""
    download: Download | None = None
    """Settings of `source: download`."""
    import_folder: Place | None = None
    """Folder for `source: import`: published files, `task0.npz` and so on, or learning histories of radt (docs/formats.md)."""

    @property
    def learner(self) -> Ppo | Sac | Dqn | Search | Expert | None:
        """Settings of a source that learns each task in its own job; None for other sources."""
        own = {"ppo": self.ppo, "sac": self.sac, "dqn": self.dqn, "search": self.search, "expert": self.expert}
        return own.get(self.source)

    @staticmethod
    def key_of(source: str) -> str:
        """The key that holds the settings of a source."""
        return "import_folder" if source == "import" else source

    @model_validator(mode="after")
    def _chosen(self) -> Self:
        if self.source == "import" and not self.import_folder:
            raise ValueError("import_folder is null, but source is 'import': name the folder that holds the files")
        if getattr(self, key := self.key_of(self.source)) is None:
            raise ValueError(f"{key} is missing, but source is {self.source!r}: give its settings")
        return self
