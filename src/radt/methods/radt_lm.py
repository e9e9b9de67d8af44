"""The domain-agnostic variant of RA-DT, with vectors of a frozen language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.methods.radt import retrieving, work
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.methods import Method, Theme
from radt.settings.models import TrainRetrieval
from radt.settings.retrieval import Embed, Language

if TYPE_CHECKING:
    from radt.evaluation.agents import Agent
    from radt.evaluation.setup import Setup
    from radt.training import job


class Selection(Section):
    """The part of the configuration that its training reads."""

    experiment: AnyExperiment
    embed: Embed
    embed_language: Language
    train_retrieval: TrainRetrieval


def training(setup: job.Setup, selection: Selection) -> job.Learner:
    """See `radt.training.retrieval`."""
    from radt.encoders.lm import training_queries
    from radt.retrieval.source import EncoderSource
    from radt.training.retrieval import learner

    source = EncoderSource(setup.suite, selection.embed, selection.embed_language, None, setup.device)
    return learner(setup, selection, *training_queries(source, setup.data.episodes))


def agent(setup: Setup) -> Agent:
    """RA-DT with a memory of vectors of the language model."""
    from radt.encoders.lm import acting

    return retrieving(setup, *acting(setup.source(), setup.history))


METHOD = Method(
    ("fixed", "from_memory"),
    "train_retrieval",
    folder="train/radt_lm",
    encoder="lm",
    vectors=("embed", "embed_language"),
    work=work,
)
THEME = Theme(1, "RA-DT LM", ("#117733", "#44AA99"), (3.2, 1.2), "^dH", ", domain-agnostic")
