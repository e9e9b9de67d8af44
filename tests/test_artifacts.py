"""Atomic files and the safetensors reader and writer."""

import errno
import mmap
import os

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from radt import artifacts
from radt.errors import RadtError

TENSORS = {
    "small": np.arange(5, dtype=np.uint8),
    "wide": np.arange(6, dtype=np.float64).reshape(2, 3) / 7,
    "half": np.array([[1.5], [2.5]], np.float16),
    "flag": np.array([True, False, True]),
    "number": np.array(3, np.int64),
    "none": np.zeros((0, 2), np.float32),
    "crossed": np.arange(6, dtype=np.int32).reshape(2, 3).T,
}


def test_text_and_json(tmp_path):
    path = tmp_path / "new" / "folder" / "a.json"
    artifacts.write_json(path, {"b": 1, "a": [1.5, "ü"]})
    assert artifacts.read_json(path) == {"a": [1.5, "ü"], "b": 1}
    assert path.read_text(encoding="utf-8").index('"a"') < path.read_text(encoding="utf-8").index('"b"')
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
def test_damaged_json(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RadtError, match=r"a\.json is damaged"):
        artifacts.read_json(tmp_path / "a.json")


def test_full_disk_keeps_the_old_file(tmp_path):
    """The temporary name leads to /dev/full, where the kernel itself answers that no space is left."""
    path = tmp_path / "a.txt"
    artifacts.write_text(path, "old")
    (tmp_path / ".a.txt.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        artifacts.write_text(path, "new")
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(path)
    assert path.read_text(encoding="utf-8") == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "input/output error")])
def test_failure_before_the_rename_keeps_the_old_file(tmp_path, monkeypatch, error):
    def fail(handle: int) -> None:
        raise error

    path = tmp_path / "a.txt"
    artifacts.write_text(path, "old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        artifacts.write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old" and list(tmp_path.iterdir()) == [path]


def test_tensors_agree_with_the_safetensors_package(tmp_path):
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    artifacts.write_tensors(ours, TENSORS, {"key": "value", "another": "1"})
    save_file({name: array.copy(order="C") for name, array in TENSORS.items()}, theirs)
    with safe_open(ours, framework="np") as file:
        assert file.metadata() == {"key": "value", "another": "1"}
    for read in (load_file(ours), artifacts.read_tensors(ours), artifacts.read_tensors(theirs, mmap=False)):
        assert read.keys() == TENSORS.keys()
        for name, expected in TENSORS.items():
            assert read[name].dtype == expected.dtype and read[name].shape == expected.shape
            np.testing.assert_array_equal(read[name], expected)


def test_same_tensors_same_bytes():
    metadata = {f"key{number}": "value" for number in range(9)}
    reverse = dict(reversed(TENSORS.items()))
    assert len({b"".join(artifacts.tensor_parts(reverse, metadata)) for _ in range(5)}) == 1
    assert b"".join(artifacts.tensor_parts(TENSORS)) == b"".join(artifacts.tensor_parts(reverse))


def test_mapped_arrays_are_aligned_and_read_only(tmp_path):
    artifacts.write_tensors(tmp_path / "a.safetensors", TENSORS)
    for array in artifacts.read_tensors(tmp_path / "a.safetensors").values():
        assert (isinstance(array, np.memmap) or array.size == 0) and array.flags.aligned and not array.flags.writeable
    copies = artifacts.read_tensors(tmp_path / "a.safetensors", mmap=False)
    assert all(array.flags.writeable for array in copies.values())


def test_read_at_random_advises_the_mapping_of_the_array(tmp_path, monkeypatch):
    class Mapping(mmap.mmap):
        advice: list[int]

        def madvise(self, option: int) -> None:
            self.advice = [*getattr(self, "advice", []), option]
            super().madvise(option)

    artifacts.write_tensors(tmp_path / "a.safetensors", TENSORS)
    monkeypatch.setattr(mmap, "mmap", Mapping)  # which NumPy maps files with
    arrays = artifacts.read_tensors(tmp_path / "a.safetensors")
    artifacts.read_at_random(arrays["wide"][1:])
    owner = arrays["small"]
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert owner.advice == [mmap.MADV_DONTNEED, mmap.MADV_RANDOM]
    for name, expected in TENSORS.items():
        np.testing.assert_array_equal(arrays[name], expected)
    artifacts.read_at_random(expected)  # not mapped: nothing happens


def test_missing_tensors(tmp_path):
    with pytest.raises(RadtError, match=r"a\.safetensors is missing"):
        artifacts.read_tensors(tmp_path / "a.safetensors")


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    content = b"".join(artifacts.tensor_parts(TENSORS))
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        with pytest.raises(RadtError, match=r"a\.safetensors is damaged"):
            artifacts.read_tensors(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(RadtError, match="damaged"):
        artifacts.read_tensors(path)


def test_flipped_bits_of_a_header_never_crash(tmp_path):
    path, content = tmp_path / "a.safetensors", b"".join(artifacts.tensor_parts(TENSORS))
    length = 8 + int.from_bytes(content[:8], "little")
    for position in range(length):
        path.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        try:
            arrays = artifacts.read_tensors(path)
        except RadtError:
            continue
        assert len(arrays) == len(TENSORS)  # a name or a type of the same size may have changed: hashes notice that


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert artifacts.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
