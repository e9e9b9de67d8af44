"""Configuration files are read without loss: values are PyYAML's; what YAML would change silently is refused with its line."""

import os
import random
import socket
from pathlib import Path

import pytest
import yaml

from radt.errors import RadtError
from radt.settings import yaml_reader

CONFIG = Path(__file__).parents[1] / "config"
TRIES = 100_000 if os.environ.get("RADT_TORTURE") == "1" else 1000
NASTY = ["042", "1e-4", "1.0e4", "yes", "off", "~", "null", "1:30", ".inf", ".nan", "2024-01-01", "0x1F", "0o7", "1_000", "-.5"]
NASTY += [
    "<<: *a",
    "&a",
    "*a",
    "&a [*a]",
    "!!int 3",
    "!x",
    "---",
    "...",
    "? ",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    '"',
    "'",
    "#",
]
NASTY += [
    "|",
    ">",
    "%",
    "@",
    "`",
    "\ufeff",
    "\x00",
    "\x85",
    "\xe9",
    "\\ud800",
    "9" * 30,
    "a: 1",
    "a: 2\n",
    "\n",
    "  ",
    "\t",
    "=",
    "<<",
]


@pytest.mark.parametrize("name", ["config", "paper", "smoke", "gpu", "validation"])
def test_values_are_those_of_pyyaml(name):
    text = (CONFIG / f"{name}.yaml").read_text(encoding="utf-8")
    assert repr(yaml_reader.parse(text, name)) == repr(yaml.load(text, yaml.CSafeLoader))  # and in its order


def test_a_missing_value_is_null_where_dvc_writes_it_so(tmp_path):
    (tmp_path / "config.yaml").write_text("a: {b: }\nc:\n- \n", encoding="utf-8")
    assert yaml_reader.read(tmp_path / "config.yaml", empty=True) == {"a": {"b": None}, "c": [None]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: {episode_gap: 3}\nb: 1\na: {updates: 5}", ["line 3", "'a'", "line 1"]),
        ("a:\n  b:\n    - c: 1\n      d: 2\n      c: 1", ["line 5", "'c'", "line 3"]),
        ("a: 1\n'a': 2", ["line 2", "'a'"]),
        ("seeds: [042, 043]", ["line 1", "042", "write 42 for a number"]),
        ("a: 0o17", ["0o17", "decimal number"]),
        ("a: 0x1F", ["0x1F", "decimal number"]),
        ("a: 1e-4", ["1e-4", "write 1.0e-4"]),
        ("a: 1.0e4", ["1.0e4", "write 1.0e+4"]),
        ("a: -.5", ["-.5", "write -0.5"]),
        ("a: 1_000", ["1_000", "write 1000"]),
        ("a: 007.5e3", ["007.5e3", "write 7.5e+3"]),
        ("a: 1:30", ["1:30", "base of 60"]),
        ("a: yes", ["yes", 'write true or false, or "yes"']),
        ("a: [x, No]", ["No", "true or false"]),
        ("a: .inf", [".inf", "finite"]),
        ("a: 1.0e+999", ["1.0e+999", "finite"]),
        ("a: 2024-01-01", ["2024-01-01", "date"]),
        ("2024-01-01: a", ["2024-01-01", "date"]),
        ("\n\n42: a", ["line 3", "42", "no text"]),
        ("? [a, b]\n: c", ["no text"]),
        ("true: a", ["no text"]),
        ("a: =", ["=", "write"]),
        ("overrides:\n# keydoor: {}\nb: 1", ["line 1", "a value is missing"]),
        ("{a, b: 1}", ["a value is missing"]),
        ("a: [1, ]\n? b\n", ["line 3", "a value is missing"]),
        ("a: !!python/object/apply:os.system [x]", ["tag", "leave it out"]),
        ("a: !!str 3", ["tag"]),
        ("a: 1\n---\nb: 2", ["line 2", "second document"]),
        ("a: &x [*x]", ["*x", "inside"]),
        ("a: &x 1\nb: &x 2\nc: *x", ["line 2", "&x"]),
        ("a: &x {b: &x 1}", ["&x"]),
        ("a: *nowhere", ["*nowhere", "anchor"]),
        ("<<: {a: 1}\n<<: {b: 1}", ["'<<'", "line 1"]),
        ("<<: 3", ["mappings only"]),
        ("a: 'b", ["valid YAML"]),
        ("a:\n\t- b", ["line 2"]),
        ("a: b\n# \x07", ["line 2", "'\\x07'"]),
        ('a: "\\0"', ["NUL"]),
        ('a: "\\ud800"', ["Unicode"]),
        ("a: 9223372036854775808", ["64 bits"]),
        ("a: " + "9" * 5000, ["64 bits", "..."]),
        ("a: " + "0" * 5000, ["..."]),
        ("a: " + "1" * 5000 + "e5", ["looks like a number"]),
        ("[" * 30_000, ["levels"]),
        ("{a: " * 30_000, ["levels"]),
        ("a: &a [0]\n" + "".join(f"{n}: &{n} [*{p}]\n" for p, n in zip("abcdefgh" * 9, "bcdefgha" * 9, strict=True)), []),
        ("a: &b0 [x]\n" + "".join(f"k{n}: &b{n} [*b{n - 1}]\n" for n in range(1, 60)), ["levels"]),
        ("a: &b0 [x, x]\n" + "".join(f"k{n}: &b{n} [*b{n - 1}, *b{n - 1}]\n" for n in range(1, 30)), ["values"]),
    ],
    ids=str,
)
def test_what_yaml_would_change_silently_is_refused_with_its_line(text, words):
    with pytest.raises(RadtError) as error:
        yaml_reader.parse(text, "my.yaml")
    told = str(error.value)
    assert told.startswith("my.yaml") and "\n" not in told and len(told) < 500
    for word in words:
        assert word in told


def test_a_file_is_named_with_what_is_wrong(tmp_path):
    (tmp_path / "fifo.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\n# caf\xe9\n")
    (tmp_path / "large.yaml").write_bytes(b"#" * 2_000_000)
    (tmp_path / "list.yaml").write_bytes(b"- 1\n")
    (tmp_path / "empty.yaml").write_bytes(b"")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    cases = {"fifo.yaml": "no file", "pipe": "no file", "socket": "no file", "latin.yaml": "line 2: this is not UTF-8"}
    cases |= {"large.yaml": "more than", "list.yaml": "no keys", "empty.yaml": "no keys", "loop.yaml": "", "none.yaml": "missing"}
    for name, words in {**cases, "x" * 300: "", "\0": ""}.items():
        with pytest.raises(RadtError) as error:
            yaml_reader.read(tmp_path / name)
        assert words in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(RadtError, match="no file"):
        yaml_reader.read(Path("/dev/zero"))
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert yaml_reader.read(tmp_path / "bom.yaml") == {"a": 1}


def test_mutated_files_are_refused_or_mean_what_they_say():
    """The oracle: PyYAML's values, in a document whose nodes have no equal keys."""
    chance, lines = random.Random(0), (CONFIG / "config.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    accepted = 0
    for number in range(TRIES):
        first = chance.randrange(len(lines))
        text = mutated("a: &a {b: 1}\n" * chance.randrange(2) + "".join(lines[first : first + chance.randrange(1, 12)]), chance)
        try:
            value = yaml_reader.parse(text, "f.yaml")
        except RadtError as error:
            assert str(error).startswith("f.yaml") and "\n" not in str(error), (number, text)
            continue
        accepted += 1
        assert repr(value) == repr(yaml.load(text, yaml.CSafeLoader)), (number, text)
        assert not repeated(yaml.compose(text, yaml.CSafeLoader)), (number, text)
    assert TRIES / 20 < accepted < TRIES


def mutated(text, chance):
    """A text with one to three changes."""
    for _ in range(chance.randrange(1, 4)):
        at, kind = chance.randrange(len(text) + 1), chance.randrange(5)
        if kind == 0:
            text = text[:at] + chance.choice(NASTY) + text[at + chance.randrange(2) :]
        elif kind == 1:
            text = text[:at] + text[at + chance.randrange(1, 8) :]
        elif kind == 2:
            line = text[at:].partition("\n")[0]
            text = f"{text[:at]}{line}\n{text[at:]}"
        elif kind == 3:
            words = text.split(" ")
            words[chance.randrange(len(words))] = chance.choice(NASTY)
            text = " ".join(words)
        else:
            text = text[:at] + chr(chance.choice([*range(128), 0xA0, 0x2028, 0x1F600])) + text[at + 1 :]
    return text


def repeated(node, seen=()):
    """Whether a mapping below a node has a key twice."""
    if node is None or id(node) in seen or isinstance(node, yaml.ScalarNode):
        return False
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        return len(set(map(str, keys))) < len(keys) or any(repeated(inner, (*seen, id(node))) for _, inner in node.value)
    return any(repeated(inner, (*seen, id(node))) for inner in node.value)
