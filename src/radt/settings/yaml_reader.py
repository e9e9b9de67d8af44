"""Configuration files: unambiguous YAML; anything else is refused with its line.

Plain YAML loses information silently: the last of two equal keys counts, `042` is 34, `1:30` is 90, `no` is false, `1e-4` is
text. Accepted here: unique text keys; null, true and false; decimal numbers; text, lists and mappings; anchors, aliases and merge
keys (`<<`). Values equal those of PyYAML's safe loader.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from radt.errors import RadtError, printable

SIZE, DEPTH, VALUES = 1_000_000, 40, 100_000
"""Limits: bytes of a file, nested levels, and values (those of aliases count each time)."""
NULL, TRUE, FALSE = ("~", "null", "Null", "NULL"), ("true", "True", "TRUE"), ("false", "False", "FALSE")
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
DECIMAL = re.compile(r"([-+]?[0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
BOOLEAN = re.compile(r"(?i:y|n|yes|no|on|off)")
NUMBER = re.compile(r"([-+]?)(?=\.?[0-9])([0-9_]*)(?:\.([0-9_]*))?(?:[eE]([-+]?[0-9]+))?")
BASED = re.compile(r"[-+]?(0[0-7_]+|0b[01_]+|0x[0-9a-fA-F_]+|0o[0-7_]+)")
SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?")
SHOWN = 80
"""Most characters of a text that a sentence repeats."""
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path, empty: bool = False) -> dict[str, Any]:
    """The mapping in a file; raises `RadtError` with file, line and remedy when it is missing, damaged or ambiguous.

    With `empty`, a missing value is null, as DVC writes it.
    """
    name = printable(str(path))
    try:
        if not path.is_file():
            raise RadtError(f"{name} is {'no file' if path.exists() else 'missing'}: name a YAML file of settings")
        with path.open("rb") as file:
            content = file.read(SIZE + 1)
    except (OSError, ValueError) as error:
        raise RadtError(f"{name} cannot be read as a configuration ({error}): check its name, owner and mode") from None
    if len(content) > SIZE:
        raise RadtError(f"{name} has more than {SIZE} bytes: name a YAML file of settings")
    values = parse(decoded(content, name), name, empty)
    if not isinstance(values, dict):
        raise RadtError(f"{name} holds no keys of a configuration: see config/README.md")
    return values


def decoded(content: bytes, name: str) -> str:
    """The text of a file; raises `RadtError` with the line that is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RadtError(f"{name}, line {line}: this is not UTF-8 text: save the file in UTF-8") from None


def parse(text: str, place: str, empty: bool = False) -> Any:
    """The value of a YAML text; raises `RadtError` that names the `place` and the line. With `empty`, a missing value is null."""
    try:
        if wrong := yaml.reader.Reader.NON_PRINTABLE.search(text):
            line = text.count("\n", 0, wrong.start()) + 1
            raise RadtError(f"{place}, line {line}: the character {wrong[0]!r} is not allowed in YAML: leave it out")
        return _Reader(place, text, empty).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{place}, line {mark.line + 1}" if mark else place
        why = " ".join(str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).split())
        raise RadtError(f"{where}: this is no valid YAML ({why}): correct it") from None
    except RadtError:
        raise
    except Exception as error:  # hostile text may make a parser raise anything
        raise RadtError(f"{place} cannot be read as YAML ({type(error).__name__}: {error}): correct it") from None


@dataclass
class _Reader:
    """Values from the events of PyYAML's parser, which have styles, tags and lines."""

    place: str
    text: str
    empty: bool
    """Whether a missing value is null."""
    anchors: dict[str, tuple[Any, int, int]] = field(default_factory=dict)
    """By anchor: value, number of values in it, number of levels in it."""
    values: int = 0
    depth: int = 0
    deepest: int = 0
    """Depth of the innermost value so far of the present node."""

    def document(self) -> Any:
        """The value of the only document; None for empty text."""
        self.events: Iterator[Any] = iter(yaml.parse(self.text, Loader=LOADER))
        next(self.events)  # the stream starts
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        value = self.node(next(self.events))
        next(self.events)  # the document ends
        if not isinstance(event := next(self.events), yaml.StreamEndEvent):
            raise self.refused(event, "a second document begins: put all settings into one")
        return value

    def node(self, event: Any) -> Any:
        """The value that an event begins."""
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.tag is not None:
            raise self.refused(event, f"the tag {event.tag!r} is not allowed: leave it out")
        before, outside = self.values, self.deepest
        self.depth += 1
        self.deepest = self.depth
        self.count(event, 1, 0)
        kinds = {yaml.MappingStartEvent: self.mapping, yaml.SequenceStartEvent: self.sequence}
        value = kinds.get(type(event), self.scalar)(event)
        self.depth -= 1
        if event.anchor in self.anchors:
            raise self.refused(event, f"the anchor &{event.anchor} is set twice: choose another name")
        if event.anchor is not None:
            self.anchors[event.anchor] = value, self.values - before, self.deepest - self.depth
        self.deepest = max(outside, self.deepest)
        return value

    def alias(self, event: Any) -> Any:
        """The value of an anchor."""
        if event.anchor not in self.anchors:
            raise self.refused(event, f"*{event.anchor} has no anchor &{event.anchor} before it, or stands inside of it")
        value, values, levels = self.anchors[event.anchor]
        self.count(event, values, levels)
        return value

    def count(self, event: Any, values: int, levels: int) -> None:
        """Count values and levels below the present one; refuse too many."""
        self.values += values
        self.deepest = max(self.deepest, self.depth + levels)
        if self.values > VALUES or self.deepest > DEPTH:
            raise self.refused(event, f"more than {VALUES} values (aliases counted each time) or {DEPTH} levels: write fewer")

    def sequence(self, start: Any) -> list[Any]:
        """A list."""
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event))
        return items

    def mapping(self, start: Any) -> dict[str, Any]:
        """A mapping: keys merged by `<<`, then its own keys."""
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event)
            if key in lines:
                raise self.refused(event, f"the key {_shown(key)!r} stands in line {lines[key]} already: leave one of them out")
            lines[key] = event.start_mark.line + 1
            value = self.node(first := next(self.events))
            if key == "<<" and event.implicit[0]:
                merged = self.merged(first, value)
            else:
                own[key] = value
        return {**merged, **own}

    def key(self, event: Any) -> str:
        """The text of a key."""
        merges = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.tag is None and event.anchor is None
        key = "<<" if merges else self.node(event)
        if not isinstance(key, str):
            raise self.refused(event, f"the key {_shown(str(key))} is no text: put it in quotes, or name a setting")
        return key

    def merged(self, event: Any, value: Any) -> dict[str, Any]:
        """The keys of the mappings that `<<` names; the first of equal keys counts."""
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise self.refused(event, "<< merges mappings only: name an anchor of one")
        return {key: inner for part in reversed(parts) for key, inner in part.items()}

    def scalar(self, event: Any) -> Any:
        """A scalar: text if it is in quotes or a block, else a plain value."""
        text = str(event.value)
        if re.search("[\0\ud800-\udfff]", text):
            raise self.refused(event, "this text has a NUL or half a character (a surrogate): leave it out")
        if event.implicit[0]:
            return self.plain(event, text)
        return text

    def plain(self, event: Any, text: str) -> Any:
        """The value of a plain scalar; refuses one that YAML readers understand differently."""
        if not text and not self.empty:  # null removes: with all below `overrides:` commented out, everything
            raise self.refused(event, "a value is missing: write it, null or {}")
        if not text or text in NULL:
            return None
        if text in TRUE + FALSE:
            return text in TRUE
        if WHOLE.fullmatch(text):
            return self.whole(event, text)
        if DECIMAL.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        if wrong := _surprise(text):
            raise self.refused(event, wrong)
        return text

    def whole(self, event: Any, text: str) -> int:
        """A whole number that fits into 64 bits."""
        if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
            raise self.refused(event, f"{_shown(text)} does not fit into 64 bits: write a smaller number")
        return int(text)

    def refused(self, event: Any, why: str) -> RadtError:
        """The sentence for what is wrong with an event."""
        return RadtError(f"{self.place}, line {event.start_mark.line + 1}: {why}")


def _surprise(text: str) -> str:
    """Why a plain scalar is ambiguous, and what to write instead; empty when it is not."""
    shown = _shown(text)
    quoted = f'"{shown}" for text'
    if BOOLEAN.fullmatch(text):
        return f"{shown} is true or false for some readers of YAML: write true or false, or {quoted}"
    if BASED.fullmatch(text):
        digits = text.lstrip("+-0_")
        decimal = f"write {_shown(digits)} for a number, or " if digits.isdecimal() else "write a decimal number, or "
        return f"{shown} is no decimal number for some readers of YAML: {decimal}{quoted}"
    if INFINITE.fullmatch(text) or DECIMAL.fullmatch(text):
        return f"{shown} is no finite number: write one"
    if match := NUMBER.fullmatch(text):
        return f"{shown} looks like a number and is text for some readers of YAML: write {_shown(_written(match))}, or {quoted}"
    if SEXAGESIMAL.fullmatch(text):
        return f"{shown} is a number to the base of 60 for some readers of YAML: write a decimal number, or {quoted}"
    if DATE.fullmatch(text):
        return f"{shown} is a date for some readers of YAML: write {quoted}"
    return f"{shown} has a meaning of its own in YAML: write {quoted}" if text in ("=", "<<") else ""


def _shown(text: str) -> str:
    """The beginning of a text, for a sentence."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _written(number: re.Match[str]) -> str:
    """A number in the form that every reader of YAML accepts: 1.0e-4 for 1e-4."""
    sign, digits, rest, exponent = number.groups()
    whole = sign + (digits.replace("_", "").lstrip("0") or "0")
    if rest is exponent is None:
        return whole
    return f"{whole}.{(rest or '').replace('_', '') or 0}" + (f"e{int(exponent):+d}" if exponent else "")
