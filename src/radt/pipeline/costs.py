"""What stages ask for by their settings: work, memory and disk, a function for each stage; `STAGES` is the table of them.

A job takes start + rate x work seconds. Only the start stands here: the rate comes from jobs that were measured
(`radt.pipeline.measured`), so the constants below matter only where settings differ from theirs. Work of networks is counted in
multiplications, so that one rate serves all sizes: in the recorded trainings on a core it is 1.1e-11 to 2.0e-11 s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from radt.settings.experiments import AnyExperiment
from radt.settings.models import Model, Optimization
from radt.settings.registry import METHODS, TRAINED
from radt.settings.sources import Expert, Search
from radt.settings.stages import Stages

ATTENTION, OTHER = 14, 5000
"""Cost per channel of a block, in weight multiplications: of attending to one token, and of norms, copies and the like. Fitted on
four trainings of docs/performance.md (width 64 and 512, one and four tokens a step)."""
CONTEXT = 0.5
"""Cost of a context step relative to a window step: contexts pass no block. Fitted on recorded trainings."""
CALL = 5e7
"""Fixed cost of calling a block for a batch of tasks, in multiplications (fitted on evaluations of 20 and 100 tasks)."""
GPU_CALL = 2.5e12
"""The same for a block in an update on a GPU: 35 ms in recorded trainings, if a GPU is 1000 times as fast as a core, the ratio of
their peaks. Not measured: no network was trained there that is large enough to tell."""
PLAIN_CALL = 100
"""Fixed cost of a batched environment step, in task steps (fitted on runs with 20 and 100 tasks)."""
CELL = 0.05
"""Cost of one replayed cell relative to one step of the source (fitted on rooms of 100 to 800 cells)."""
MAZE = 0.23
"""Share of the horizon that an episode of the source takes in a maze (results/recorded/mazerunner/trajectories/learning.csv)."""
ACTIVATIONS = 50
"""Numbers that a training keeps for a channel of a block: what a recorded pre-training held beside its data."""
LEARNED = 100_000
"""Steps of a history that is downloaded or imported, as the published ones have."""
REPLAYED = 3.0
"""Cost of a step of SAC or DQN relative to one of PPO (fitted on Pendulum and CartPole)."""
PLANNED = {"dmcontrol": 150.0, "procgen": 5.0}
"""Cost of an action of an expert that plans relative to a step of PPO, by suite (measured on cartpole, finger and 16 games)."""
FLOAT, PAGE, LINE = 4, 3e5, 40
"""Bytes of a number, of the figures and tables of an experiment, and of a row of an evaluation."""


class Sections(Stages):
    """All sections of a run."""

    experiment: AnyExperiment


@dataclass(frozen=True)
class Demand:
    """What a job asks for: work in a unit of its stage's own, and bytes that grow with the settings."""

    work: float
    memory: float = 0.0
    disk: float = PAGE


def tasks(s: Sections, splits: list[str]) -> int:
    """Tasks of some splits."""
    e = s.experiment
    sizes = {"train": e.num_tasks - e.num_held_out - e.num_validation, "validation": e.num_validation, "held_out": e.num_held_out}
    return sum(sizes[split] for split in splits)


def episodes(s: Sections) -> float:
    """Episodes of the learning histories of all tasks; others are as long as the learner's, or as the published ones."""
    t = s.trajectories
    if t.source == "generate" and t.generate:
        return tasks(s, ["train"]) * float(t.generate.histories * t.generate.episodes)
    return tasks(s, ["train"]) * learned(s) / s.experiment.horizon


def learned(s: Sections) -> float:
    """Steps of the learning histories of a task whose learner has a job of its own; others are as long as the published ones."""
    learner = s.trajectories.learner
    if isinstance(learner, Search | Expert):
        return learner.histories * learner.episodes * s.experiment.horizon
    return learner.steps if learner else LEARNED


def steps(s: Sections) -> float:
    """Steps of the learning histories of all tasks."""
    return episodes(s) * s.experiment.horizon * (MAZE if s.experiment.kind == "mazerunner" else 1.0)


def data(s: Sections) -> float:
    """Bytes of the learning histories: what was seen, action and reward of every step, and a table of episodes."""
    return steps(s) * (s.experiment.step_bytes + FLOAT) + episodes(s) * 16


def raw(s: Sections) -> float:
    """Bytes of the learning histories of a task as its environment shows it: with images where an encoder reads them later."""
    return data(s) / tasks(s, ["train"]) * s.experiment.raw.step_bytes / s.experiment.step_bytes


def keys(s: Sections) -> float:
    """Sub-trajectories: one for each `embed.chunk_length` steps, and at least one for each episode."""
    return max(steps(s) / s.embed.chunk_length, episodes(s))


def width(s: Sections, encoder: str) -> int:
    """Numbers of a vector of `dt` or `lm`: of BERT's base where it is not minilm."""
    language = 384 if s.embed_language.model == "minilm" else 768
    return language if encoder == "lm" else s.pretrain.model.width


def vectors(s: Sections, encoder: str) -> float:
    """Bytes of all keys, and of queries at every `embed.query_stride` steps of the horizon."""
    queries = episodes(s) * s.experiment.horizon / s.embed.query_stride if s.embed.query_stride else 0.0
    return (keys(s) + queries) * width(s, encoder) * FLOAT


def network(model: Model, length: float) -> float:
    """Multiplications for a step of a window of `length` steps: 12 weights for each two channels, attention, and all else."""
    tokens = 4 if model.tokens == "interleaved" else 1
    return tokens * model.layers * model.width * (12 * model.width + ATTENTION * tokens * length + OTHER)


def calls(device: str, blocks: int) -> float:
    """Multiplications that a GPU could do while it is told what to do; a core waits for nobody."""
    return GPU_CALL * blocks if device == "cuda" else 0.0


def trained(s: Sections, model: Model, how: Optimization, length: float, reach: float, mapped: float = 0.0) -> Demand:
    """Updates x batch x `length` steps, each of which attends to `reach` others. A GPU holds the activations itself."""
    kept = FLOAT * ACTIVATIONS * model.layers * model.width * how.batch_size * length if how.device == "cpu" else 0.0
    work = how.updates * (how.batch_size * length * network(model, reach) + calls(how.device, model.layers))
    return Demand(work, data(s) + mapped + kept, FLOAT * 12 * model.layers * model.width**2)


def trajectories(s: Sections, _: str) -> Demand:
    """Steps, and with Q-learning sweeps over the cells of the room after each episode."""
    e, g = s.experiment, s.trajectories.generate
    swept = CELL * g.sweeps * e.cells if g and s.trajectories.source == "generate" else 0.0
    return Demand(episodes(s) * (e.horizon + swept), data(s), data(s))


def features(s: Sections, encoder: str) -> Demand:
    """The work of the histories, of which nothing is kept but a sample of frames."""
    return Demand(trajectories(s, encoder).work, 3 * raw(s))


def rl(s: Sections, _: str) -> Demand:
    """Steps of one task; SAC and DQN update their networks at each, some experts plan."""
    costs = {"expert": PLANNED.get(s.experiment.suite, 1.0), "sac": REPLAYED, "dqn": REPLAYED}
    return Demand(learned(s) * costs.get(s.trajectories.source, 1.0), 3 * raw(s), raw(s))


def embed(s: Sections, encoder: str) -> Demand:
    """The DT reads each step, twice where episodes are longer than its window; the language model those before a key or query."""
    model, how, span = s.pretrain.model, s.embed, s.pretrain.model.span(s.experiment)
    if encoder == "lm":
        tokens = 4 if s.embed_language.tokens == "interleaved" else 1
        read = steps(s) * (1 + how.chunk_length / (how.query_stride or how.chunk_length))
        work = read * tokens * s.embed_language.layers * width(s, encoder) ** 2
    else:
        read = steps(s) * (2 if s.experiment.horizon > span else 1)
        work = read * (network(model, span) + calls(how.device, model.layers) / (how.batch_size * span))
    return Demand(work, data(s) + 2 * vectors(s, encoder), vectors(s, encoder) + 12 * keys(s))


def index(s: Sections, encoder: str) -> Demand:
    """Keys x numbers of a key. On disk all keys: how many near-duplicates there are is not known before."""
    numbers = keys(s) * width(s, encoder)
    return Demand(numbers, vectors(s, encoder), FLOAT * numbers)


def evaluate(s: Sections, model: str) -> Demand:
    """Episodes x horizon x (a call of each block + tasks x a step of the network)."""
    own = getattr(s, METHODS[model].stage).model
    count = tasks(s, list(s.evaluate.splits))
    acted = s.evaluate.episodes * s.experiment.horizon
    work = acted * (CALL * own.layers + count * network(own, own.span(s.experiment)))
    return Demand(work, (5 * FLOAT + s.experiment.step_bytes) * count * acted, LINE * count * s.evaluate.episodes)


def evaluate_reference(s: Sections, _: str) -> Demand:
    """Episodes x horizon x (a step of the batch + tasks)."""
    count = tasks(s, list(s.evaluate.splits))
    acted = s.evaluate.episodes * s.experiment.horizon
    memory = (5 * FLOAT + s.experiment.step_bytes) * count * acted
    return Demand(acted * (PLAIN_CALL + count), memory, LINE * count * s.evaluate.episodes)


def figure(s: Sections, _: str) -> Demand:
    """Resamples x tasks x episodes."""
    return Demand(s.figure.bootstrap_samples * tasks(s, list(s.evaluate.splits)) * s.evaluate.episodes)


@dataclass(frozen=True)
class Stage:
    """How to tell what a job of a stage takes."""

    start: float
    """Seconds until it works: Python and its packages, above all torch."""
    demand: Callable[[Sections, str], Demand]
    """Of sections, and of the model or, for embeddings, the encoder."""
    section: str = ""
    """The section that chooses its device; none where a stage runs on the CPU only."""
    rate: float | None = None
    """Seconds for a unit of work, where no job was ever measured."""


STAGES = {
    "trajectories": Stage(1.0, trajectories),
    "features": Stage(2.0, features, rate=3e-5),  # of one run in levels of Procgen's maze
    "rl": Stage(5.0, rl, rate=1.35e-3),  # three core-hours for 80 tasks of 100,000 steps (config/config.yaml)
    "embed": Stage(3.5, embed, "embed"),
    "index": Stage(2.2, index),
    **{method.stage: Stage(4.5, method.work, method.stage) for method in TRAINED.values() if method.work},
    "evaluate_retrieval": Stage(4.0, evaluate, "evaluate"),
    "evaluate_plain": Stage(3.0, evaluate, "evaluate"),
    "evaluate_reference": Stage(2.4, evaluate_reference),
    "figure": Stage(3.0, figure),
    "overview": Stage(10.0, lambda s, _: Demand(0.0), rate=0.0),
    "ablations": Stage(10.0, lambda s, _: Demand(0.0), rate=0.0),
}
"""By the folder of a job's log. Starts are what jobs of the smoke configuration take, which do next to nothing."""
