"""Files that are complete or absent: written beside their place, flushed, then renamed. No pickle.

Input is not trusted: it may be a folder, a pipe, a damaged or a forged file. Every reader here returns a valid value or raises
`RadtError`, and takes no more memory than the size of the file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import mmap as mapping
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite, prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from radt.errors import RadtError

Array = NDArray[Any]
HEADER = 8  # a safetensors file begins with the length of its JSON header, as 8 bytes
DTYPES = {"BOOL": "b1", "U8": "u1", "I8": "i1", "U16": "u2", "I16": "i2", "U32": "u4", "I32": "i4", "U64": "u8", "I64": "i8"}
DTYPES |= {"F16": "f2", "F32": "f4", "F64": "f8"}
CODES = {dtype: code for code, dtype in DTYPES.items()}
JSON_BYTES, JSON_DEPTH, DIMENSIONS = 2**26, 64, 8
"""Limits of JSON size and depth, and of dimensions of arrays, far above those of files that radt writes."""
UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY}
"""Errors of file systems that cannot flush."""
UNSUPPORTED_OF_FOLDERS = UNSUPPORTED | {errno.EACCES, errno.EPERM, errno.EBADF, errno.EISDIR}
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


class MissingError(RadtError):
    """A missing file."""


def write_bytes(path: Path, *content: bytes | memoryview, durable: bool = True) -> None:
    """Write `content` to `path` atomically: after a crash or on a full disk the old file is unchanged.

    An `OSError` names `path`. A link at `path` is replaced, not followed. Not `durable`: a power cut may lose the file.
    """
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if partial.is_symlink():
            partial.unlink()
        with partial.open("wb") as file:
            for part in content:
                file.write(part)
            file.flush()
            if durable:
                _flush(file.fileno(), UNSUPPORTED)
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None
        raise
    if durable:
        flush_directory(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of JSON with sorted keys, the same bytes for the same value."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_checked_json(path: Path, values: dict[str, Any]) -> None:
    """`write_json` of `values` and their `checksum`."""
    write_json(path, {**values, "checksum": checksum(values)})


def write_tensors(path: Path, tensors: dict[str, Array], metadata: dict[str, str] | None = None) -> None:
    """`write_bytes` of a safetensors file."""
    write_bytes(path, *tensor_parts(tensors, metadata))


def tensor_parts(tensors: dict[str, Array], metadata: dict[str, str] | None = None) -> list[bytes | memoryview]:
    """The safetensors file of `tensors` in pieces, without copies of the arrays; the same input makes the same bytes.

    The safetensors package is not used, because it orders metadata entries at random. The widest dtypes come first, so that all
    arrays are aligned.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for name in order:
        array = tensors[name]
        header[name] = {
            "dtype": CODES[array.dtype.str[1:]],
            "shape": array.shape,
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % HEADER)
    header_parts = [len(text).to_bytes(HEADER, "little"), text]
    return [*header_parts, *(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data for name in order)]


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file to read from. Folders, pipes and devices are refused at once, without waiting for content.

    Raises `MissingError`, and `RadtError` for anything but a readable file.
    """
    try:
        _check_kind(path, path.stat().st_mode)
        with open(path, "rb", opener=_without_waiting) as file:
            _check_kind(path, os.fstat(file.fileno()).st_mode)
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"{path} is missing: run the stage that writes it") from None
    except OSError as error:
        raise RadtError(f"{path} cannot be read ({error.strerror}): check its name, owner and mode") from None
    except ValueError:
        raise RadtError(f"{path} is no name of a file: correct it") from None


def is_there(path: Path) -> bool:
    """Whether a path exists; false also for an invalid path."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def read_json(path: Path) -> Any:
    """The value in a JSON file; raises `RadtError` when the file is missing or damaged."""
    with opened(path) as file:
        content = file.read(JSON_BYTES + 1)
    try:
        return parse_json(content)
    except Exception:
        raise RadtError(f"{path} is damaged (no valid JSON): delete it and run the stage that writes it again") from None


def read_checked_json(path: Path) -> dict[str, Any]:
    """The values that `write_checked_json` wrote; raises `RadtError` when the file is missing or was changed."""
    return without_checksum(path, read_json(path))


def without_checksum(path: Path, values: Any) -> dict[str, Any]:
    """The values of a checked JSON file, read from `path`; raises `RadtError` unless they match their checksum."""
    if not isinstance(values, dict) or values.pop("checksum", None) != checksum(values):
        raise RadtError(f"{path} is damaged (not what its checksum says): delete it and run the stage that writes it again")
    return values


def checksum(values: dict[str, Any]) -> str:
    """Hexadecimal sha256 of the JSON of values, with sorted keys, in UTF-8."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def parse_json(content: bytes) -> Any:
    """The value of JSON text without ambiguity: UTF-8, no duplicate keys, finite numbers.

    Raises `ValueError`, `RecursionError` or `MemoryError` for other text, and for text that is too long or too deeply nested.
    """
    if len(content) > JSON_BYTES:
        raise ValueError("too long")
    value = json.loads(content.decode(), object_pairs_hook=_without_duplicates)
    _check_value(value, 0)
    return value


def read_tensors(path: Path, mmap: bool = True) -> dict[str, Array]:
    """The arrays of a safetensors file: read-only views of the memory-mapped file, or copies without `mmap`.

    Raises `RadtError` when the file is missing, or its header does not fit its data.
    """
    with opened(path) as file:
        try:
            arrays = _views(np.memmap(file, mode="r", dtype=np.uint8))
        except Exception:
            raise RadtError(
                f"{path} is damaged (no valid safetensors): delete it and run the stage that writes it again"
            ) from None
    return arrays if mmap else {name: np.array(array) for name, array in arrays.items()}


def read_bytes(path: Path, most: int, remedy: str) -> bytes:
    """Content of a file of at most `most` bytes; raises `RadtError`, which ends with `remedy`, for anything else."""
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode) or state.st_size > most:
            raise RadtError(f"{path} is no file of at most {most} bytes: {remedy}")
        with path.open("rb") as file:
            return file.read(most)
    except (OSError, ValueError) as error:
        raise RadtError(f"{path} cannot be read ({getattr(error, 'strerror', error)}): {remedy}") from None


def check_finite(
    origin: Path | str, tensors: dict[str, Array], remedy: str = "delete it and run the stage that writes it again"
) -> None:
    """Raise `RadtError` when an array holds NaN or infinity; `origin` is the file that they come from or go to."""
    for name, array in tensors.items():
        with np.errstate(invalid="ignore"):
            ends = [array.min(), array.max()] if array.size and array.dtype.kind == "f" else []
        if not all(map(isfinite, ends)):
            raise RadtError(f"{origin} holds numbers that are not finite ({name}): {remedy}")


def read_at_random(array: Array) -> None:
    """Release the pages of the memory-mapped file of `array`, and switch read-ahead off for it.

    With read-ahead, windows of data larger than memory were 16 times slower (docs/performance.md). Other arrays are left alone.
    """
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mapping.mmap):
        owner.madvise(mapping.MADV_DONTNEED)
        owner.madvise(mapping.MADV_RANDOM)


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file; raises `MissingError`, and `RadtError` for a path that is no file."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def read_sums(path: Path, most: int, remedy: str) -> list[tuple[str, str]]:
    """sha256 and name of every line of a file that `sha256sum` wrote, of at most `most` bytes; raises `RadtError`."""
    try:
        lines = read_bytes(path, most, remedy).decode().splitlines()
    except UnicodeDecodeError:
        lines = ["?"]
    matches = [re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line) for line in lines if line.strip()]
    if not matches or not all(matches):
        raise RadtError(f"{path} is not a list of sha256 sums: every line must be 64 hex digits, two spaces and a file name")
    return [(match[1], match[2]) for match in matches if match]


def verify(path: Path, config: Path) -> dict[str, Any]:
    """The values of the checked JSON file `config`; raises `RadtError` unless `path` has their `sha256`."""
    values = read_checked_json(config)
    if sha256(path) != values.get("sha256"):
        raise RadtError(f"{path} is damaged: delete {config.parent} and run the stage that writes it again")
    return values


def flush_directory(directory: Path) -> None:
    """Make a rename inside `directory` survive a power cut, on file systems that can."""
    try:
        handle = os.open(directory, os.O_RDONLY)
    except PermissionError:
        return
    try:
        _flush(handle, UNSUPPORTED_OF_FOLDERS)
    finally:
        os.close(handle)


def _flush(handle: int, unsupported: set[int]) -> None:
    """Flush a file or folder to the disk, if its file system can."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in unsupported:
            raise


def _without_waiting(path: str, flags: int) -> int:
    """Open a file without waiting for the writer of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check_kind(path: Path, mode: int) -> None:
    """Raise `RadtError` unless `mode` is the mode of a file."""
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "a device")
        raise RadtError(f"{path} is {kind}, not a file: move it away and run the stage that writes it again")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raises `ValueError` for a duplicate key."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _check_value(value: Any, depth: int) -> None:
    """Raise `ValueError` for numbers that are not finite, invalid Unicode, and values that are too deeply nested."""
    if depth > JSON_DEPTH or (isinstance(value, float) and not isfinite(value)):
        raise ValueError(value)
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict | list):
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            _check_value(item, depth + 1)


def _views(content: NDArray[np.uint8]) -> dict[str, Array]:
    """Every array of a memory-mapped safetensors file; raises `ValueError` and the like when the header is wrong."""
    start = HEADER + int.from_bytes(content[:HEADER].tobytes(), "little")
    if not HEADER <= start <= min(len(content), JSON_BYTES):
        raise ValueError("header")
    header = parse_json(content[HEADER:start].tobytes())
    metadata = header.pop("__metadata__", {})
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("metadata")
    arrays, used = {}, start
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        array, last = _view(content, start, used, **entry)
        arrays[name], used = array, last
    if used != len(content):
        raise ValueError("size")
    return arrays


def _view(
    content: NDArray[np.uint8], start: int, used: int, dtype: str, shape: list[int], data_offsets: list[int]
) -> tuple[Array, int]:
    """One array and its end in bytes; raises `ValueError` and the like unless it begins at `used` and its size fits its shape."""
    kind, numbers = np.dtype("<" + DTYPES[dtype]), [*shape, *data_offsets]
    if not all(type(number) is int and 0 <= number < 2**60 for number in numbers) or len(shape) > DIMENSIONS:
        raise ValueError("numbers")
    first, last = (start + offset for offset in data_offsets)
    if first != used or last - first != prod(shape) * kind.itemsize or last > len(content):
        raise ValueError("size")
    if kind.kind == "b" and (content[first:last] > 1).any():
        raise ValueError("neither true nor false")
    return content[first:last].view(kind).reshape(shape), last
