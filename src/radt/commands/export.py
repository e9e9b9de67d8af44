"""Learning histories as a data set of Minari: `python -m radt export results/darkroom/trajectories --minari NAME`."""

from __future__ import annotations

import re
from pathlib import Path

from radt import artifacts, spaces
from radt.data import minari
from radt.data.trajectories import AGAIN, ExperimentSpec
from radt.errors import RadtError
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.renamed import with_new_names
from radt.settings.sources import DATASET


class Described(Section):
    """The experiment that a manifest describes."""

    experiment: AnyExperiment


def export(directory: Path, name: str) -> Path:
    """Write the learning histories of a directory as a data set; returns its folder.

    Raises `RadtError` for a name that Minari does not take, and for a directory without learning histories of this format.
    """
    if not re.fullmatch(DATASET, name) or len(name) > 200:
        raise RadtError(f"{name!r} is no name of a data set: write one like darkroom/learning-v0")
    path = directory / "manifest.json"
    if not path.exists():
        raise RadtError(
            f"{directory} has no manifest.json: name a folder of learning histories, like results/darkroom/trajectories"
        )
    manifest = artifacts.read_json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("room"), dict) or "spec" not in manifest:
        raise RadtError(f"{path} does not describe trajectories of format 4: {AGAIN}")
    experiment = parse(Described, with_new_names({"experiment": manifest["room"]})).experiment
    return minari.export(directory, name, ExperimentSpec(experiment, spaces.read(manifest["spec"], str(path), AGAIN)))
