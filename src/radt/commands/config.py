"""The settings of config/config.yaml, for commands that are no job of the workflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from radt.configuration import Settings, load, merge
from radt.errors import RadtError

CONFIG = Path("config/config.yaml")


def settings(*changes: Path) -> Settings:
    """The checked configuration, with what the files `changes` change, as Snakemake's `--configfile` does.

    Raises `RadtError` outside of the project's folder, and for a file that is missing or damaged.
    """
    if not CONFIG.exists():
        raise RadtError(f"{CONFIG} is not here: go to the folder of the project")
    values: dict[str, Any] = {}
    for path in (CONFIG, *changes):
        try:
            more = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise RadtError(f"{path} cannot be read as a configuration: {' '.join(str(error).split())}") from None
        if not isinstance(more, dict):
            raise RadtError(f"{path} holds no keys of a configuration: see config/README.md")
        values = merge(values, more)
    return load(values)
