"""Untrusted `.npz` files, read without unpickling, and learning histories in them."""

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
SMALL, PACKED = 2**28, 100  # a file may ask for SMALL bytes of memory, or for PACKED times its own size
COLUMNS = ("observations", "actions", "rewards", "terminated", "truncated")
"""Required arrays of a file of learning histories."""
OPTIONAL = ("labels", "history")


def read(path: Path, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Array]:
    """The arrays `names` of a file, and those `optional` ones that it has; raises `RadtError` for any other file."""
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
    except Exception:  # zipfile, zlib, lzma and NumPy raise many kinds for damaged files
        raise RadtError(f"{path} is damaged (no valid .npz file): get it again") from None


def _check_form(path: Path) -> None:
    """Raise `RadtError` for common impostors of an .npz file: a folder, a pointer of Git LFS, a web page."""
    if path.exists() and not path.is_file():
        raise RadtError(f"{path} is no file: replace it by the published file")
    with path.open("rb") as file:
        begin = file.read(64)
    if begin.startswith(b"version https://git-lfs"):
        raise RadtError(f"{path} is a pointer of Git LFS, not the file itself: run `git lfs pull` in its folder, or get it again")
    if begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise RadtError(f"{path} is a web page, not the published file: get it again, logged in where that is needed")


def _check_headers(path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    """Names of the arrays to read; raises `RadtError` unless all headers describe plain arrays of a size that fits the file.

    The header of an array decides how much memory it takes, which may be a thousand times the size of the file.
    """
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        if missing := [key for key in required if f"{key}.npy" not in names]:
            raise RadtError(f"{path} has no array {missing[0]!r}: add it (docs/formats.md)")
        if len(set(names)) != len(names):
            raise RadtError(f"{path} has an array twice: get it again")
        present = [key for key in (*required, *optional) if f"{key}.npy" in names]
        asked = sum(_asked(path, file, key) for key in present)
    if asked > max(SMALL, PACKED * path.stat().st_size):
        raise RadtError(f"{path} asks for {asked} bytes of memory, far more than a file of its size holds: get it again")
    return present


def _asked(path: Path, file: zipfile.ZipFile, key: str) -> int:
    """Bytes of an array as float64, by its header; raises `RadtError` when the header does not fit the data."""
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
    """The file `task{task}.npz` of every training task in a folder, by task; raises `RadtError` when one is missing."""
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
    """One task's histories; steps after the last end of an episode are dropped.

    Raises `RadtError` when lengths, dtypes or shapes of arrays do not fit the spec, flags are not 0 or 1, an episode belongs to
    two histories, or no episode ends.
    """
    spec, steps = suite.spec, len(columns["rewards"]) if columns["rewards"].ndim else 0
    done = (len(spec.actions),)
    shapes = {"observations": spec.observation.shape, "actions": done, "labels": done}
    flat = {name: _shaped(values, name, steps, shapes.get(name, ()), origin) for name, values in columns.items()}
    types = {"observations": spec.dtypes["observations"], "actions": spec.dtypes["actions"], "labels": spec.dtypes["actions"]}
    for name in types.keys() & flat.keys():
        flat[name] = _as(flat[name], types[name], f"{origin} has {name}")
    flags = [_as(flat[name], "uint8", f"{origin} has values of `{name}`") for name in ("terminated", "truncated")]
    if max(flag.max() for flag in flags) > 1:
        raise RadtError(f"{origin} has values of `terminated` or `truncated` other than 0 and 1: mend them")
    ends = np.flatnonzero(flags[0] | flags[1]) + 1
    if not len(ends):
        raise RadtError(f"{origin} has no episode that ends: `terminated` or `truncated` must be true at the last step of each")
    count, last, starts = int(ends[-1]), ends - 1, np.concatenate([[0], ends]).astype(np.int64)
    history = _as(flat.get("history", np.zeros(steps)), "int32", f"{origin} has values of `history`")
    if (np.diff(history[:count]) != 0)[np.setdiff1d(np.arange(count - 1), last[:-1])].any():
        raise RadtError(f"{origin} has an episode of two histories: `history` changes within it")
    return Shard(
        flat["observations"][:count],
        flat["actions"][:count],
        flat["rewards"][:count].astype(np.float32),
        starts,
        np.full(len(ends), task, np.int32),
        history[last],
        flags[0][last],
        flat["labels"][:count] if "labels" in flat else None,
    )


def _shaped(values: Array, name: str, steps: int, inner: tuple[int, ...], origin: str) -> Array:
    """An array as [N, *inner]; axes of length 1 may be missing or added. Raises `RadtError` for another shape or dtype."""
    axes, wanted = ([size for size in shape if size != 1] for shape in (values.shape[1:], inner))
    if values.dtype.kind not in "biuf" or not steps or not values.ndim or len(values) != steps or axes != wanted:
        allowed, given = ", ".join(["N", *map(str, inner)]), f"{name} {values.dtype} {list(values.shape)}"
        raise RadtError(f"{origin} has {given}, allowed are numbers [{allowed}] for all of its {steps} rewards: mend it")
    return values.reshape(steps, *inner)


def _as(values: Array, dtype: str, what: str) -> Array:
    """Values cast to `dtype`; raises `RadtError` where an integer dtype cannot hold them."""
    with np.errstate(invalid="ignore"):
        cast: Array = values.astype(dtype)
    if dtype != "float32" and not np.array_equal(cast, values):
        raise RadtError(f"{what} that are not whole numbers that {dtype} holds: mend them")
    return cast
