"""The settings of config/config.yaml, for commands that are no job of the workflow."""

from __future__ import annotations

from pathlib import Path

import yaml

from radt.configuration import Settings, load
from radt.errors import RadtError

CONFIG = Path("config/config.yaml")


def settings() -> Settings:
    """The checked configuration; raises `RadtError` outside of the project's folder."""
    if not CONFIG.exists():
        raise RadtError(f"{CONFIG} is not here: go to the folder of the project")
    return load(yaml.safe_load(CONFIG.read_text()))
