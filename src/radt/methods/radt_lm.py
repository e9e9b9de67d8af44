"""RA-DT's domain-agnostic variant: retrieves from the vectors of a frozen language model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from radt.errors import RadtError
from radt.methods.radt import retrieving, work
from radt.settings.methods import Method, Theme

if TYPE_CHECKING:
    from radt.evaluation.agents import Agent
    from radt.evaluation.setup import Setup


def agent(setup: Setup) -> Agent:
    """RA-DT with a memory of vectors of the language model."""
    from radt.evaluation.agents import LanguageQueryEncoder
    from radt.models.language import LanguageEncoder
    from radt.retrieval import language_keys

    weights, chunk_length = setup.weights(), setup.embedding().chunk_length
    if setup.embed_language is None:
        raise RadtError("the section embed_language is missing in --settings: radt_lm needs it")
    language = LanguageEncoder(setup.embed_language, setup.suite.spec, chunk_length, setup.device)
    keys = partial(language_keys.embed_episodes, language)
    return retrieving(setup, weights, keys, LanguageQueryEncoder(language, setup.history, chunk_length), language.identity)


METHOD = Method(("fixed", "from_memory"), "train_retrieval", folder="train/radt_lm", encoder="lm", work=work)
THEME = Theme(1, "RA-DT LM", ("#117733", "#44AA99"), (3.2, 1.2), "^dH", ", domain-agnostic")
