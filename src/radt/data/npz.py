"""Files of arrays of other people (`.npz`), read without ever unpickling, and learning histories in them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.artifacts import sha256
from radt.data.trajectories import Described, Shard
from radt.errors import RadtError

Array = NDArray[Any]
SMALL, PACKED = 2**28, 100  # bytes of memory that any file may ask for, and how many times its own size a larger one may
COLUMNS = ("observations", "actions", "rewards", "terminated", "truncated")
"""Arrays of a file of learning histories; besides, `labels` and `history` may be there."""
OPTIONAL = ("labels", "history")


def read(path: Path, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Array]:
    """The arrays `names` of a file, and those of `optional` that are there; raises `RadtError` when it is no such file."""
    try:
        _check_form(path)
        present = _check_headers(path, names, optional)
        with np.load(path, allow_pickle=False) as file:
            return {key: np.asarray(file[key]) for key in present}
    except RadtError:
        raise
    except FileNotFoundError:
        raise RadtError(f"{path} is missing: add the files of all training tasks") from None
    except OSError as error:
        raise RadtError(f"{path} cannot be read ({error.strerror or error}): change its owner or mode, or get it again") from None
    except Exception:  # zipfile, zlib, lzma and NumPy have many ways to say that
        raise RadtError(f"{path} is damaged (no valid .npz file): get it again") from None


def _check_form(path: Path) -> None:
    """Raise `RadtError` for what is often found in the place of an .npz file."""
    if path.exists() and not path.is_file():
        raise RadtError(f"{path} is no file: replace it by the published file")
    with path.open("rb") as file:
        begin = file.read(64)
    if begin.startswith(b"version https://git-lfs"):
        raise RadtError(f"{path} is a pointer of Git LFS, not the file itself: run `git lfs pull` in its folder, or get it again")
    if begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise RadtError(f"{path} is a web page, not the published file: get it again, logged in where that is needed")


def _check_headers(path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    """The arrays that are there; raises `RadtError` unless the headers promise plain arrays of a size that fits the file.

    An array asks for as much memory as its header says, which may be a thousand times the size of the file.
    """
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        if missing := [key for key in required if f"{key}.npy" not in names]:
            raise RadtError(f"{path} has no array {missing[0]!r}: it is not a published trajectory file")
        if len(set(names)) != len(names):
            raise RadtError(f"{path} has an array twice: get it again")
        present = [key for key in (*required, *optional) if f"{key}.npy" in names]
        asked = sum(_asked(path, file, key) for key in present)
    if asked > max(SMALL, PACKED * path.stat().st_size):
        raise RadtError(f"{path} asks for {asked} bytes of memory, far more than a file of its size holds: get it again")
    return present


def _asked(path: Path, file: zipfile.ZipFile, key: str) -> int:
    """Bytes of an array as float64 by its header, which must be of the bytes that are there."""
    with zipfile.Path(file, f"{key}.npy").open("rb") as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
        if dtype.hasobject:
            raise RadtError(f"{path} holds pickled objects, which radt never loads: export its arrays as plain .npz")
        count, held = prod(shape), file.getinfo(f"{key}.npy").file_size - member.tell()
        if min(shape, default=0) < 0 or count * dtype.itemsize != held:
            raise RadtError(f"{path} has a header of {key} that does not fit what follows: get it again")
    return count * max(dtype.itemsize, 8)


def files_of(folder: Path, suite: Described) -> dict[int, Path]:
    """The file of every training task in a folder, `task0.npz` and so on; raises `RadtError` when one is missing."""
    if not folder.is_dir():
        raise RadtError(f"{folder} is not a folder: set trajectories.import_folder to the one that holds the .npz files")
    files = {task: folder / f"task{task}.npz" for task, split in enumerate(suite.experiment.splits) if split == "train"}
    if missing := [path.name for path in files.values() if not path.is_file()]:
        raise RadtError(
            f"{folder} lacks {len(missing)} of {len(files)} files, first {missing[0]!r}: add the files of all training tasks"
        )
    return files


def checksums(folder: Path, suite: Described) -> dict[str, str]:
    """sha256 of every training task's file in a folder, by name."""
    return {path.name: sha256(path) for path in files_of(folder, suite).values()}


def histories(folder: Path, suite: Described) -> Iterator[Shard]:
    """The learning histories of every training task in a folder, one task at a time (docs/formats.md)."""
    for task, path in files_of(folder, suite).items():
        yield shard_of(read(path, COLUMNS, OPTIONAL), task, suite, str(path))


def shard_of(columns: dict[str, Array], task: int, suite: Described, origin: str) -> Shard:
    """One task's histories; steps behind the last end of an episode are left out.

    Raises `RadtError` when arrays have other lengths, types or shapes than the spec, or no episode ends.
    """
    spec, steps = suite.spec, len(columns["rewards"]) if columns["rewards"].ndim else 0
    shapes = {"observations": spec.observation.shape, "actions": (len(spec.actions),), "labels": (len(spec.actions),)}
    flat: dict[str, Array] = {}
    for name, values in columns.items():
        inner = shapes.get(name, ())
        if values.dtype.kind not in "biuf" or not steps or values.size != steps * prod(inner) or len(values) != steps:
            wanted = ", ".join(["N", *map(str, inner)])
            given = f"{name} {values.dtype} {list(values.shape)}"
            raise RadtError(f"{origin} has {given}, allowed are numbers [{wanted}] for all of its {steps} rewards: mend it")
        flat[name] = values.reshape(steps, *inner)
    for name in ("observations", "actions", "labels"):
        if name in flat:
            flat[name] = _as(flat[name], spec.dtypes["actions" if name == "labels" else name], f"{origin} has {name}")
    ends = np.flatnonzero(flat["terminated"].astype(bool) | flat["truncated"].astype(bool)) + 1
    if not len(ends):
        raise RadtError(f"{origin} has no episode that ends: `terminated` or `truncated` must be true at the last step of each")
    count, last = int(ends[-1]), ends - 1
    history = flat.get("history", np.zeros(steps))[last].astype(np.int32)
    labels = flat["labels"][:count] if "labels" in flat else None
    return Shard(
        flat["observations"][:count],
        flat["actions"][:count],
        flat["rewards"][:count].astype(np.float32),
        np.concatenate([[0], ends]).astype(np.int64),
        np.full(len(ends), task, np.int32),
        history,
        flat["terminated"][last].astype(bool).astype(np.uint8),
        labels,
    )


def _as(values: Array, dtype: str, what: str) -> Array:
    """Values of the type of a spec; raises `RadtError` where it cannot hold them."""
    with np.errstate(invalid="ignore"):
        cast: Array = values.astype(dtype)
    if dtype != "float32" and not np.array_equal(cast, values):
        raise RadtError(f"{what} that are not whole numbers from 0 to 255: mend them")
    return cast
