"""RA-DT with vectors of the pre-trained DT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.methods import Method, Theme
from radt.settings.models import TrainRetrieval
from radt.settings.retrieval import Embed

if TYPE_CHECKING:
    from radt.evaluation.agents import Agent, QueryEncoder
    from radt.evaluation.memory import EmbedEpisodes
    from radt.evaluation.setup import Setup
    from radt.pipeline.costs import Demand, Sections
    from radt.training import job


class Selection(Section):
    """The part of the configuration that its training reads."""

    experiment: AnyExperiment
    embed: Embed
    train_retrieval: TrainRetrieval


def training(setup: job.Setup, selection: Selection) -> job.Learner:
    """See `radt.training.retrieval`."""
    from radt.encoders.dt import training_queries
    from radt.retrieval.source import EncoderSource
    from radt.training.retrieval import learner

    source = EncoderSource(setup.suite, selection.embed, None, setup.encoder, setup.device)
    return learner(setup, selection, *training_queries(source, setup.data.episodes))


def work(s: Sections, model: str) -> Demand:
    """Updates x batch x (steps of a window + `CONTEXT` x steps of its contexts, one for each query or one for the window)."""
    from radt.pipeline.costs import CONTEXT, trained, vectors
    from radt.settings.registry import METHODS

    chosen, span = s.train_retrieval, s.train_retrieval.model.span(s.experiment)
    contexts = span / s.embed.query_stride if chosen.retrieval.scope == "segment" and s.embed.query_stride else 1
    length = span + CONTEXT * contexts * 2 * s.embed.chunk_length * chosen.retrieval.k_context
    return trained(s, chosen.model, chosen.optimization, length, span, vectors(s, METHODS[model].encoder))


def agent(setup: Setup) -> Agent:
    """RA-DT with a memory of vectors of the DT."""
    from radt.encoders.dt import acting

    return retrieving(setup, *acting(setup.source(), setup.history))


def retrieving(setup: Setup, keys: EmbedEpisodes, query_encoder: QueryEncoder, origin: str) -> Agent:
    """RA-DT whose memory embeds episodes with `keys`; `origin` is the identity of the encoder."""
    from radt.evaluation.agents import RetrievalAgent
    from radt.evaluation.memory import OnlineMemory
    from radt.models import store

    embed, memory = setup.embedding(), setup.memory
    network, settings = store.read_radt(setup.weights(), setup.model, setup.suite, embed, origin)
    network.to(setup.device)
    chosen = settings.retrieval
    online = OnlineMemory(keys, setup.history, memory, embed.chunk_length, chosen.k_context, chosen.values)
    return RetrievalAgent(network, chosen.scope == "segment", query_encoder, online, memory.query_stride)


METHOD = Method(
    ("fixed", "from_memory"), "train_retrieval", folder="train/radt", encoder="dt", vectors=("pretrain", "embed"), work=work
)
THEME = Theme(0, "RA-DT", ("#004488", "#6699CC"), (), "osh")
