"""The published data set from the Hugging Face Hub, at a pinned commit, every file checked by its sha256.

Files land in the Hub's own cache (`HF_HOME`), so a download that was cut off goes on with the file at which it stopped, and later
ones need no network once `trajectories.download.checksums` is given. `HF_ENDPOINT` names a mirror.
"""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, RepoFile, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils.tqdm import disable_progress_bars
from tqdm import tqdm

from radt.artifacts import sha256
from radt.data.published import file_names
from radt.errors import RadtError
from radt.settings import Download, Experiment

UNSET = "0" * 40  # the revision in config/config.yaml, to be replaced by a commit of the data set
INSTEAD = "or set trajectories.source to generate, which needs no network (source: generate)"


def fetch(settings: Download, experiment: Experiment) -> Path:
    """Folder with the published file of every training task, downloaded where missing and verified.

    Raises `RadtError` when the revision is the placeholder, the Hub cannot be reached or does not have a file, or a file's sha256
    is not the expected one; such a file is deleted, so that the next run gets it again.
    """
    if settings.revision == UNSET:
        raise RadtError(
            "trajectories.download.revision is not set: set it to a commit of"
            f" {settings.repository} (40 hex digits, see docs/formats.md), {INSTEAD}"
        )
    tasks = list(file_names(experiment).values())
    names = [f"{settings.folder}/{name}" for options in tasks for name in options]
    disable_progress_bars()
    try:
        expected = _from_file(Path(settings.checksums)) if settings.checksums else _from_hub(settings, names)
        known = [name for options in tasks for name in _known(settings, options, expected)]
        paths = [_file(settings, name, expected[name]) for name in tqdm(known, "download", unit="file", disable=None)]
    except (httpx2.TransportError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise RadtError(
            f"the Hugging Face Hub cannot be reached to get {settings.repository} ({_reason(error)}): connect and run"
            f" again, {INSTEAD}"
        ) from None
    except (HfHubHTTPError, EntryNotFoundError) as error:
        raise RadtError(
            f"the Hugging Face Hub refuses {settings.repository} at revision {settings.revision} ({_reason(error)}): check"
            f" trajectories.download, {INSTEAD}"
        ) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise RadtError(f"a file of {settings.repository} was cut off ({_reason(error)}): run again to go on with it") from None
    return paths[0].parent


def _reason(error: Exception) -> str:
    """First line of what the Hub's client says went wrong, which it may have wrapped."""
    return str(error.__cause__ or error).strip().partition("\n")[0]


def _known(settings: Download, options: tuple[str, ...], expected: dict[str, str]) -> list[str]:
    """Which of the names that a task's file may have the data set has."""
    known = [name for name in options if name in expected]
    if not known:
        origin = settings.checksums or f"{settings.repository} at revision {settings.revision}"
        wanted = " or ".join(repr(f"{settings.folder}/{name}") for name in options)
        raise RadtError(f"{origin} has no sha256 of {wanted}: check trajectories.download.folder and checksums")
    return known


def _file(settings: Download, plain: str, expected: str) -> Path:
    """One verified file of the data set, from the cache or the Hub."""
    name = f"{settings.folder}/{plain}"
    path = Path(hf_hub_download(settings.repository, name, repo_type="dataset", revision=settings.revision))
    found = sha256(path)
    if found != expected:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise RadtError(f"{name!r} of {settings.repository} has sha256 {found}, expected is {expected}: run again to get it anew")
    return path


def _from_hub(settings: Download, names: list[str]) -> dict[str, str]:
    """sha256 by file name, as the Hub states them for the pinned commit."""
    infos = HfApi().get_paths_info(settings.repository, names, revision=settings.revision, repo_type="dataset")
    return {Path(info.path).name: info.lfs.sha256 for info in infos if isinstance(info, RepoFile) and info.lfs}


def _from_file(path: Path) -> dict[str, str]:
    """sha256 by file name from a file in the form that `sha256sum` writes."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise RadtError(
            f"{path} cannot be read: set trajectories.download.checksums to a file made by sha256sum, or null"
        ) from None
    matches = [re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line) for line in lines if line.strip()]
    if not matches or not all(matches):
        raise RadtError(f"{path} is not a list of sha256 sums: every line must be 64 hex digits, two spaces and a file name")
    return {Path(match[2]).name: match[1] for match in matches if match}
