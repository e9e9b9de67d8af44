"""In-context evaluation: environment steps per second over all held-out tasks, against the published protocol.

The published code plays one task after the other, one step at a time, and reads the whole window, with its context, anew at each
step. The agents here do so with the same weights and give the same logits up to rounding: the same steps are compared. Each side
plays 4 episodes of a task, of which the first has an empty memory. As ours, the peer queries once in `query_stride` steps and
reads one context for each segment so far (published: a query at every step, one context); segments are read whole, so it also
reads up to `query_stride - 1` padded steps. Networks are those of config/config.yaml with random weights: their values cost no
time.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bench.harness import Measurement, alternate, darkroom, defaults
from radt import seeding
from radt.data.episodes import EpisodeBuffer
from radt.data.steps import Steps, concatenate
from radt.encoders.dt import DtQueryEncoder
from radt.evaluation.agents import AdAgent, Agent, RetrievalAgent
from radt.evaluation.memory import OnlineMemory
from radt.evaluation.rollout import in_context
from radt.models import store
from radt.models.decision_transformer import DecisionTransformer
from radt.models.retrieval_transformer import RetrievalTransformer
from radt.retrieval.chunks import embed_episodes, window_means
from radt.settings.configuration import Settings
from radt.suites import suite_of
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.splits import tasks_of

EPISODES = 4
"""400 steps of the published protocol take a second or two."""
TARGET = 20.0


class PublishedAd:
    """AD that reads the previous and the present episode anew at every step."""

    def __init__(self, model: DecisionTransformer, history: EpisodeBuffer):
        self.model, self.history = model, history

    def begin(self) -> None:
        """See `Agent`."""

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        steps = self.history.window(time, self.history.horizon)
        if self.history.episode:
            steps = concatenate([self.history.previous(self.history.horizon), steps], 1)
        logits: Tensor = self.model(steps)[0]
        return logits[:, -1]

    def finish(self) -> None:
        """See `Agent`."""


class PublishedRetrieval:
    """RA-DT that reads the present episode and its contexts anew at every step, and the encoder's window at every query.

    A segment is read whole: what follows the present step is not seen, the network being causal.
    """

    def __init__(self, model: RetrievalTransformer, encoder: DecisionTransformer, memory: OnlineMemory, query_stride: int):
        self.model, self.encoder, self.memory, self.query_stride = model, encoder, memory, query_stride
        self.history = memory.history
        self.contexts: list[Steps] = []

    def begin(self) -> None:
        """See `Agent`."""
        self.contexts = []

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        history = self.history
        if not self.memory.ready:
            first: Tensor = self.model(history.window(time, history.horizon), None)
            return first[:, -1]
        if time % self.query_stride == 0:
            outputs = self.encoder(history.window(time, history.horizon))[1]
            stop = torch.full((history.tasks, 1), time + 1)
            self.contexts.append(
                self.memory.context(window_means(outputs, torch.ones(outputs.shape[:2]), stop, self.memory.chunk_length)[:, 0])
            )
        steps = history.steps(history.episode, 0, len(self.contexts) * self.query_stride)
        logits: Tensor = self.model(steps, self.model.read(concatenate(self.contexts, 1)))
        return logits[:, time]

    def finish(self) -> None:
        """See `Agent`."""
        self.memory.add(self.history.episode - 1)


def agents(method: str, room: GridExperiment, settings: Settings, history: EpisodeBuffer, published: bool) -> Agent:
    """The agent of a method (`radt` or `ad`) with random weights, always the same, as ours or as `published`."""
    seeding.seed_torch(0, "benchmark of evaluation")
    if method == "ad":
        ad = store.ad(suite_of(room).spec, settings.train_ad).eval().requires_grad_(False)
        return PublishedAd(ad, history) if published else AdAgent(ad, settings.train_ad.model, history)
    encoder = store.dt(suite_of(room).spec, settings.pretrain).eval().requires_grad_(False)
    radt = store.radt(suite_of(room).spec, settings.train_retrieval, settings.embed).eval().requires_grad_(False)
    retrieval, chunk_length, ranking = settings.train_retrieval.retrieval, settings.embed.chunk_length, settings.evaluate.memory
    memory = OnlineMemory(partial(embed_episodes, encoder, chunk_length), history, ranking, chunk_length, retrieval.k_context)
    if published:
        return PublishedRetrieval(radt, encoder, memory, ranking.query_stride)
    queries = DtQueryEncoder(encoder, settings.pretrain.model, history, chunk_length)
    return RetrievalAgent(radt, retrieval.scope == "segment", queries, memory, ranking.query_stride)


def rate(method: str, published: bool) -> float:
    """Environment steps per second: all held-out tasks in one batch, or one task alone, as `published`."""
    settings, room = defaults(), darkroom()
    evaluate = settings.evaluate.model_copy(update={"episodes": EPISODES})
    tasks = tasks_of(room, "held_out")[: 1 if published else None]
    history = EpisodeBuffer(len(tasks), EPISODES, suite_of(room).spec)
    agent = agents(method, room, settings, history, published)
    start = clock.perf_counter()
    in_context(agent, history, suite_of(room), suite_of(room).make(tasks), evaluate.methods[method], evaluate, seed=0)
    return len(tasks) * EPISODES * room.horizon / (clock.perf_counter() - start)


def measure(runs: int) -> list[Measurement]:
    """See the module."""

    def of(method: str, published: bool) -> Callable[[], float]:
        return lambda: rate(method, published)

    peer = "published protocol: one task, one step at a time"
    return [
        alternate(f"in-context evaluation, {name}", "env steps/s", peer, TARGET, of(method, False), of(method, True), runs)
        for method, name in (("radt", "RA-DT"), ("ad", "AD"))
    ]
