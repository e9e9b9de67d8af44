"""Learning histories as a data set of the Hugging Face Hub.

`python -m radt export results/darkroom/trajectories --hub user/name` writes it, `python -m radt download user/name` gets it.
"""

from __future__ import annotations

import re
import tempfile
from importlib.metadata import metadata
from pathlib import Path

from radt import artifacts
from radt.commands.export import described
from radt.data import repositories, trajectories
from radt.data.card import card
from radt.data.trajectories import MANIFEST
from radt.errors import RadtError
from radt.pipeline import provenance
from radt.settings.sources import LEARNERS

CARD, CURVE = "README.md", "learning.csv"
FILES = [MANIFEST, "tasks_*.safetensors", CURVE, CARD]
"""All files of a data set."""
MADE_HERE = ("generate", *LEARNERS)
"""Sources whose histories are made by radt."""
LICENSE = r"[a-z0-9][a-z0-9.-]*"
"""An identifier of the Hub, such as `mit` or `cc-by-4.0`."""


def push(directory: Path, repository: str, private: bool, license: str | None) -> str:
    """Write the learning histories of a directory to a data set of the Hub, with a card; returns its address.

    `license` is an identifier of the Hub; None: the license of radt, for histories that radt made. Histories in the repository
    are replaced; its other files stay. Raises `RadtError` when histories or record are missing or damaged, observations are
    features of an encoder of images, or the Hub cannot be reached or refuses.
    """
    repositories.check(repository)
    suite = described(directory)
    if suite.experiment.encoded:
        raise RadtError(
            f"{directory} holds frames as numbers of an encoder, which the data set would lack: make the histories of an"
            " experiment without `numbers_per_frame`"
        )
    place = directory / provenance.FILE
    if wrong := provenance.problems(place):
        raise RadtError(wrong[0])
    record, data = provenance.read(place), trajectories.read(directory, suite)
    made = {"commit": record.commit, "finished": record.finished[:10], "radt": record.radt}
    text = card(repository, _license(license, data.manifest["source"]["name"]), data, suite.experiment.title, made)
    with tempfile.TemporaryDirectory() as folder:
        for name in record.outputs:
            (Path(folder) / name).symlink_to((directory / name).resolve())
        artifacts.write_text(Path(folder) / CARD, text)
        return repositories.upload(Path(folder), repository, FILES, private, "dataset")


def download(repository: str, revision: str | None) -> Path:
    """A folder with the learning histories of a data set that `push` wrote, for `trajectories.import_folder`.

    It is in the cache of the Hub's client, for one commit: `revision`, a commit, tag or branch; None: the newest commit, or
    without a network the newest commit in the cache. Raises `RadtError` when the Hub cannot be reached or does not have the data
    set, or a file is damaged.
    """
    repositories.check(repository)
    folder = repositories.download(repository, revision, FILES, "dataset")
    if not (folder / MANIFEST).is_file():
        raise RadtError(f"{repository} has no {MANIFEST}: `python -m radt export` writes one")
    trajectories.read(folder, described(folder))
    return folder


def _license(license: str | None, source: str) -> str:
    """The license for the card; raises `RadtError` when it is unknown, or no identifier."""
    if license is None and source not in MADE_HERE:
        raise RadtError(f"the histories come from source {source!r}, whose license is not known: name it, as in --license mit")
    chosen = license or str(metadata("radt")["License-Expression"]).lower()
    if not re.fullmatch(LICENSE, chosen):
        raise RadtError(f"{chosen!r} is no license of the Hub: write one like mit or cc-by-4.0")
    return chosen
