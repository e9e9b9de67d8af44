"""What a film strip was drawn from: a record inside the PNG file, which copies of the file keep."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL.PngImagePlugin import PngImageFile

from radt import artifacts
from radt.errors import RadtError
from radt.pipeline import provenance
from radt.pipeline.provenance import FilePath, Sha256
from radt.settings.base import NonNegativeInt, Section
from radt.settings.parsing import parse

FILE, KEY = "film.png", "radt"
"""Name of the strip of an experiment, and of the text in it that holds the record."""
LARGEST = 2**20
"""Bytes of a strip."""


class Strip(Section):
    """Where a strip comes from."""

    weights: dict[FilePath, Sha256]
    """sha256 of the weights that acted, and of those that embedded, by where they are in the project."""
    method: str
    """Key of `evaluate.methods`."""
    task: NonNegativeInt
    settings: dict[str, Any]
    """The sections that the agent acts by."""
    command: str
    radt: str
    """Version."""


def read(path: Path, remedy: str) -> tuple[bytes, Strip | None]:
    """A strip, and its record; None in one that was drawn before there were records.

    Raises `RadtError`, which ends with `remedy`, for what is no such file.
    """
    content = artifacts.read_bytes(path, LARGEST, remedy)
    try:
        with PngImageFile(io.BytesIO(content)) as picture:
            text = picture.info.get(KEY)
            picture.verify()
        return content, None if text is None else parse(Strip, str(text))
    except (OSError, ValueError, SyntaxError, RadtError):
        raise RadtError(f"{path} is damaged (no film strip of radt): {remedy}") from None


def unlike(strip: Strip, root: Path) -> str | None:
    """Which weights a strip was drawn with that are not those of the results in `root`, results or results/recorded; None where
    all are. Those of a saved agent are of no results.
    """
    for name, known in strip.weights.items():
        if provenance.content_of(root / name.removeprefix("results/")) != known:
            return name
    return None
