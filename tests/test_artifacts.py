"""Atomic files and the safetensors reader and writer."""

import errno
import mmap
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from radt import artifacts
from radt.errors import RadtError, printable

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


def test_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    """What is written goes to /dev/full, where the kernel itself answers that no space is left."""
    path = tmp_path / "a.txt"
    artifacts.write_text(path, "old")
    open_path = Path.open
    monkeypatch.setattr(Path, "open", lambda file, mode, **_: open_path(Path("/dev/full") if mode == "wb" else file, mode))
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


def test_a_link_in_the_place_of_a_partial_file_is_not_written_through(tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine", encoding="utf-8")
    (tmp_path / ".a.txt.partial").symlink_to(mine)
    artifacts.write_text(tmp_path / "a.txt", "new")
    assert mine.read_text(encoding="utf-8") == "mine" and not (tmp_path / "a.txt").is_symlink()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_file_systems_that_cannot_flush_are_no_error(tmp_path, monkeypatch, number):
    def fail(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    artifacts.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": NaN}',
        b"[Infinity]",
        b"[1e999]",
        b"-1e999",
        b"[" * 66 + b"]" * 66,
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"9" * 5000,
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        "\ufeff{}".encode(),
        "{}".encode("utf-16"),
        b"\xe9",
        b"{} {}",
        b" " * 2**26 + b"1",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_json_that_has_no_one_meaning_or_no_bounds(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(
        RadtError, match=r"^\S+a\.json is damaged \(no valid JSON\): delete it and run the stage that writes it again$"
    ):
        artifacts.read_json(tmp_path / "a.json")


@pytest.mark.parametrize("error", [RecursionError, MemoryError, RuntimeError, OverflowError])
def test_whatever_a_reader_meets_is_a_sentence(tmp_path, monkeypatch, error):
    def fail(*arguments: object) -> None:
        raise error

    (tmp_path / "a.json").write_text("{}", encoding="utf-8")
    artifacts.write_tensors(tmp_path / "a.safetensors", TENSORS)
    monkeypatch.setattr(artifacts, "parse_json", fail)
    for read, name in ((artifacts.read_json, "a.json"), (artifacts.read_tensors, "a.safetensors")):
        with pytest.raises(RadtError, match=f"{name} is damaged"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ('{"a": {"dtype": "U8", "shape": ["x", 3000000000], "data_offsets": [0, 0]}}', b""),
        ('{"a": {"dtype": "U8", "shape": [3000000000], "data_offsets": [0, 3000000000]}}', b""),
        ('{"a": {"dtype": "U8", "shape": [0, 9223372036854775807, 9223372036854775807], "data_offsets": [0, 0]}}', b""),
        ('{"a": {"dtype": "U8", "shape": [-1, -1], "data_offsets": [0, 1]}}', b"0"),
        ('{"a": {"dtype": "U8", "shape": [1.0], "data_offsets": [0, 1]}}', b"0"),
        ('{"a": {"dtype": "U8", "shape": [true], "data_offsets": [0, 1]}}', b"0"),
        ('{"a": {"dtype": "U8", "shape": {}, "data_offsets": [0, 1]}}', b"0"),
        ('{"a": {"dtype": "U8", "shape": [1, 1, 1, 1, 1, 1, 1, 1, 1], "data_offsets": [0, 1]}}', b"0"),
        ('{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1, 2]}}', b"0"),
        ('{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, true]}}', b"0"),
        ('{"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}', b"0"),
        ('{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1], "more": 1}}', b"0"),
        ('{"a": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]}}', b"\2"),
        ('{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "__metadata__": {"x": 1}}', b"0"),
        ('{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "__metadata__": []}', b"0"),
        ('{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "a": {}}', b"0"),
        ("[]", b""),
        ("null", b""),
    ],
)
def test_headers_that_do_not_describe_the_file(tmp_path, header, data):
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + data)
    with pytest.raises(RadtError, match="is damaged"):
        artifacts.read_tensors(path)


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 2**40, 2**31, 10**9])
def test_headers_longer_than_the_file(tmp_path, length):
    (tmp_path / "a.safetensors").write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(RadtError, match="is damaged"):
        artifacts.read_tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize("read", [artifacts.read_json, artifacts.read_tensors, artifacts.sha256])
@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "\ud800", "file/below"])
def test_names_that_no_file_has(tmp_path, read, name):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RadtError):
        read(tmp_path / name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(tmp_path, value):
    artifacts.check_finite(tmp_path, TENSORS)
    with pytest.raises(RadtError, match=r"holds numbers that are not finite \(wide\)"):
        artifacts.check_finite(tmp_path, {**TENSORS, "wide": np.array([[0.0, value]])})


def test_unprintable_names_are_one_line():
    assert printable("a\nb\x1b[31m\udc80\u202eü '") == "a\\nb\\x1b[31m\\udc80\\u202eü '"
