"""The environment of a task, and an agent's view of it."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from radt.errors import RadtError, said
from radt.spaces import CODES, Codes, Image, Numbers, Spec
from radt.suites.gymnasium.settings import GymnasiumExperiment

Env = gymnasium.Env[Any, Any]
Array = NDArray[Any]


class Engine(Protocol):
    """A suite that gives the environment of each task."""

    @property
    def experiment(self) -> Any:
        """The settings, with a name `environment` and the parts that are `hidden`."""

    @property
    def spec(self) -> Spec:
        """Observations, actions and rewards."""

    def environment(self, task: int) -> Env:
        """The environment of one task."""


@contextmanager
def sentences(name: str) -> Iterator[None]:
    """Turn whatever an environment of a user raises into a `RadtError`."""
    try:
        yield
    except RadtError:
        raise
    except Exception as error:  # a user's environment may raise anything
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}, line {last.lineno}"
        raise RadtError(f"the environment {name!r} fails ({said(error)}; {place}): mend it") from None


def make(experiment: GymnasiumExperiment, task: int) -> Env:
    """The environment of a task, truncated after `horizon` steps; raises `RadtError` when Gymnasium cannot make it."""
    name, own = experiment.environment, experiment.parameters[task]
    try:
        if ":" in name:
            importlib.import_module(name.partition(":")[0])
        env = gymnasium.make(name, max_episode_steps=experiment.horizon, disable_env_checker=True, **own["arguments"])
    except ModuleNotFoundError as error:
        module = (error.name or name).partition(":")[0].partition(".")[0]
        remedy = "check its spelling, or install its package"
        raise RadtError(f"the environment {name!r} needs the module {module}, which is not there: {remedy}") from None
    except Exception as error:
        reason = said(error)
        raise RadtError(f"Gymnasium cannot make the environment {name!r} ({reason}): check its id and arguments") from None
    for path, value in own["attributes"].items():
        *owners, attribute = path.split(".")
        place: Any = env.unwrapped
        for owner in owners:
            place = getattr(place, owner, None)
        if not hasattr(place, attribute):
            raise RadtError(f"the environment {name!r} has no attribute {path!r}: correct `attributes` of the experiment")
        with sentences(name):
            setattr(place, attribute, value)
    return env


@dataclass(frozen=True)
class View:
    """An agent's view of the observations of an environment."""

    name: str
    """Name of the environment, for errors."""
    observation: Codes | Numbers | Image
    """Kind and size of the agent's observations."""
    parts: tuple[str, ...]
    """Keys of a dictionary, in the order of concatenation; empty for other observations."""
    shown: NDArray[np.int64] | None
    """Indices of the visible numbers; None: all."""

    def __call__(self, observation: Any) -> Array:
        """Stored form [*shape] of one observation."""
        one = {key: np.asarray(observation[key])[None] for key in self.parts} if self.parts else np.asarray(observation)[None]
        stored: Array = self.together(one)[0]
        return stored

    def together(self, observations: Any) -> Array:
        """Stored form [n, *shape] of n observations; raises `RadtError` when they do not fit the space."""
        numbers = isinstance(self.observation, Numbers)
        try:
            if self.parts:
                flat = np.concatenate([np.reshape(observations[key], (len(observations[key]), -1)) for key in self.parts], 1)
            else:
                whole = np.asarray(observations)
                flat = whole if isinstance(self.observation, Image) else whole.reshape(len(whole), -1)
            seen = flat if self.shown is None else flat[:, self.shown]
            if seen.shape[1:] != self.observation.shape:
                raise ValueError(f"{list(seen.shape[1:])} numbers instead of {list(self.observation.shape)}")
            stored: Array = seen.astype(np.float32 if numbers else np.uint8)
            if (isinstance(self.observation, Codes) and not (stored == seen).all()) or self._beyond(stored):
                raise ValueError("a code that it does not have")
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise RadtError(f"the environment {self.name!r} shows what is not in its space ({said(error)}): mend it") from None
        if numbers and not np.isfinite(stored).all():
            raise RadtError(f"the environment {self.name!r} shows a number that is not finite: mend it, or hide that number")
        return stored

    def _beyond(self, stored: Array) -> bool:
        """Whether codes [n, D] are outside of the space."""
        return isinstance(self.observation, Codes) and bool((stored >= np.array(self.observation.sizes)).any())


def view_of(experiment: Any, space: spaces.Space[Any]) -> View:
    """The view of an observation space; raises `RadtError` for an unsupported one, or if everything is hidden."""
    name = experiment.environment
    if isinstance(space, spaces.Dict) and all(_is_numbers(part) for part in space.spaces.values()):
        return _view_of_dictionary(experiment, space)
    if isinstance(space, spaces.Discrete) and space.start == 0 and space.n <= CODES:
        return View(name, Codes(sizes=(int(space.n),)), (), _shown(experiment, 1))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1 and not space.start.any() and space.nvec.max() <= CODES:
        shown = _shown(experiment, len(space.nvec))
        sizes = space.nvec if shown is None else space.nvec[shown]
        return View(name, Codes(sizes=tuple(sizes.tolist())), (), shown)
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3:
        if experiment.hidden:
            raise RadtError(f"{name} shows images, of which nothing can be hidden: remove `hidden`")
        return View(name, Image(height=space.shape[0], width=space.shape[1], channels=space.shape[2]), (), None)
    if _is_numbers(space):
        count = int(np.prod(space.shape or (1,)))
        shown = _shown(experiment, count)
        return View(name, Numbers(size=count if shown is None else len(shown)), (), shown)
    allowed = (
        f"Discrete and MultiDiscrete up to {CODES} from 0 on, Box of other types than uint8, Dict of Box alone, images of uint8"
    )
    raise RadtError(f"{name} shows {space}: allowed are {allowed}")


def _is_numbers(space: spaces.Space[Any]) -> bool:
    """Whether a space consists of real numbers."""
    return isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.number) and space.dtype != np.uint8


def _view_of_dictionary(experiment: Any, space: spaces.Dict) -> View:
    """The view of a dictionary: its numbers, concatenated, without hidden keys."""
    if unknown := [key for key in experiment.hidden if key not in space.spaces]:
        raise RadtError(f"hidden is {unknown[0]!r}, but {experiment.environment} shows {', '.join(space.spaces)}: name these")
    parts = tuple(key for key in space.spaces if key not in experiment.hidden)
    count = sum(int(np.prod(space.spaces[key].shape or (1,))) for key in parts)
    if not count:
        raise RadtError(f"`hidden` hides all that {experiment.environment} shows: leave something to see")
    return View(experiment.environment, Numbers(size=count), parts, None)


def _shown(experiment: Any, count: int) -> NDArray[np.int64] | None:
    """Indices of the visible numbers among `count`; None: all. Raises `RadtError` for an index out of range."""
    if not experiment.hidden:
        return None
    if unknown := [place for place in experiment.hidden if not isinstance(place, int) or place >= count]:
        raise RadtError(f"hidden is {unknown[0]!r}, but {experiment.environment} shows numbers 0 to {count - 1}: name these")
    shown = np.array([place for place in range(count) if place not in experiment.hidden], np.int64)
    if not len(shown):
        raise RadtError(f"`hidden` hides all that {experiment.environment} shows: leave something to see")
    return shown


class Together(gymnasium.vector.VectorWrapper):
    """A vector environment of several tasks whose errors become `RadtError`."""

    def __init__(self, env: gymnasium.vector.VectorEnv[Any, Any, Any], name: str):
        super().__init__(env)
        self.name = name

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode in all environments."""
        with sentences(self.name):
            return self.env.reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Act in all environments; raises `RadtError` for a reward that is not finite."""
        with sentences(self.name):
            told = self.env.step(actions)
        if not np.isfinite(told[1]).all():
            raise RadtError(f"the environment {self.name!r} pays a reward that is not finite: mend it")
        return told
