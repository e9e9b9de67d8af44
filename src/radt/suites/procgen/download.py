"""The published histories of Procgen from a web server: for each game its table of levels, and the episodes that are trained on.

They are single files, `<game>/<number>.hdf5` and `<game>/episode_seeds.json`. Where the server does not have one, the archive
`<game>.tar.gz` is read, and these files are taken out of it. It is not known from here which of both the authors' server has.
"""

from __future__ import annotations

import shutil
import tarfile
import zlib
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

from tqdm import tqdm

from radt.data.webfolder import INSTEAD, AbsentError, Kind, WebFolder
from radt.errors import RadtError, said
from radt.settings.sources import Download
from radt.suites.procgen import published
from radt.suites.procgen.settings import ProcgenExperiment

ADDRESS = "https://ml.jku.at/research/RA-DT/downloads"
"""Folder of the authors' web server that holds `procgen_2M` and `procgen_20M`."""
UNPACKED = 2**37
"""Most bytes of all files of an archive."""


def _begins(content: bytes, path: Path) -> bool:
    """Whether a file begins with these bytes."""
    with path.open("rb") as file:
        return file.read(len(content)) == content


def _tells_levels(path: Path) -> bool:
    """Whether a file is a table of levels."""
    try:
        return bool(published.levels(path))
    except RadtError:
        return False


TABLE = Kind("a table with the level of each episode", 2**26, _tells_levels)
EPISODE = Kind("an HDF5 file", 2**30, partial(_begins, b"\x89HDF\r\n\x1a\n"))
ARCHIVE = Kind("an archive (tar.gz)", 2**36, partial(_begins, b"\x1f\x8b"))


def fetch(settings: Download, experiment: ProcgenExperiment) -> tuple[str, Path]:
    """Address and place of the folder with the verified files of all training tasks; missing ones are downloaded.

    Raises `RadtError` when the server cannot be reached, lacks a file, or answers with something else.
    """
    folder = WebFolder(settings, settings.url or ADDRESS)
    with folder.opened():
        for game, levels in published.trained(experiment).items():
            _get(folder, game, [published.SEEDS], TABLE)
            known = published.levels(folder.place / game / published.SEEDS)
            _get(folder, game, [f"{number}.hdf5" for level in levels for number in known.get(level, [])], EPISODE)
    return folder.url, folder.place


def _get(folder: WebFolder, game: str, names: list[str], kind: Kind) -> None:
    """Files of a game."""
    for name in tqdm(names, f"download {game}", unit="file", disable=None if len(names) > 1 else True):
        try:
            folder.get(f"{game}/{name}", kind)
        except AbsentError as absent:
            return _from_archive(folder, game, names, kind, absent)
    return None


def _from_archive(folder: WebFolder, game: str, names: list[str], kind: Kind, absent: AbsentError) -> None:
    """Files of a game that the server has in an archive only."""
    try:
        archive = folder.get(f"{game}.tar.gz", ARCHIVE)
    except AbsentError:
        remedy = "check trajectories.download.folder (procgen_2M, procgen_20M) and url"
        raise RadtError(f"{absent}, nor is {game}.tar.gz: {remedy}, {INSTEAD}") from None
    left = {name for name in names if not folder.has(f"{game}/{name}")}
    try:
        with tarfile.open(archive, "r|gz", encoding="utf-8") as opened:
            _unpack(folder, opened, archive, game, left, kind)
    except (tarfile.TarError, zlib.error, EOFError, ValueError, RecursionError) as error:
        raise RadtError(f"{archive} cannot be unpacked ({said(error)}): delete it and run again, {INSTEAD}") from None
    if left:
        raise RadtError(f"{archive} has no {game}/{min(left)}, nor has the server: check trajectories.download.folder, {INSTEAD}")


def _unpack(folder: WebFolder, opened: tarfile.TarFile, archive: Path, game: str, left: set[str], kind: Kind) -> None:
    """Take the files `left` out of an archive and remove them from the set; other files are passed over.

    Their names in the archive end in `<game>/<name>`. Only their content is used. Raises `RadtError` for links and devices, for
    names that lead outside, and for too much content.
    """
    total = 0
    for member in opened:
        steps = member.name.split("/")
        if not (member.isreg() or member.isdir()) or member.name.startswith("/") or ".." in steps:
            raise RadtError(f"{archive} holds {member.name!r}, a link, a device or a name that leads outside: {_DISTRUST}")
        total += member.size
        if total > UNPACKED or (steps[-1] in left and member.size > kind.most):
            raise RadtError(f"{archive} holds more than is allowed ({member.name!r}, {member.size} bytes): {_DISTRUST}")
        content = opened.extractfile(member) if steps[-2:] == [game, steps[-1]] and steps[-1] in left else None
        if content is not None:
            folder.put(f"{game}/{steps[-1]}", kind, f"{steps[-1]} in {archive}", partial(_copy, content))
            left.remove(steps[-1])
        if not left:
            break


_DISTRUST = f"delete it and check trajectories.download.url, {INSTEAD}"


def _copy(content: IO[bytes], file: BinaryIO) -> None:
    """Copy the content of a file in an archive."""
    shutil.copyfileobj(content, file)
