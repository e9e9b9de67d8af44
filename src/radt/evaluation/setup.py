"""Inputs of a method's `agent`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from radt.data.episodes import EpisodeBuffer
from radt.errors import RadtError
from radt.retrieval.source import EncoderSource
from radt.settings.evaluation import Memory
from radt.settings.retrieval import Embed, Language
from radt.suites.base import Suite, VectorEnv


@dataclass(frozen=True)
class Setup:
    """Settings and folders for an agent. Some methods need no weights, most need no encoder."""

    model: str
    """Name of the method in `radt.methods`."""
    suite: Suite
    env: VectorEnv | None
    """The environment in which the agent will act; None where it belongs to a user's code."""
    history: EpisodeBuffer
    """The episode buffer of the agent; empty at first."""
    seed: int
    device: str
    memory: Memory
    embed: Embed | None
    embed_language: Language | None
    folder: Path | None
    """Directory of the weights."""
    encoder: Path | None
    """Directory of the DT that is the encoder."""

    def weights(self) -> Path:
        """The directory of the weights; raises `RadtError` when it was not given."""
        if self.folder is None:
            raise RadtError(f"--model is missing: {self.model} needs the directory of its weights")
        return self.folder

    def embedding(self) -> Embed:
        """The section embed; raises `RadtError` when it was not given."""
        if self.embed is None:
            raise RadtError("the section embed is missing in --settings: RA-DT needs it")
        return self.embed

    def source(self) -> EncoderSource:
        """Inputs of the encoder of RA-DT; raises `RadtError` when the section embed was not given."""
        return EncoderSource(self.suite, self.embedding(), self.embed_language, self.encoder, self.device)
