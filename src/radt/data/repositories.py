"""Folders as repositories of models on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from radt.data import hub
from radt.errors import RadtError, said


def upload(folder: Path, repository: str, patterns: list[str], private: bool) -> str:
    """Write `folder` to a repository, `user/name`, in the place of its files that match `patterns`; returns its address.

    The repository is made where there is none. Raises `RadtError` when the Hub cannot be reached, or refuses, and when the
    repository should be private but is there and public.
    """
    hub.guard()
    api = HfApi()
    try:
        address = api.create_repo(repository, private=private, exist_ok=True)
        if private and not api.model_info(repository).private:
            raise RadtError(f"{repository} is there and public: make it private on the Hub, or choose another name")
        api.upload_folder(repo_id=repository, folder_path=folder, delete_patterns=patterns)
    except RadtError:
        raise
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
