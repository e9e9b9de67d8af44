"""Files that are whole or not there: written beside their place, flushed, then renamed. No pickle."""

from __future__ import annotations

import errno
import hashlib
import json
import mmap as mapping
import os
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.errors import RadtError

Array = NDArray[Any]
HEADER = 8  # a safetensors file begins with the length of its JSON header, as 8 bytes
DTYPES = {"BOOL": "b1", "U8": "u1", "I8": "i1", "U16": "u2", "I16": "i2", "U32": "u4", "I32": "i4", "U64": "u8", "I64": "i8"}
DTYPES |= {"F16": "f2", "F32": "f4", "F64": "f8"}
CODES = {dtype: code for code, dtype in DTYPES.items()}


def write_bytes(path: Path, *content: bytes | memoryview) -> None:
    """Put `content` at `path` at once: after a crash or a full disk the old file is there, unchanged, and no other."""
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as file:
            for part in content:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            error.filename = str(path)
        raise
    flush_directory(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of JSON with sorted keys, the same bytes for the same value."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def write_tensors(path: Path, tensors: dict[str, Array], metadata: dict[str, str] | None = None) -> None:
    """`write_bytes` of a safetensors file."""
    write_bytes(path, *tensor_parts(tensors, metadata))


def tensor_parts(tensors: dict[str, Array], metadata: dict[str, str] | None = None) -> list[bytes | memoryview]:
    """The safetensors file of `tensors` in pieces, of which only the header is new memory; the same input makes the same bytes.

    Ours, because the safetensors package orders several metadata entries at random. The widest types come first, so that
    all columns are aligned.
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


def read_json(path: Path) -> Any:
    """The value in a JSON file; raises `RadtError` when the file is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RadtError(f"{path} is missing: run the stage that writes it") from None
    except OSError as error:
        raise RadtError(f"{path} cannot be read ({error.strerror}): change its owner or mode") from None
    except (ValueError, UnicodeDecodeError):
        raise RadtError(f"{path} is damaged (no valid JSON): delete it and run the stage that writes it again") from None


def read_tensors(path: Path, mmap: bool = True) -> dict[str, Array]:
    """The arrays of a safetensors file, read-only views of the mapped file, or copies when not `mmap`.

    Raises `RadtError` when the file is missing, or when its header does not describe the rest of the file.
    """
    try:
        content = np.memmap(path, mode="r", dtype=np.uint8)
        arrays = _views(content)
    except FileNotFoundError:
        raise RadtError(f"{path} is missing: run the stage that writes it") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RadtError(f"{path} is damaged (no valid safetensors): delete it and run the stage that writes it again") from None
    return arrays if mmap else {name: np.array(array) for name, array in arrays.items()}


def read_at_random(array: Array) -> None:
    """Let go of the pages of a mapped file that `array` lies in, and from now on read only those asked for, none ahead.

    Reading ahead made windows of data larger than memory 16 times slower (docs/performance.md). Arrays that are not mapped stay
    as they are.
    """
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mapping.mmap):
        owner.madvise(mapping.MADV_DONTNEED)
        owner.madvise(mapping.MADV_RANDOM)


def _views(content: NDArray[np.uint8]) -> dict[str, Array]:
    """Every array of a mapped safetensors file; raises `ValueError` and the like when the header is wrong."""
    start = HEADER + int(np.frombuffer(content[:HEADER].tobytes(), "<u8")[0])
    header = json.loads(content[HEADER:start].tobytes())
    header.pop("__metadata__", None)
    arrays, used = {}, start
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = (start + offset for offset in entry["data_offsets"])
        dtype = np.dtype("<" + DTYPES[entry["dtype"]])
        if first != used or last - first != prod(entry["shape"]) * dtype.itemsize or last > len(content):
            raise ValueError(name)
        arrays[name] = content[first:last].view(dtype).reshape(entry["shape"])
        used = last
    if used != len(content):
        raise ValueError("size")
    return arrays


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, config: Path) -> None:
    """Raise `RadtError` unless `path` has the sha256 that stands in the JSON file `config`."""
    expected = read_json(config).get("sha256")
    if not path.exists() or sha256(path) != expected:
        raise RadtError(f"{path} is missing or damaged: delete {config.parent} and run the stage that writes it again")


def flush_directory(directory: Path) -> None:
    """Make a rename inside `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
