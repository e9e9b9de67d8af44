"""The command that makes results again, and the settings of the results that it would change."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radt.errors import RadtError
from radt.pipeline.config import settings
from radt.pipeline.provenance import differences
from radt.pipeline.runs import Runs
from radt.settings.configuration import DEFAULTS, defaults
from radt.settings.renamed import with_new_names

GONE, NEW = " -> unset", ": unset -> "
"""Marks in lines of `differences`: a key that only the results have, or only the configuration."""


@dataclass(frozen=True)
class Command:
    """The command for an experiment, and differences of its settings."""

    option: str
    """Snakemake's option with a trailing space; empty if the default configuration is enough."""
    found: bool
    """Whether a configuration has the experiment."""
    known: bool
    """Whether the settings that made the results were kept."""
    changes: list[str]
    """Settings of the results that have changed since: `train_ad.episode_gap: 3 -> 1`."""
    gone: int
    """Number of keys of these settings that this radt does not have; they are not compared."""


def configurations() -> dict[Path | None, Runs]:
    """The present configuration, alone and with each file of config/ that changes it; invalid files are left out."""
    found: dict[Path | None, Runs] = {None: Runs(settings())}
    for file in sorted(DEFAULTS.parent.glob("*.yaml")):
        if file not in defaults():
            with suppress(RadtError):
                found[file] = Runs(settings(file))
    return found


def command(name: str, told: dict[str, Any] | None, known: dict[Path | None, Runs]) -> Command:
    """The command for an experiment whose results were made with the settings `told`; None: they were not kept.

    It names the configuration with the fewest differences.
    """
    compared = {file: _differences(told or {}, now) for file, runs in known.items() if (now := _present(runs, name))}
    if not compared:
        return Command("--configfile FILE ", False, told is not None, [], 0)
    file = min(compared, key=lambda file: len(compared[file]))
    gone = [line for line in compared[file] if line.endswith(GONE)]
    changes = [line for line in compared[file] if line not in gone]
    return Command(f"--configfile {file} " if file else "", True, told is not None, changes, len(gone))


def _present(runs: Runs, name: str) -> dict[str, Any]:
    """The settings of an experiment; empty where there is none, or they do not fit together."""
    with suppress(RadtError):
        runs.settings.check(name)
        methods, seeds = sorted(runs.settings.methods_of(name)), sorted(runs.settings.seeds)
        return {**runs.sections(name), "methods": methods, "seeds": seeds}
    return {}


def _differences(told: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Changed settings and former keys; new keys are left out."""
    before = with_new_names(told)
    return [line for line in differences(before, {name: now.get(name) for name in before}) if NEW not in line]
