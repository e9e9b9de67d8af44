"""Costs of stages by their settings: work, memory and disk, one function per stage; `STAGES` is the table of them.

A job takes start + rate x work seconds. The rate comes from measured jobs (`radt.pipeline.measured`), so the constants below
matter only where settings differ from those of measured jobs. Work of networks is counted in multiplications, so that one rate
serves all sizes: 1.1e-11 to 2.0e-11 s in the recorded trainings on a core.
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
"""Cost per channel of a block, in weight multiplications: attention to one token; norms, copies and the like. Fitted on four
trainings of docs/performance.md (width 64 and 512, one and four tokens a step)."""
CONTEXT = 0.5
"""Cost of a context step relative to a window step: contexts pass no block. Fitted on recorded trainings."""
CALL = 5e7
"""Fixed cost of calling a block for a batch of tasks, in multiplications (fitted on evaluations of 20 and 100 tasks)."""
GPU_CALL = 2.5e12
"""Fixed cost of calling a block in an update on a GPU: 35 ms in recorded trainings, for a GPU 1000 times as fast as a core (the
ratio of their peaks). This ratio is not measured: no network large enough was trained there."""
PLAIN_CALL = 100
"""Fixed cost of a batched environment step, in task steps (fitted on runs with 20 and 100 tasks)."""
CELL = 0.05
"""Cost of one replayed cell relative to one step of the source (fitted on rooms of 100 to 800 cells)."""
MAZE = 0.23
"""Length of the source's episodes in a maze as a share of the horizon (results/recorded/mazerunner/trajectories/learning.csv)."""
ACTIVATIONS = 50
"""Numbers in memory for each channel of a block in training (from the memory of a recorded pre-training, without its data)."""
LEARNED = 100_000
"""Steps of a downloaded or imported history: those of the published ones."""
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
    """Cost of a job: work in the unit of its stage, and bytes that grow with the settings."""

    work: float
    memory: float = 0.0
    disk: float = PAGE


def tasks(s: Sections, splits: list[str]) -> int:
    """Number of tasks of some splits."""
    return sum(s.experiment.sizes.get(split, 0) for split in splits)


def episodes(s: Sections) -> float:
    """Number of episodes of the learning histories of all tasks; estimated for sources that are set in steps."""
    t = s.trajectories
    if t.source == "generate" and t.generate:
        return tasks(s, ["train"]) * float(t.generate.histories * t.generate.episodes)
    return tasks(s, ["train"]) * learned(s) / s.experiment.horizon


def learned(s: Sections) -> float:
    """Steps of the learning histories of a task, for sources with a job for each task; `LEARNED` for imported histories."""
    learner = s.trajectories.learner
    if isinstance(learner, Search | Expert):
        return learner.histories * learner.episodes * s.experiment.horizon
    return learner.steps if learner else LEARNED


def steps(s: Sections) -> float:
    """Steps of the learning histories of all tasks."""
    return episodes(s) * s.experiment.horizon * (MAZE if s.experiment.kind == "mazerunner" else 1.0)


def data(s: Sections) -> float:
    """Bytes of the learning histories: observation, action and reward of every step, and the table of episodes."""
    return steps(s) * (s.experiment.step_bytes + FLOAT) + episodes(s) * 16


def raw(s: Sections) -> float:
    """Bytes of the learning histories of a task as its environment shows it: with images where an encoder reads them later."""
    return data(s) / tasks(s, ["train"]) * s.experiment.raw.step_bytes / s.experiment.step_bytes


def keys(s: Sections) -> float:
    """Number of sub-trajectories: one for each `embed.chunk_length` steps, at least one for each episode."""
    return max(steps(s) / s.embed.chunk_length, episodes(s))


def width(s: Sections, encoder: str) -> int:
    """Length of a vector of `dt` or `lm`; language models other than minilm count as BERT base."""
    language = 384 if s.embed_language.model == "minilm" else 768
    return language if encoder == "lm" else s.pretrain.model.width


def vectors(s: Sections, encoder: str) -> float:
    """Bytes of all keys, and of queries at every `embed.query_stride` steps of the horizon."""
    queries = episodes(s) * s.experiment.horizon / s.embed.query_stride if s.embed.query_stride else 0.0
    return (keys(s) + queries) * width(s, encoder) * FLOAT


def network(model: Model, length: float) -> float:
    """Multiplications for a step that attends to `length` steps: 12 width^2 weights per block, attention, and other costs."""
    tokens = 4 if model.tokens == "interleaved" else 1
    return tokens * model.layers * model.width * (12 * model.width + ATTENTION * tokens * length + OTHER)


def calls(device: str, blocks: int) -> float:
    """Overhead of launching the blocks of an update on a GPU, in multiplications; 0 on a CPU."""
    return GPU_CALL * blocks if device == "cuda" else 0.0


def trained(s: Sections, model: Model, how: Optimization, length: float, reach: float, mapped: float = 0.0) -> Demand:
    """Updates x batch x `length` steps, each of which attends to `reach` steps. A GPU holds the activations in its own memory."""
    kept = FLOAT * ACTIVATIONS * model.layers * model.width * how.batch_size * length if how.device == "cpu" else 0.0
    work = how.updates * (how.batch_size * length * network(model, reach) + calls(how.device, model.layers))
    return Demand(work, data(s) + mapped + kept, FLOAT * 12 * model.layers * model.width**2)


def trajectories(s: Sections, _: str) -> Demand:
    """Steps; for Q-learning also sweeps over the cells after each episode."""
    e, g = s.experiment, s.trajectories.generate
    swept = CELL * g.sweeps * e.cells if g and s.trajectories.source == "generate" else 0.0
    return Demand(episodes(s) * (e.horizon + swept), data(s), data(s))


def features(s: Sections, encoder: str) -> Demand:
    """The work of making the histories; only a sample of frames is in memory."""
    return Demand(trajectories(s, encoder).work, 3 * raw(s))


def rl(s: Sections, _: str) -> Demand:
    """Steps of one task; SAC and DQN cost more because of their updates, some experts because they plan."""
    costs = {"expert": PLANNED.get(s.experiment.suite, 1.0), "sac": REPLAYED, "dqn": REPLAYED}
    return Demand(learned(s) * costs.get(s.trajectories.source, 1.0), 3 * raw(s), data(s) / tasks(s, ["train"]))


def embed(s: Sections, encoder: str) -> Demand:
    """The DT reads each step (twice if episodes are longer than its window), the language model the window of each vector."""
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
    """Keys x length of a key. Disk: all keys, since the number of near-duplicates is not known in advance."""
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
    """Cost model of a stage."""

    start: float
    """Seconds to start: Python and its packages, above all torch."""
    demand: Callable[[Sections, str], Demand]
    """Cost from all sections and the name of the model or, for embeddings, of the encoder."""
    section: str = ""
    """The section with its device; empty for stages that run on the CPU only."""
    rate: float | None = None
    """Seconds for a unit of work if no job was measured."""


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
"""By the folder of a job's log. Starts are times of jobs of the smoke configuration, which do little work."""
