"""Sources of learning histories."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from radt.settings.base import Fraction, NonNegativeFloat, NonNegativeInt, Place, PositiveFloat, PositiveInt, Section


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
