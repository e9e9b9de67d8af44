"""Folders as repositories of models on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from radt.data import hub
from radt.errors import RadtError, said


def upload(folder: Path, repository: str, private: bool) -> str:
    """Make `folder` the content of a repository, `user/name`, which is made where there is none; returns its address.

    Raises `RadtError` when the Hub cannot be reached, or refuses.
    """
    hub.guard()
    api = HfApi()
    try:
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, delete_patterns="*")
    except Exception as error:  # of the Hub's client, of httpx2 and of the guard, which have no common class
        remedy = "check its name, the network, and that `hf auth login` was done with a token that may write"
        raise RadtError(f"{repository} cannot be written on the Hub ({said(error)}): {remedy}") from None
    return str(address)


def download(repository: str, revision: str | None, patterns: list[str]) -> Path:
    """The folder, in the cache of the Hub's client, of the files of a repository that match `patterns`.

    Raises `RadtError` when there is no such repository, or the Hub cannot be reached.
    """
    hub.guard()
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except Exception as error:  # see above
        raise RadtError(
            f"{repository} is no folder here, and cannot be read from the Hub ({said(error)}): check its name and the network"
        ) from None
