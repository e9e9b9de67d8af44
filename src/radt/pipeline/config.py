"""The settings of config/config.yaml, for commands outside of the workflow."""

from __future__ import annotations

from pathlib import Path

import yaml

from radt.errors import RadtError
from radt.pipeline.runs import Runs
from radt.settings.configuration import DEFAULTS, Settings, defaults, read


def settings(*changes: Path) -> Settings:
    """The checked configuration, with what the files `changes` change, as Snakemake's `--configfile` does.

    Raises `RadtError` outside of the project's folder, and for a file that is missing or damaged.
    """
    if not DEFAULTS.exists():
        raise RadtError(f"{DEFAULTS} is not here: go to the folder of the project")
    return read([*defaults(), *changes])


def show(run: str, changes: list[Path]) -> str:
    """The settings that the stages of a run get, as YAML; raises `RadtError` when the run does not exist or they do not fit."""
    runs = Runs(settings(*changes))
    runs.settings.check(run)
    return str(yaml.safe_dump(runs.sections(run), sort_keys=False))
