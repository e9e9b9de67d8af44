"""Learning histories as a data set of Minari: `python -m radt export results/darkroom/trajectories --minari NAME`."""

from __future__ import annotations

import re
from pathlib import Path

from radt import artifacts, spaces
from radt.data import minari
from radt.data.trajectories import AGAIN, MANIFEST, ExperimentSpec
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
    """Write the learning histories of a directory as a data set of Minari; returns its folder.

    Raises `RadtError` for a name that Minari does not take, and for a directory without learning histories of this format.
    """
    if not re.fullmatch(DATASET, name) or len(name) > 200:
        raise RadtError(f"{name!r} is no name of a data set: write one like darkroom/learning-v0")
    return minari.export(directory, name, described(directory))


def described(directory: Path) -> ExperimentSpec:
    """The experiment of the learning histories in a directory; raises `RadtError` when there are none of this format."""
    path = directory / MANIFEST
    if not path.exists():
        planned = directory.name == "trajectories" and directory.parent.is_dir()
        remedy = f"let snakemake make it (snakemake -- {path})" if planned else "name one like results/darkroom/trajectories"
        raise RadtError(f"{directory} has no {MANIFEST}, so it holds no learning histories: {remedy}")
    manifest = artifacts.read_json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("room"), dict) or "spec" not in manifest:
        raise RadtError(f"{path} does not describe trajectories of format 4: {AGAIN}")
    experiment = parse(Described, with_new_names({"experiment": manifest["room"]})).experiment
    return ExperimentSpec(experiment, spaces.read(manifest["spec"], str(path), AGAIN))
