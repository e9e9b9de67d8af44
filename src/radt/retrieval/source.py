"""Inputs of an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from radt.data.trajectories import Described
from radt.errors import RadtError
from radt.settings.retrieval import Embed, Language


@dataclass(frozen=True)
class EncoderSource:
    """Settings and folders from which an encoder is made. Each encoder uses some of them."""

    suite: Described
    embed: Embed
    embed_language: Language | None
    dt: Path | None
    """Directory of the pre-trained DT."""
    device: str

    def weights(self) -> Path:
        """The directory of the DT; raises `RadtError` when it was not given."""
        if self.dt is None:
            raise RadtError("--encoder is missing: radt needs the directory of the DT that embeds")
        return self.dt

    def language(self) -> Language:
        """The section embed_language; raises `RadtError` where it was not given."""
        if self.embed_language is None:
            raise RadtError("the section embed_language is missing in --settings: radt_lm needs it")
        return self.embed_language
