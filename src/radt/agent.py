"""Use a trained agent in an environment of your own code.

    agent = radt.load("results/darkroom/train/radt/seed42")
    env = gymnasium.make("radt/DarkRoom-v0", goal=(3, 7))
    for episode in range(10):
        observation, _ = env.reset()
        agent.begin()
        done = False
        while not done:
            action = agent.act(observation)
            observation, reward, terminated, truncated, _ = env.step(action)
            done = terminated or truncated
            agent.receive(reward, done)

The agent plays as in the evaluation of the pipeline: the same weights, settings and random numbers. Where environments draw their
initial state at random, `env.reset(seed=agent.reset_seed)` draws the state that the evaluation had. The agent remembers its
episodes until `forget`. Loading an agent of a grid world registers the grid worlds with Gymnasium.
"""

from __future__ import annotations

import csv
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radt import artifacts, devices
from radt.data import repositories
from radt.data.episodes import EpisodeBuffer
from radt.errors import RadtError, said
from radt.evaluation.agents import RetrievalAgent
from radt.evaluation.card import card, summary
from radt.evaluation.rollout import Player, environment_seed
from radt.evaluation.setup import Setup
from radt.models.store import WEIGHTS
from radt.pipeline import provenance
from radt.settings.parsing import parse
from radt.settings.registry import THEMES, module
from radt.stages.evaluate import Selection
from radt.suites import part as part_of
from radt.suites import seeing_suite_of
from radt.suites.base import VectorEnv

SETTINGS, MODEL, ENCODER, FEATURES = "agent.json", "model", "encoder", "features"
"""Parts of a saved agent: its settings, its weights, the weights of the DT that embeds for it, and the encoder of images."""
NETWORK = ("config.json", WEIGHTS)
"""The files of a network."""
CARD = "README.md"
FILES = [SETTINGS, CARD, f"{MODEL}/*", f"{ENCODER}/*", f"{FEATURES}/*"]
"""All files of a saved agent."""
FORMAT, LEAST_ROOM = 1, 100


@dataclass(frozen=True)
class Trained:
    """Where a trained agent comes from: settings, folders of weights, and results."""

    method: str
    """Key of `evaluate.methods`."""
    seed: int
    selection: Selection
    """The sections of the configuration that its evaluation needs."""
    results: dict[str, Any]
    """Mean returns in its evaluation, see `radt.evaluation.card.summary`."""
    model: Path
    encoder: Path | None
    features: Path | None
    hashes: tuple[str, ...]
    """sha256 of the weights of each of `folders`."""
    evaluation: Path | None = None
    """The table of its evaluation; None for a saved agent."""

    @property
    def folders(self) -> dict[str, Path]:
        """Folders with weights, by their names in a saved agent."""
        parts = {MODEL: self.model, ENCODER: self.encoder, FEATURES: self.features}
        return {name: folder for name, folder in parts.items() if folder}

    def check(self) -> None:
        """Raise `RadtError` when a file of weights has changed since the agent was loaded."""
        for folder, expected in zip(self.folders.values(), self.hashes, strict=True):
            if artifacts.sha256(folder / WEIGHTS) != expected:
                raise RadtError(f"{folder / WEIGHTS} has changed since the agent was loaded: load it again")


@dataclass(frozen=True)
class Retrieved:
    """A sub-trajectory of an earlier episode that the agent reads in the present step."""

    episode: int
    """Number of the episode, from 0."""
    first: int
    """Its first step in that episode."""
    end: int
    """The step after its last one."""
    similarity: float
    """Cosine of its key and the query."""
    score: float
    """Ranking score: the weighted sum of similarity, return and reward, each min-max normalised over the candidates."""
    episode_return: float
    """Return of the whole episode."""


class TrainedAgent:
    """A trained agent that learns in context: it acts better in later episodes, without weight updates.

    With several environments, all episodes begin together. Steps of an environment whose episode has ended are ignored until all
    episodes have ended.
    """

    def __init__(self, trained: Trained, environments: int, episodes: int | None, seed: int | None, device: str):
        """See `load`."""
        self.trained, self.environments = trained, environments
        self.episodes = max(LEAST_ROOM, trained.selection.evaluate.episodes) if episodes is None else episodes
        self.seed = trained.seed if seed is None else seed
        for name, value, least in (("environments", environments, 1), ("episodes", self.episodes, 1), ("seed", self.seed, 0)):
            if not isinstance(value, int | np.integer) or value < least:
                raise RadtError(f"{name} is {value!r}, allowed are whole numbers from {least} on")
        if device not in ("cpu", "cuda", "auto"):
            raise RadtError(f"device is {device!r}, allowed are cpu, cuda and auto")
        self.device = devices.choose(device)
        self.suite = seeing_suite_of(trained.selection.experiment, trained.features, trained.model)
        part_of(trained.selection.experiment, "registered")
        self.forget()

    def forget(self) -> None:
        """Empty the memory, before another task; raises `RadtError` when the weights on disk have changed since `load`."""
        self.trained.check()
        trained, selection = self.trained, self.trained.selection
        protocol = selection.evaluate.methods[trained.method]
        self.history = EpisodeBuffer(self.environments, self.episodes, self.suite.spec)
        sections = selection.evaluate.memory, selection.embed, selection.embed_language
        folders = trained.model, trained.encoder
        setup = Setup(protocol.model, self.suite, None, self.history, self.seed, self.device, *sections, *folders)
        agent = module(protocol.model).agent(setup)
        self._player = Player(agent, self.history, protocol, selection.evaluate, self.seed)
        self._playing = self._acted = False

    @property
    def reset_seed(self) -> int:
        """The seed with which the evaluation resets its environments before the next episode."""
        goes_on = self._playing and self._player.time > 0  # begin() will cut it off
        return environment_seed(self.seed, self.history.episode + goes_on)

    def begin(self) -> None:
        """Start an episode in all environments. An unfinished episode is cut off.

        Raises `RadtError` when there is no room for another episode.
        """
        if self._playing:
            self._player.cut()
            self._playing = self._acted = False
        if self.history.episode == self.episodes:
            raise RadtError(f"the agent has room for {self.episodes} episodes: load it with more `episodes`, or call forget()")
        self._player.begin()
        self._playing, self._acted = True, False

    def act(self, observation: Any) -> Any:
        """The action for an observation, as the environment takes it; with several environments, arrays of both.

        Raises `RadtError` before `begin`, before `receive` of the last action, after the end of the episode, and for an
        observation that does not fit the environments of the training.
        """
        if not self._playing:
            most = f"an episode has at most {self.history.horizon} steps"
            raise RadtError(f"no episode goes on ({most}): call begin() when one starts, after env.reset()")
        if self._acted:
            raise RadtError("the last action brought nothing yet: call receive(reward, done) after env.step()")
        actions = self.suite.done(self._player.act(self._seen(observation)))
        self._acted = True
        if self.environments > 1:
            return actions
        return actions[0] if actions.ndim > 1 else actions[0].item()

    def receive(self, reward: ArrayLike, ended: ArrayLike) -> None:
        """Take in the reward of the last action, and whether the episode `ended` with it (terminated or truncated); with several
        environments, an array of each.

        Raises `RadtError` when there was no action, or when the reward of an unfinished episode is not finite.
        """
        if not self._acted:
            raise RadtError("there was no action that could bring anything: call act(observation) first")
        try:
            with np.errstate(over="ignore"):
                rewards, ends = np.asarray(reward, np.float32).reshape(-1), np.asarray(ended, np.bool_).reshape(-1)
        except (TypeError, ValueError):
            raise RadtError(f"the reward is {reward!r} and the end {ended!r}, allowed are a number and a truth value") from None
        if not len(rewards) == len(ends) == self.environments:
            raise RadtError(f"{len(rewards)} rewards and {len(ends)} ends are given, allowed are {self.environments} of both")
        rewards = np.where(self.history.running.numpy(), rewards, np.float32(0.0))
        if not np.isfinite(rewards).all():
            raise RadtError(f"the reward {rewards.tolist()} is not finite: mend the environment")
        self._playing = not self._player.receive(rewards, ends)
        self._acted = False

    def play(self, env: VectorEnv, look: Callable[[], None]) -> None:
        """Play an episode in an environment of `suite.make`, as the evaluation does. `look` is called in each step, after the
        action is chosen and before it is done.
        """
        observation, _ = env.reset(seed=self.reset_seed)
        self.begin()
        while self._playing:
            codes, self._acted = self._player.act(self.suite.seen(observation)), True
            look()
            observation, reward, terminated, truncated, _ = env.step(self.suite.done(codes))
            self.receive(reward, terminated | truncated)

    @property
    def retrieved(self) -> list[list[Retrieved]]:
        """Sub-trajectories that RA-DT reads in the present step, the best first, a list for each environment; empty lists for
        other methods, and while the memory is empty.
        """
        agent = self._player.agent
        if not isinstance(agent, RetrievalAgent) or (last := agent.memory.last) is None:
            return [[] for _ in range(self.environments)]
        columns = [column.tolist() for column in agent.memory.parts(last)]
        rows = (zip(*parts, strict=True) for parts in zip(*columns, strict=True))
        return [[Retrieved(*parts) for *parts, found in row if found] for row in rows]

    def save(self, folder: str | Path, name: str | None = None) -> None:
        """Write all that `load` needs to a new folder, and a model card, README.md, which calls the agent `name`.

        Raises `RadtError` when `folder` exists already or cannot be made.
        """
        trained, folder = self.trained, Path(folder)
        if artifacts.is_there(folder):
            raise RadtError(f"{folder} is there already: delete it, or save to another folder")
        trained.check()
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RadtError(f"{folder} cannot be made ({error.strerror}: {error.filename}): save to another folder") from None
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            new = Path(place) / folder.name
            for part, source in trained.folders.items():
                for file in NETWORK:
                    artifacts.write_bytes(new / part / file, (source / file).read_bytes())
            artifacts.write_text(new / CARD, self._card(name or str(folder)))
            known = {"method": trained.method, "seed": trained.seed, "results": trained.results}
            settings = trained.selection.model_dump(mode="json")
            artifacts.write_checked_json(new / SETTINGS, {"format": FORMAT, "settings": settings, **known})
            new.rename(folder)

    def push_to_hub(self, repository: str, private: bool = False) -> str:
        """Save the agent to a repository of the Hugging Face Hub, `user/name`, for `load`; returns its address.

        An agent in the repository is replaced; its other files stay. Raises `RadtError` when the Hub cannot be reached, or
        refuses, and when `private` is true but the repository exists and is public.
        """
        repositories.check(repository)
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder) / "agent", repository)
            return repositories.upload(Path(folder) / "agent", repository, FILES, private, "model")

    def _card(self, name: str) -> str:
        """The text of the model card."""
        trained, experiment = self.trained, self.trained.selection.experiment
        training = artifacts.read_checked_json(trained.model / NETWORK[0])["training"]
        splits, shown = experiment.splits, next(iter(trained.results))
        sections = {"experiment": experiment.model_dump(mode="json"), "training": training}
        model = THEMES[trained.selection.evaluate.methods[trained.method].model].name
        said_of = model, trained.method, trained.seed, experiment.title, trained.results, sections
        kept = trained.selection.evaluate.episodes
        return card(name, *said_of, splits.index(shown), kept, experiment.horizon)

    def _seen(self, observation: Any) -> NDArray[Any]:
        """Observations [environments, ...] in the form in which they are stored; raises `RadtError` when they do not fit."""
        try:
            if self.environments > 1:
                together = observation
            elif isinstance(observation, dict):
                together = {name: np.asarray(part)[None] for name, part in observation.items()}
            else:
                together = np.asarray(observation)[None]
            seen = self.suite.seen(together)
            if len(seen) != self.environments:
                raise RadtError(f"{len(seen)} observations are given, allowed are {self.environments}, one of each environment")
        except (RadtError, ValueError) as error:
            title = self.suite.experiment.title
            raise RadtError(f"the agent was trained for {title}, and the observation does not fit: {said(error)}") from None
        return seen


def load(
    source: str | Path,
    *,
    method: str | None = None,
    environments: int = 1,
    episodes: int | None = None,
    seed: int | None = None,
    device: str = "cpu",
    revision: str | None = None,
) -> TrainedAgent:
    """A trained agent with an empty memory.

    Args:
        source: folder of an evaluated network, such as `results/darkroom/train/radt/seed42`, or a folder that
            `TrainedAgent.save` wrote, or a repository of the Hugging Face Hub, `user/name`, that `push_to_hub` wrote.
        method: key of `evaluate.methods` where the network was evaluated in several ways, such as `radt_fixed`.
        environments: number of environments in which it acts at once.
        episodes: episodes that its memory holds; None: 100, or as many as the evaluation had.
        seed: seed of its actions and targets; None: the seed of its training, as in the evaluation.
        device: `cpu`, `cuda` or `auto`. Unlike a stage, the agent leaves the number of torch's threads alone, and shares a GPU.
        revision: commit, tag or branch of the repository; None: the newest commit, or without a network the newest commit in the
            cache.

    Raises:
        RadtError: the network does not exist, was not evaluated, or is damaged.
    """
    folder = Path(source)
    if revision and folder.exists():
        raise RadtError(f"revision is {revision!r}, but {folder} is a folder: leave one of both out")
    if (folder / SETTINGS).is_file():
        trained = _saved(folder, method)
    elif (folder / NETWORK[0]).is_file():
        trained = _evaluated(folder, method)
    elif not folder.exists() and re.fullmatch(repositories.NAME, str(source)):
        folder = repositories.download(str(source), revision, FILES, "model")
        if not (folder / SETTINGS).is_file():
            raise RadtError(f"{source} has no {SETTINGS}: push_to_hub writes one")
        trained = _saved(folder, method)
    else:
        what = "has no trained network" if folder.is_dir() else "is not there"
        raise RadtError(f"{folder} {what}: give a folder such as results/darkroom/train/radt/seed42")
    return TrainedAgent(trained, environments, episodes, seed, device)


def _hashes(*folders: Path | None) -> tuple[str, ...]:
    """sha256 of the weights in each folder that is not None."""
    return tuple(artifacts.sha256(folder / WEIGHTS) for folder in folders if folder)


def _saved(folder: Path, method: str | None) -> Trained:
    """Read a folder that `TrainedAgent.save` wrote."""
    path = folder / SETTINGS
    values = artifacts.read_checked_json(path)
    if values.get("format") != FORMAT:
        raise RadtError(f"{path} has format {values.get('format')}, this radt reads {FORMAT}: use the radt that wrote it")
    if method not in (None, values["method"]):
        raise RadtError(f"{folder} was saved to act as {values['method']}: leave method out, or load the network itself")
    encoder, features = (part if (part := folder / name).is_dir() else None for name in (ENCODER, FEATURES))
    known = values["method"], values["seed"], parse(Selection, values["settings"]), values["results"]
    return Trained(*known, folder / MODEL, encoder, features, _hashes(folder / MODEL, encoder, features))


def _evaluated(folder: Path, method: str | None) -> Trained:
    """Read a network among the results of the pipeline, with the settings in the record of its evaluation."""
    kind, own = artifacts.read_checked_json(folder / NETWORK[0]).get("kind"), Path(os.path.abspath(folder))  # noqa: PTH100 - links stay
    found, damaged = {}, None
    for run in own.parents[:3]:
        for path in sorted(run.glob(f"evaluate/*/{own.name}.{provenance.FILE}")):
            try:
                record = provenance.read(path)
            except RadtError as error:  # it may be of another method
                damaged = error
                continue
            root = path.parents[len(Path(record.place).parts) - 1]
            given = dict(zip(record.arguments[::2], record.arguments[1::2], strict=True))
            if "--model" in given and (root / given["--model"]).resolve() == own.resolve():
                found[given["--method"]] = root, record, given, path.with_name(f"{own.name}.csv")
    name = method or (kind if kind in found else next(iter(found), None))
    if name not in found and damaged:
        raise damaged
    if name not in found:
        known = f"it was evaluated as {', '.join(found)}" if found else "it was not evaluated, which says how it acts"
        raise RadtError(
            f"{folder} has no evaluation{f' {method!r}' if method else ''} ({known}): let snakemake make its evaluation"
        )
    root, record, given, table = found[name]
    weights = f"{given['--model']}/{WEIGHTS}"
    if record.inputs.get(weights) != artifacts.sha256(own / WEIGHTS):
        raise RadtError(f"{folder / WEIGHTS} is not the one that was evaluated: let snakemake make the evaluation again")
    if record.outputs.get(table.name) != artifacts.sha256(table):
        raise RadtError(f"{table} is not what the evaluation wrote: let snakemake make the evaluation again")
    results = summary(list(csv.DictReader(table.read_text(encoding="utf-8").splitlines())))
    encoder, features = (root / given[name] if name in given else None for name in ("--encoder", "--features"))
    selection = parse(Selection, record.settings)
    return Trained(name, int(given["--seed"]), selection, results, own, encoder, features, _hashes(own, encoder, features), table)
