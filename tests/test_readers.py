"""Readers of files on inputs that are not what they should be: one sentence, and nothing wrong is taken for right.

Some hundred seeded mutations for each reader; `RADT_TORTURE=1` (`make torture`) tries a hundred times as many.
"""

import dataclasses
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histories import PPO
from radt import artifacts
from radt.data import download, npz, trajectories
from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.figures import inputs, overview, table
from radt.figures.curves import COLUMNS as CURVES
from radt.retrieval import index
from radt.settings.parsing import parse
from radt.settings.sources import Download, Ppo, Trajectories
from radt.stages.figure import FigureSettings
from radt.suites import learners, suite_of
from radt.suites.grid import published
from radt.suites.grid.qlearning import learn
from stages import Chain, change
from test_figure import SETTINGS, evaluation, metrics
from test_trajectories import SOURCE, forge, one_task

TIMES = 100 if os.environ.get("RADT_TORTURE") == "1" else 1
NUMBERS = (0, 1, 2, 5, 255, -1, 2**31 - 1, 2**62, np.nan, np.inf, -np.inf, 1e30, 0.5)
DTYPES = ("u1", "i4", "i8", "f4", "f8", "b1", "f2", "u8")


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """`content` with bits flipped, parts cut out, repeated, exchanged or overwritten."""
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        first, last = sorted(random.integers(0, len(changed) + 1, 2).tolist())
        kind = random.integers(6)
        if kind <= 1 and changed:
            changed[int(random.integers(len(changed)))] ^= 1 << int(random.integers(8))
        elif kind == 2:
            del changed[first : min(last, first + int(random.integers(1, 50)))]
        elif kind == 3:
            changed[first:first] = changed[first : first + int(random.integers(1, 50))]
        elif kind == 4:
            changed[first : first + 8] = random.bytes(int(random.integers(9)))
        else:
            del changed[first:]
    return bytes(changed)


def altered(arrays: dict[str, np.ndarray], random: np.random.Generator) -> dict[str, np.ndarray]:
    """`arrays` of which one is missing, has another name, type or shape, or numbers that it should not have."""
    result = dict(arrays)
    name = sorted(arrays)[int(random.integers(len(arrays)))]
    array = np.array(arrays[name])
    kind = random.integers(7)
    if kind == 0:
        del result[name]
    elif kind == 1:
        result[f"{name}s"] = result.pop(name)
    elif kind == 2:
        result[name] = array.astype(DTYPES[int(random.integers(len(DTYPES)))])
    elif kind == 3:
        shapes = [array[:0], array[:-1], array[:1], array[0, ...], array[..., None], array[None], np.concatenate([array, array])]
        result[name] = shapes[int(random.integers(len(shapes)))]
    else:
        with np.errstate(all="ignore"):
            place = tuple(int(random.integers(size)) for size in array.shape)
            array[place] = np.asarray(NUMBERS[int(random.integers(len(NUMBERS)))]).astype(array.dtype)
        result[name] = array
    return result


def put(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays, without waiting for the disk."""
    path.write_bytes(b"".join(artifacts.tensor_parts(arrays)))


def tries(count: int):
    """Generators of random numbers, a fixed number of them."""
    return (np.random.default_rng(seed) for seed in range(count * TIMES))


def tried(read) -> tuple[object, str]:
    """What a reader makes of an input, or its complaint. Any exception but `RadtError` is a defect."""
    try:
        return read(), ""
    except RadtError as error:
        assert "\n" not in str(error) and ": " in str(error)
        return None, str(error)


@pytest.fixture
def histories(room, generate) -> Shard:
    return learn(room, generate)


def same(shard: Shard, expected: Shard) -> bool:
    return all(
        np.array_equal(getattr(shard, column), getattr(expected, column))
        for column in vars(expected)
        if getattr(expected, column) is not None
    )


@pytest.mark.filterwarnings("ignore")
def test_published_files(published_folder, room):
    """What is taken is a history that the world can bring forth."""
    one = room.model_copy(update={"num_tasks": 2, "num_held_out": 1, "num_validation": 0})
    (path,) = [published_folder / name for (name,) in published.file_names(one).values()]
    content = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)
    taken = 0
    for number, random in enumerate(tries(200)):
        if number % 2:
            path.write_bytes(mutated(content, random))
        else:
            np.savez(path, **altered(arrays, random))
        shards, words = tried(lambda: list(published.convert(published_folder, one)))
        assert words or not trajectories._check(shards[0], suite_of(one), "the file", "")
        assert path.name in words or not words
        taken += not words
    assert taken < 60 * TIMES  # as where a step of an unfinished episode, or a byte that says nothing, is another


def test_manifests_and_shards(tmp_path, room, generate, histories):
    """With hashes that fit: what is taken is consistent, and of bytes that were flipped nothing is."""
    tasks = [one_task(histories, task, generate.episodes, room.horizon) for task in range(8)]
    trajectories.write(tmp_path, "tiny", suite_of(room), SOURCE, tasks, shard_steps=4 * generate.episodes * room.horizon + 1)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    path = tmp_path / manifest["shards"][0]["file"]
    whole, content = (tmp_path / "manifest.json").read_bytes(), path.read_bytes()
    arrays = artifacts.read_tensors(path, mmap=False)
    for number, random in enumerate(tries(300)):
        (tmp_path / "manifest.json").write_bytes(whole)
        path.write_bytes(content)
        if number % 3 == 0:
            target = (path, tmp_path / "manifest.json")[number % 2]
            target.write_bytes(mutated(target.read_bytes(), random))
        elif number % 3 == 1:
            put(path, altered(arrays, random))
            entry = {**manifest["shards"][0], "sha256": artifacts.sha256(path)}
            forge(tmp_path, shards=[entry, *manifest["shards"][1:]])
        else:
            forge(tmp_path, **replaced(manifest, random))
        read, words = tried(lambda: trajectories.read(tmp_path, suite_of(room)))
        if not words and number % 3 == 0:
            assert same(trajectories.join(read.shards), histories)
        for shard in read.shards if read else ():
            assert shard.actions.max() < 5 and set(np.unique(shard.rewards)) <= {0.0, 1.0}


def replaced(manifest: dict[str, object], random: np.random.Generator) -> dict[str, object]:
    """A field of a manifest, or of its first shard, with a value of another kind."""
    values = [None, [], {}, "", "../../etc/passwd", "a\0b", -1, 0, 1e400, True, [1], {"x": 1}, manifest["shards"], 2**70]
    value = values[int(random.integers(len(values)))]
    names = sorted(manifest)
    if random.random() < 0.5:
        return {names[int(random.integers(len(names)))]: value}
    entry = sorted(manifest["shards"][0])
    return {"shards": [{**manifest["shards"][0], entry[int(random.integers(len(entry)))]: value}, *manifest["shards"][1:]]}


@pytest.mark.parametrize(
    ("column", "change", "words"),
    [
        ("actions", lambda a: a + 5, "has action 9, allowed are 0 to 4"),
        ("actions", lambda a: a[:, None], "dimensions are not those of its observations and actions"),
        ("rewards", lambda a: a * np.nan, r"holds numbers that are not finite \(rewards\)"),
        ("rewards", lambda a: a + np.float32(1e30), "has rewards that are not whole numbers from 0 to 1"),
        ("rewards", lambda a: a - 1, "has rewards that are not whole numbers from 0 to 1"),
        ("rewards", lambda a: a + np.float32(0.5), "has rewards that are not whole numbers"),
        ("rewards", lambda a: a[0, ...], "dimensions are not"),
        ("episode_start", lambda a: a[0, ...], "dimensions are not"),
        ("observations", lambda a: a[:, 0], "dimensions are not"),
        ("observations", lambda a: a.astype(np.int8), "observations of type int8, but the experiment has uint8"),
        ("episode_history", lambda a: a[:-1], "lengths do not agree"),
    ],
)
def test_shards_with_right_hashes_and_wrong_content(tmp_path, room, histories, column, change, words):
    """The same of what PPO learned."""
    one = one_task(histories, 0, 5, room.horizon)
    settings = Trajectories(source="ppo", ppo=parse(Ppo, PPO))
    learners.write(tmp_path / "task0.safetensors", suite_of(room), settings, one)
    trajectories.write(tmp_path / "data", "tiny", suite_of(room), SOURCE, [histories])
    (path,) = (tmp_path / "data").glob("*.safetensors")
    manifest = json.loads((tmp_path / "data/manifest.json").read_text(encoding="utf-8"))
    for file in (path, tmp_path / "task0.safetensors"):
        arrays = artifacts.read_tensors(file, mmap=False)
        put(file, {**arrays, column: np.array(change(arrays[column]))})
    forge(tmp_path / "data", shards=[{**manifest["shards"][0], "sha256": artifacts.sha256(path)}])
    with pytest.raises(RadtError, match=words):
        trajectories.read(tmp_path / "data", suite_of(room))
    learned = json.loads((tmp_path / "task0.json").read_text(encoding="utf-8"))
    (tmp_path / "task0.json").write_text(
        json.dumps({**learned, "sha256": artifacts.sha256(tmp_path / "task0.safetensors")}), encoding="utf-8"
    )
    with pytest.raises(RadtError, match=words):
        next(learners.read(tmp_path, suite_of(room), settings))


def test_returns_that_no_episode_has(tmp_path, room):
    """Every step of a maze may pay, but not more than there are goals."""
    maze = room.model_copy(update={"world": "mazerunner", "width": 15, "height": 15, "horizon": 40, "num_tasks": 5})
    steps = np.zeros((8, 6), np.uint8), np.zeros((8, 1), np.uint8), np.ones(8, np.float32)
    shard = Shard(*steps, np.array([0, 3, 8]), np.zeros(2, np.int32), np.zeros(2, np.int32))
    with pytest.raises(RadtError, match="has a return of 5, but no episode exceeds 3"):
        trajectories.write(tmp_path, "tiny", suite_of(maze), SOURCE, [shard])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: {"shards": []}, "has no valid shards"),
        (lambda m: {"shards": [m["shards"][0]] * 2}, "names a shard twice"),
        (lambda m: {"shards": m["shards"][:1]}, "has other numbers of episodes or steps than its shards"),
        (lambda m: {"shards": [{**m["shards"][0], "file": "../x.safetensors"}]}, r"has no valid shards\.0\.file"),
        (lambda m: {"shards": [{**m["shards"][0], "steps": "8"}]}, r"has no valid shards\.0\.steps"),
        (lambda m: {"room": []}, "has no valid room"),
        (lambda m: {"shards": {"a": 1}}, "has no valid shards"),
        (
            lambda m: {
                "shards": [{**m["shards"][0], "episodes": 19}, {**m["shards"][1], "episodes": 21}],
            },
            "has other numbers of episodes or steps than the manifest says",
        ),
    ],
)
def test_manifests_with_right_checksums_and_wrong_content(tmp_path, room, generate, histories, change, words):
    tasks = [one_task(histories, task, generate.episodes, room.horizon) for task in range(8)]
    trajectories.write(tmp_path, "tiny", suite_of(room), SOURCE, tasks, shard_steps=4 * generate.episodes * room.horizon + 1)
    forge(tmp_path, **change(json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))))
    with pytest.raises(RadtError, match=words):
        trajectories.read(tmp_path, suite_of(room))


def test_two_shards_of_one_task(tmp_path, room, histories):
    first, second = (one_task(histories, 0, 5, room.horizon) for _ in range(2))
    second = dataclasses.replace(second, rewards=1 - second.rewards)
    for folder, shard in (("a", first), ("b", second)):
        trajectories.write(tmp_path / folder, "tiny", suite_of(room), SOURCE, [shard])
    entries = [json.loads((tmp_path / folder / "manifest.json").read_text(encoding="utf-8"))["shards"][0] for folder in "ab"]
    shutil.copy(tmp_path / "b" / entries[1]["file"], tmp_path / "a")
    forge(tmp_path / "a", shards=entries, episodes=10, steps=10 * room.horizon)
    with pytest.raises(RadtError, match="two shards with episodes of one task"):
        trajectories.read(tmp_path / "a", suite_of(room))


def test_embeddings_and_index(copied: Chain, monkeypatch):
    """With hashes that fit: every reader refuses what it could not search."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # hundreds of files
    readers = {"embed/embeddings": lambda folder: index.read_embeddings(folder)[0], "index/index": lambda f: vars(index.read(f))}
    for number, random in enumerate(tries(200)):
        name = sorted(readers)[number % 2]
        path = copied.root / f"{name}.safetensors"
        config = path.with_name("config.json")
        content, said = path.read_bytes(), config.read_bytes()
        kind = random.integers(4)
        if kind == 0:
            config.write_bytes(mutated(said, random))
        elif kind == 1:
            put(path, altered(artifacts.read_tensors(path, mmap=False), random))
        else:
            path.write_bytes(mutated(content, random))
        if kind in (1, 3):
            change(config, sha256=artifacts.sha256(path))
        read, words = tried(lambda name=name, folder=path.parent: readers[name](folder))
        assert words or (np.isfinite(read["keys"]).all() and len(read["keys"]) == len(read["anchor"]) == len(read["episode"]))
        path.write_bytes(content)
        config.write_bytes(said)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_vectors_that_are_no_vectors(copied: Chain, value):
    path, config = copied.root / "embed/embeddings.safetensors", copied.root / "embed/config.json"
    before = (copied.root / "index/index.safetensors").read_bytes()
    for name in ("keys", "queries"):
        tensors = artifacts.read_tensors(path, mmap=False)
        tensors[name][(-1,) * tensors[name].ndim] = value
        content, said = path.read_bytes(), config.read_text(encoding="utf-8")
        put(path, tensors)
        change(config, sha256=artifacts.sha256(path))
        with pytest.raises(RadtError, match=r"not finite \((keys|queries)\)|longer than 1"):
            copied.index()
        path.write_bytes(content)
        config.write_text(said, encoding="utf-8")
    assert (copied.root / "index/index.safetensors").read_bytes() == before


@pytest.mark.parametrize("reader", ["evaluation", "metrics", "table", "curves", "paper"])
def test_csv_files(tmp_path, reader):
    """What is taken has every row once, and finite numbers within their bounds."""
    path = tmp_path / "a.csv"
    content = CSV[reader]().encode()
    for random in tries(60):
        path.write_bytes(mutated(content, random))
        frame, words = tried(lambda: READ[reader](path))
        assert words.startswith(str(path)) or not words
        if not words:
            numbers = frame.select_dtypes("number").astype("Float64").to_numpy(np.float64, na_value=0.0)
            assert np.isfinite(numbers).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"experiment,split\0\n", "is not a CSV file|lacks the column"),
        ("experiment,split,method,episode,return\nr\u00e4ume,eval,radt,1,1\n".encode("latin-1"), "is not a CSV file"),
        (b"experiment,split,method,episode,return,return\nrooms,eval,radt,1,1,2\n", "one name for each column"),
        (b"experiment,split,method,episode,return\nrooms,eval,radt,1,1,2\n", "a row of 6 values under 5 columns"),
        (b"experiment,split,method,episode,return\nrooms,eval,radt,1\n", "a row of 4 values under 5 columns"),
        (
            b"experiment,split,method,episode,return\nrooms,eval,radt,-1,1\n",
            "'episode' that is missing or not a whole number from 0",
        ),
        (b"experiment,split,method,episode,return\nrooms,eval,radt,1e30,1\n", "'episode'"),
        (b"experiment,split,method,episode,return\nrooms,eval,radt,99999999999999999999,1\n", "'episode'"),
        (b"experiment,split,method,episode,return\nrooms,eval,radt,True,1\n", "'episode'"),
        (b"experiment,split,method,episode,return\nrooms,eval,radt,1,inf\n", "'return' that is missing or not a finite number"),
        (b"experiment,split,method,episode,return\nrooms,eval,radt,1,1e999\n", "'return'"),
        (b"experiment,split,method,episode,return\nrooms,eval,radt,1,1_0\n", "'return'"),
        (b'experiment,split,method,episode,return\nrooms,eval,"radt,1,1\n', "is not a CSV file"),
        (b"\xef\xbb\xbfexperiment,split,method,episode,return\r\nrooms,eval,radt,1,1\r\n", None),
    ],
)
def test_csv_files_with_other_columns_types_and_encodings(tmp_path, content, words):
    path = tmp_path / "paper.csv"
    path.write_bytes(content)
    if words is None:
        assert inputs.paper(path, "rooms")["return"].tolist() == [1.0]
    else:
        with pytest.raises(RadtError, match=words):
            inputs.paper(path, "rooms")


def test_what_is_no_file(tmp_path, room, monkeypatch):
    """Nothing is read of a pipe, a device or a folder; a file may be too large."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / "none"):
        for read in (lambda path=path: inputs.paper(path, "x"), lambda path=path: published._load(path, room)):
            with pytest.raises(RadtError, match=str(path)):
                read()
    monkeypatch.setattr(inputs, "LARGEST", 10)
    (tmp_path / "paper.csv").write_text(CSV["paper"](), encoding="utf-8")
    with pytest.raises(RadtError, match="is no file of at most 10 bytes"):
        inputs.paper(tmp_path / "paper.csv", "rooms")


def test_files_of_checksums(tmp_path, room):
    """What is taken are sums of files that were asked for."""
    names = [name for (name,) in published.file_names(room).values()]
    settings = Download(repository="a/b", revision="1" * 40, folder="4x3", checksums=None)
    path = tmp_path / "sums.txt"
    content = "".join(f"{number:064x}  4x3/{name}\n" for number, name in enumerate(names)).encode()
    for random in tries(200):
        path.write_bytes(mutated(content, random))
        found, words = tried(lambda: download._from_file(path, settings, names))
        assert words or all(name in names and len(sum.sha256) == 64 for name, sum in found.items())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "is a pointer of Git LFS.*git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "is a web page, not the published file: get it again"),
        (b"", "is damaged"),
        (b"PK\x05\x06" + bytes(18), "has no array 'actions'"),
    ],
)
def test_what_is_found_in_the_place_of_a_published_file(tmp_path, room, content, words):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(RadtError, match=words):
        published._load(tmp_path / "a.npz", room)


def zeros(shape, dtype="<f8", held=None):
    """An .npy file of zeros with the header of a shape, and as many bytes as that asks for, or as are `held`."""
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return (
        b"\x93NUMPY\x01\x00"
        + len(header).to_bytes(2, "little")
        + header
        + bytes(8 * int(np.prod(shape)) if held is None else held)
    )


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"rewards": zeros((2**27, 1), held=8)}, "has a header of rewards that does not fit what follows"),
        ({"rewards": zeros((-1, 1), held=0)}, "does not fit"),
        ({"rewards": zeros((2**20, 1))}, "asks for 8388992 bytes of memory, far more than a file of its size holds"),
        ({"rewards": zeros((8, 1), "|O")}, "holds pickled objects, which radt never loads"),
        ({"dones": zeros((7, 1))}, "has 7 dones for 8 actions: get it again"),
        ({"actions": zeros(())}, r"has actions float64 \[\]"),
    ],
)
def test_sizes_by_headers_before_anything_is_read(tmp_path, room, arrays, words, monkeypatch):
    monkeypatch.setattr(npz, "SMALL", 2**20)
    path = tmp_path / "a.npz"
    shapes = {"actions": (8, 1, 1), "dones": (8, 1), "next_observations": (8, 1, 2), "observations": (8, 1, 2), "rewards": (8, 1)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, content in {**{name: zeros(shape) for name, shape in shapes.items()}, **arrays}.items():
            file.writestr(f"{name}.npy", content)
    with pytest.raises(RadtError, match=words):
        published._load(path, room)


def test_an_array_that_is_there_twice(tmp_path, room):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        for name in (*published.COLUMNS, "rewards"):
            file.writestr(f"{name}.npy", zeros((8, 1)))
    with pytest.raises(RadtError, match="has an array twice"):
        published._load(tmp_path / "a.npz", room)


def a_table() -> str:
    row = {name: 1.5 if kind.startswith("float") else 3 for name, kind in table.COLUMNS.items()}
    row |= {"experiment": "rooms", "method": "radt", "model": "radt", "split": "held_out"}
    row |= {"last_verdict": "within", "average_verdict": "within"}
    return table.csv(pd.DataFrame([row, {**row, "split": "train"}]))


def some_curves() -> str:
    rows = [("rooms", "radt", "radt", "held_out", episode, 1.0, 0.5, 1.5, 8.0, None) for episode in range(1, 9)]
    return table.csv(pd.DataFrame(rows, columns=[name for name in CURVES if name not in inputs.SOMETIMES]))


CSV = {
    "evaluation": lambda: evaluation("radt", 42).to_csv(index=False),
    "metrics": lambda: metrics("radt", 42).to_csv(index=False),
    "table": a_table,
    "curves": some_curves,
    "paper": lambda: "# a source\nexperiment,split,method,episode,return\nrooms,eval,radt,1,1.0\nrooms,eval,radt,2,1.5\n",
}
ROOMS = parse(FigureSettings, SETTINGS)
READ = {
    "evaluation": lambda path: inputs.evaluations([path], ROOMS.experiment, {"rooms": ROOMS.evaluate}),
    "metrics": lambda path: inputs.training([path]),
    "table": lambda path: overview.tables([path], {"rooms": ROOMS.experiment}),
    "curves": lambda path: inputs.lines(path, CURVES, inputs.AGAIN),
    "paper": lambda path: inputs.paper(path, "rooms"),
}
