"""A frozen language model as encoder: a vector is the mean of its outputs at the states of a sub-trajectory."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from radt.data.episodes import EpisodeBuffer
from radt.data.windows import Episodes
from radt.evaluation.agents import QueryEncoder
from radt.evaluation.memory import EmbedEpisodes
from radt.models.language import LanguageEncoder
from radt.retrieval.context import EncodeQueries
from radt.retrieval.language_keys import embed_episodes, embed_language, encode_queries, windows_before
from radt.retrieval.source import EncoderSource


def vectors(source: EncoderSource, episodes: Episodes) -> tuple[dict[str, Tensor], str]:
    """See `radt.retrieval.language_keys.embed_language`."""
    encoder = _encoder(source)
    return embed_language(encoder, episodes, source.embed, source.suite.spec.horizon), encoder.identity


def training_queries(source: EncoderSource, episodes: Episodes) -> tuple[EncodeQueries, str]:
    """See `radt.retrieval.language_keys.encode_queries`."""
    encoder = _encoder(source)
    return partial(encode_queries, encoder, episodes, source.embed.chunk_length), encoder.identity


def acting(source: EncoderSource, history: EpisodeBuffer) -> tuple[EmbedEpisodes, QueryEncoder, str]:
    """See `radt.retrieval.language_keys.embed_episodes` and `LanguageQueryEncoder`."""
    encoder = _encoder(source)
    query_encoder = LanguageQueryEncoder(encoder, history, source.embed.chunk_length)
    return partial(embed_episodes, encoder), query_encoder, encoder.identity


def _encoder(source: EncoderSource) -> LanguageEncoder:
    return LanguageEncoder(source.language(), source.suite.spec, source.embed.chunk_length, source.device)


class LanguageQueryEncoder:
    """Queries of a language model: the vector of the last `chunk_length` steps before the present one."""

    def __init__(self, encoder: LanguageEncoder, history: EpisodeBuffer, chunk_length: int):
        self.encoder, self.history, self.chunk_length = encoder, history, chunk_length

    def begin(self) -> None:
        """See `QueryEncoder`."""

    def query(self, time: int) -> Tensor:
        """See `QueryEncoder`."""
        first = self.history.first(self.history.episode)
        length, end = torch.full_like(first, self.history.horizon), torch.full_like(first, time)
        return self.encoder.vectors(windows_before(self.history.columns, first, length, end, self.chunk_length))
