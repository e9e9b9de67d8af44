"""The manual of the configuration: `python -m radt.settings.manual` writes the tables of `config/README.md`.

The text above the first table is written by hand and kept. The meaning of a key is its docstring in `radt.settings`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radt import artifacts
from radt.settings.configuration import Settings

MANUAL = Path("config/README.md")
MARK = "<!-- Below: written by `python -m radt.settings.manual`, from the docstrings in src/radt/settings/. -->"
Schema = dict[str, Any]


def manual(text: str) -> str:
    """`text` up to the mark, and the tables of every key in the order of the settings."""
    tree = Settings.model_json_schema()
    own = {key: entry for key, entry in tree["properties"].items() if _has_table(entry, tree)}
    plain = [row for key, entry in tree["properties"].items() if key not in own for row in _rows(key, entry, tree)]
    parts = [_table("General", "What is run, and what several sections have.", plain)]
    for key, entry in own.items():
        name = f"{key}.NAME" if "patternProperties" in entry else key
        for section in _sections(entry, tree):
            rows = [row for inner, value in section["properties"].items() for row in _rows(inner, value, tree)]
            suite = section["properties"].get("suite", {}).get("const")
            title = f"`{name}`" if suite is None else f"`{name}` of suite `{suite}`"
            meaning = section["description"] if suite else entry.get("description", section["description"])
            parts.append(_table(title, meaning, rows))
    for title in _shared(tree):
        section = tree["$defs"][title]
        rows = [row for inner, value in section["properties"].items() for row in _rows(inner, value, tree)]
        parts.append(_table(title, section["description"], rows))
    return "\n".join([text.partition(MARK)[0] + MARK, *parts]) + "\n"


def _section(entry: Schema, tree: Schema) -> Schema | None:
    """The section that a schema entry, or each value of a mapping, stands for; None for a plain value."""
    return next(iter(_sections(entry, tree)), None)


def _sections(entry: Schema, tree: Schema) -> list[Schema]:
    """The section that a schema entry, or each value of a mapping, stands for, or one for each of its choices."""
    inner = next(iter(entry.get("patternProperties", {}).values()), entry)
    choices = [choice["$ref"] for choice in inner.get("oneOf", [inner]) if "$ref" in choice]
    optional = [choice.get("$ref") for choice in inner.get("anyOf", []) if choice.get("type") != "null"]
    choices += [name for name in optional if name and len(optional) == 1]
    return [tree["$defs"][choice.rpartition("/")[2]] for choice in choices]


def _has_table(entry: Schema, tree: Schema) -> bool:
    """Whether a key has a table: a section that stands in one place only."""
    section = _section(entry, tree)
    return section is not None and section["title"] not in _shared(tree)


def _shared(tree: Schema) -> list[str]:
    """Sections that stand in several places: they have a table of their own."""
    text = json.dumps([section["properties"] for section in tree["$defs"].values()])
    return [title for title in tree["$defs"] if text.count(f'"#/$defs/{title}"') > 1]


def _rows(key: str, entry: Schema, tree: Schema) -> Iterator[tuple[str, str, str]]:
    """Key, what is allowed and meaning, for an entry and all below it."""
    section = _section(entry, tree)
    if section is None:
        yield f"`{key}`", _allowed(entry), entry["description"]
    elif section["title"] in _shared(tree):
        yield f"`{key}`", f"section [{section['title']}](#{section['title'].lower()})", entry["description"]
    else:
        name = f"{key}.NAME" if "patternProperties" in entry else key
        for inner, value in section["properties"].items():
            yield from _rows(f"{name}.{inner}", value, tree)


def _allowed(entry: Schema) -> str:
    """Type and range of a value in words."""
    if "$ref" in entry:
        name = entry["$ref"].rpartition("/")[2]
        return f"section [{name}](#{name.lower()})"
    if "patternProperties" in entry:
        return f"names, each with {_allowed(next(iter(entry['patternProperties'].values())))}"
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "anyOf" in entry:
        return " or ".join(_allowed(choice) for choice in entry["anyOf"])
    if "prefixItems" in entry:
        return "list: " + ", ".join(_allowed(item) for item in entry["prefixItems"])
    if "items" in entry:
        return f"list, each {_allowed(entry['items'])}"
    words = {
        "minimum": "at least {}",
        "exclusiveMinimum": "more than {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "less than {}",
        "pattern": "like `{}`",
    }
    limits = ", ".join(word.format(entry[key]) for key, word in words.items() if key in entry)
    return f"{str(entry['type']).replace('string', 'text')} {limits}".strip()


def _table(title: str, description: str, rows: list[tuple[str, str, str]]) -> str:
    """A Markdown section with one table."""
    head = [f"\n## {title}\n", f"{' '.join(description.split())}\n", "| key | allowed | meaning |", "|---|---|---|"]
    return "\n".join([*head, *(f"| {key} | {allowed} | {' '.join(meaning.split())} |" for key, allowed, meaning in rows)])


if __name__ == "__main__":
    artifacts.write_text(MANUAL, manual(MANUAL.read_text(encoding="utf-8")))
