"""Folders as repositories of the Hugging Face Hub: of models, or of data sets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from radt.errors import RadtError, said

NAME = r"[\w.-]+/[\w.-]+"
Kind = Literal["model", "dataset"]


def check(repository: str) -> None:
    """Raise `RadtError` for a text that is no name of a repository, `user/name`."""
    if not re.fullmatch(NAME, repository):
        raise RadtError(f"{repository!r} is no repository of the Hub: write one like user/radt-darkroom")


def upload(folder: Path, repository: str, patterns: list[str], private: bool, kind: Kind) -> str:
    """Write `folder` to a repository, `user/name`, in place of its files that match `patterns`; returns its address.

    A missing repository is made. Raises `RadtError` when the Hub cannot be reached, or refuses, and when `private` is true but
    the repository exists and is public.
    """
    from huggingface_hub import HfApi  # slow to import, and only needed here

    from radt.data import hub

    hub.guard()
    api = HfApi()
    try:
        address = api.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        if private and not api.repo_info(repository, repo_type=kind).private:
            raise RadtError(f"{repository} is there and public: make it private on the Hub, or choose another name")
        api.upload_folder(repo_id=repository, repo_type=kind, folder_path=folder, delete_patterns=patterns)
    except RadtError:
        raise
    except Exception as error:  # of the Hub's client, of httpx2 and of the guard, which have no common class
        remedy = "check its name, the network, and that `hf auth login` was done with a token that may write"
        raise RadtError(f"{repository} cannot be written on the Hub ({said(error)}): {remedy}") from None
    return str(address)


def download(repository: str, revision: str | None, patterns: list[str], kind: Kind) -> Path:
    """Folder, in the cache of the Hub's client, with the files of a repository that match `patterns`.

    Raises `RadtError` when the repository does not exist, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download  # slow to import, and only needed here

    from radt.data import hub

    hub.guard()
    try:
        return Path(snapshot_download(repository, repo_type=kind, revision=revision, allow_patterns=patterns))
    except Exception as error:  # see above
        what = "is no folder here, and cannot" if kind == "model" else "cannot"
        raise RadtError(f"{repository} {what} be read from the Hub ({said(error)}): check its name and the network") from None
