"""The environment of a task, and what an agent sees of it."""

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
        """The settings, with `environment`, a name, and what is `hidden`."""

    @property
    def spec(self) -> Spec:
        """What is seen, done and paid."""

    def environment(self, task: int) -> Env:
        """The environment of one task."""


@contextmanager
def sentences(name: str) -> Iterator[None]:
    """Turn whatever an environment of a user raises into a `RadtError`."""
    try:
        yield
    except RadtError:
        raise
    except Exception as error:  # it is somebody else's code
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}, line {last.lineno}"
        raise RadtError(f"the environment {name!r} fails ({said(error)}; {place}): mend it") from None


def make(experiment: GymnasiumExperiment, task: int) -> Env:
    """The environment of a task as it is, cut off after `horizon` steps; raises `RadtError` when Gymnasium cannot make it."""
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
    """What an agent sees of the observations of an environment."""

    name: str
    """Of the environment, for errors."""
    observation: Codes | Numbers | Image
    """The form of what is seen."""
    parts: tuple[str, ...]
    """Keys of a dictionary, in the order in which they are joined; none for other observations."""
    shown: NDArray[np.int64] | None
    """Places of the numbers that are seen; None: all."""

    def __call__(self, observation: Any) -> Array:
        """What is stored [*shape] of one observation."""
        one = {key: np.asarray(observation[key])[None] for key in self.parts} if self.parts else np.asarray(observation)[None]
        stored: Array = self.together(one)[0]
        return stored

    def together(self, observations: Any) -> Array:
        """What is stored [n, *shape] of n observations; raises `RadtError` when they are not what the space says."""
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
        """Whether codes [n, D] are larger than the space has."""
        return isinstance(self.observation, Codes) and bool((stored >= np.array(self.observation.sizes)).any())


def view_of(experiment: Any, space: spaces.Space[Any]) -> View:
    """What is seen of an observation space; raises `RadtError` for one that is not supported, or where all is hidden."""
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
    """Whether a space is of real numbers."""
    return isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.number) and space.dtype != np.uint8


def _view_of_dictionary(experiment: Any, space: spaces.Dict) -> View:
    """All numbers of a dictionary, part after part, without the keys that are hidden."""
    if unknown := [key for key in experiment.hidden if key not in space.spaces]:
        raise RadtError(f"hidden is {unknown[0]!r}, but {experiment.environment} shows {', '.join(space.spaces)}: name these")
    parts = tuple(key for key in space.spaces if key not in experiment.hidden)
    count = sum(int(np.prod(space.spaces[key].shape or (1,))) for key in parts)
    if not count:
        raise RadtError(f"`hidden` hides all that {experiment.environment} shows: leave something to see")
    return View(experiment.environment, Numbers(size=count), parts, None)


def _shown(experiment: Any, count: int) -> NDArray[np.int64] | None:
    """Places of the numbers that are seen, of `count`; None: all. Raises `RadtError` for a place that there is not."""
    if not experiment.hidden:
        return None
    if unknown := [place for place in experiment.hidden if not isinstance(place, int) or place >= count]:
        raise RadtError(f"hidden is {unknown[0]!r}, but {experiment.environment} shows numbers 0 to {count - 1}: name these")
    shown = np.array([place for place in range(count) if place not in experiment.hidden], np.int64)
    if not len(shown):
        raise RadtError(f"`hidden` hides all that {experiment.environment} shows: leave something to see")
    return shown


class Together(gymnasium.vector.VectorWrapper):
    """Environments of several tasks, whose errors are sentences."""

    def __init__(self, env: gymnasium.vector.VectorEnv[Any, Any, Any], name: str):
        super().__init__(env)
        self.name = name

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode of all."""
        with sentences(self.name):
            return self.env.reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Act in all; raises `RadtError` for a reward that is not finite."""
        with sentences(self.name):
            told = self.env.step(actions)
        if not np.isfinite(told[1]).all():
            raise RadtError(f"the environment {self.name!r} pays a reward that is not finite: mend it")
        return told
