"""The settings of config/config.yaml, for commands that are no job of the workflow."""

from __future__ import annotations

from pathlib import Path

from radt.configuration import DEFAULTS, Settings, defaults, read
from radt.errors import RadtError


def settings(*changes: Path) -> Settings:
    """The checked configuration, with what the files `changes` change, as Snakemake's `--configfile` does.

    Raises `RadtError` outside of the project's folder, and for a file that is missing or damaged.
    """
    if not DEFAULTS.exists():
        raise RadtError(f"{DEFAULTS} is not here: go to the folder of the project")
    return read([*defaults(), *changes])
