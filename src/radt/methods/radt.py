"""RA-DT: retrieves from the vectors of the pre-trained DT."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from radt.errors import RadtError
from radt.settings.methods import Method, Theme

if TYPE_CHECKING:
    from pathlib import Path

    from radt.evaluation.agents import Agent, QueryEncoder
    from radt.evaluation.memory import EmbedEpisodes
    from radt.evaluation.setup import Setup
    from radt.pipeline.costs import Demand, Sections


def work(s: Sections, model: str) -> Demand:
    """Updates x batch x (steps of a window + `CONTEXT` x steps of its contexts, one for each query or one for all)."""
    from radt.pipeline.costs import CONTEXT, trained, vectors
    from radt.settings.registry import METHODS

    chosen, span = s.train_retrieval, s.train_retrieval.model.span(s.experiment)
    contexts = span / s.embed.query_stride if chosen.retrieval.scope == "segment" and s.embed.query_stride else 1
    length = span + CONTEXT * contexts * 2 * s.embed.chunk_length * chosen.retrieval.k_context
    return trained(s, chosen.model, chosen.optimization, length, span, vectors(s, METHODS[model].encoder))


def agent(setup: Setup) -> Agent:
    """RA-DT with a memory of vectors of the DT."""
    from radt.evaluation.agents import DtQueryEncoder
    from radt.models import store
    from radt.retrieval import chunks

    weights, embed = setup.weights(), setup.embedding()
    if setup.encoder is None:
        raise RadtError("--encoder is missing: RA-DT needs the directory of the DT that embedded its index")
    dt, training, origin = store.read_dt(setup.encoder, setup.suite, embed.aggregate)
    dt.to(setup.device)
    keys = partial(chunks.embed_episodes, dt, embed.chunk_length)
    return retrieving(setup, weights, keys, DtQueryEncoder(dt, training.model, setup.history, embed.chunk_length), origin)


def retrieving(setup: Setup, weights: Path, keys: EmbedEpisodes, query_encoder: QueryEncoder, origin: str) -> Agent:
    """RA-DT with `weights`, whose memory embeds episodes with `keys`; `origin` is the identity of the encoder."""
    from radt.evaluation.agents import RetrievalAgent
    from radt.evaluation.memory import OnlineMemory
    from radt.models import store

    embed, memory = setup.embedding(), setup.memory
    network, training = store.read_radt(weights, setup.model, setup.suite, embed, origin)
    network.to(setup.device)
    online = OnlineMemory(keys, setup.history, memory, embed.chunk_length, training.retrieval.k_context)
    return RetrievalAgent(network, training.retrieval.scope == "segment", query_encoder, online, memory.query_stride)


METHOD = Method(("fixed", "from_memory"), "train_retrieval", folder="train/radt", encoder="dt", work=work)
THEME = Theme(0, "RA-DT", ("#004488", "#6699CC"), (), "osh")
