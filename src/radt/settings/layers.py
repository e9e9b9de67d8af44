"""Configuration files as plain values: each is expanded, then merged over the files before it.

`model` and `optimization` at the top of a file are copied into every section that has these keys. So a file changes all networks
by `model`, and one network by its section.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from radt.errors import RadtError
from radt.settings.base import Section
from radt.settings.models import Model, Optimization
from radt.settings.stages import Stages

Values = dict[str, Any]
Place = tuple[str, ...]
"""Path of keys to a value; `*` matches any key."""


class Shared(Section):
    """Keys that several sections have. A key here holds in all of them, except in sections that have it in the same file."""

    model: Model
    """Network of `pretrain`, `train_retrieval`, `train_ad` and `train_dpt`."""
    optimization: Optimization
    """Optimization of the same networks."""


def _having(key: str) -> list[str]:
    """The sections that have a key of `Shared`, of the same kind."""
    kind = Shared.model_fields[key].annotation
    inner = {name: getattr(stage.annotation, "model_fields", {}).get(key) for name, stage in Stages.model_fields.items()}
    return [name for name, field in inner.items() if field and field.annotation is kind]


SHARING = {key: _having(key) for key in Shared.model_fields}
"""The sections that have a key of `Shared`."""
EXTENDED: tuple[Place, ...] = (
    ("experiments",),
    ("experiments", "*"),
    ("ablations",),
    ("ablations", "*", "variants"),
    ("evaluate", "methods"),
)
"""Mappings with entries of the user, in which null removes an entry; elsewhere null is a value."""
PARTS: tuple[Place, ...] = (("experiments", "*"), ("ablations", "*", "variants", "*"))
"""Mappings of keys that differ from the sections."""


def merge(values: Values, changes: Values, place: Place = ()) -> Values:
    """`values` with `changes`, key by key; a value that is no mapping is replaced, and null removes an entry of `EXTENDED`.

    A mapping without entries therefore changes nothing; null instead of one of `EXTENDED` removes all its entries.
    """
    merged = dict(values)
    for key, value in changes.items():
        if isinstance(value, dict):
            old = values.get(key)
            merged[key] = merge(old if isinstance(old, dict) else {}, value, (*place, key))
        elif value is None and _extended(place):
            merged.pop(key, None)
        else:
            merged[key] = {} if value is None and _extended((*place, key)) else value
    return merged


def _extended(place: Place) -> bool:
    """Whether null removes an entry of the mapping at a place."""
    return any(
        len(place) == len(one) and all(part in ("*", key) for part, key in zip(one, place, strict=True)) for one in EXTENDED
    )


def at(values: Any, place: Place, change: Callable[[Values], Any]) -> Any:
    """`values` with each mapping at a place changed; other values stay as they are, and are refused later."""
    if not isinstance(values, dict):
        return values
    if not place:
        return change(values)
    first, rest = place[0], place[1:]
    return {key: at(value, rest, change) if first in ("*", key) else value for key, value in values.items()}


def written_out(changes: Values) -> Values:
    """The values of a file with its `model` and `optimization` copied into all sections, whose own keys take precedence.

    Those of an experiment or of a variant are copied into its own sections only.
    """
    found = _in_sections(changes)
    for place in PARTS:
        found = at(found, place, lambda part: {key: value for key, value in _in_sections(part).items() if key not in SHARING})
    return found


def _in_sections(changes: Values) -> Values:
    """`changes` with each key of `Shared` in the sections, too."""
    found = dict(changes)
    for key in SHARING.keys() & changes.keys():
        for name in SHARING[key]:
            section = found.get(name, {})
            found[name] = _with(section, key, changes[key]) if isinstance(section, dict) else section
    return found


def _with(section: Values, key: str, shared: Any) -> Values:
    """A section with a shared key; its own values take precedence."""
    own = section.get(key, {} if isinstance(shared, dict) else shared)
    return {**section, key: merge(shared, own) if isinstance(shared, dict) and isinstance(own, dict) else own}


def alike(values: Values) -> Values:
    """`values` with each `like` of experiments and variants resolved; raises `RadtError` when the named entry does not exist."""
    for place in PARTS:
        values = at(values, place[:-1], _alike)
    return values


def _alike(entries: Values) -> Values:
    """`alike` for one mapping of experiments or of variants."""
    first = {name: entry for name, entry in entries.items() if isinstance(entry, dict) and "like" not in entry}
    return {**entries, **{name: _like(name, entries[name], first) for name in entries.keys() - first.keys()}}


def _like(name: str, entry: Any, first: dict[str, Values]) -> Any:
    """One entry, merged over the entry that its `like` names."""
    if not isinstance(entry, dict):
        return entry
    if not isinstance(entry["like"], str) or entry["like"] not in first:
        raise RadtError(f"{name}.like is {entry['like']!r}, allowed is one that is like no other: {sorted(first)}")
    merged = merge(first[entry["like"]], entry, PARTS[0])  # at this place null is a value inside sections
    del merged["like"]
    return merged
