"""Configuration files as plain values: each is written out, then merged over those before it.

`model` and `optimization` of a file stand for the same keys of every section that has them. So a later file changes all networks
by `model`, and one of them by its section.
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
"""The keys that lead to a value; `*` stands for any."""


class Shared(Section):
    """What several sections have. A key here holds in all of them, but for those that say otherwise in the same file."""

    model: Model
    """Network of `pretrain`, `train_retrieval`, `train_ad` and `train_dpt`."""
    optimization: Optimization
    """Training of the same."""


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
"""Mappings whose entries are the user's: there null removes an entry, and elsewhere it is a value."""
PARTS: tuple[Place, ...] = (("experiments", "*"), ("ablations", "*", "variants", "*"))
"""Mappings that say what differs from the sections."""


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
    """`values` with each mapping at a place changed; what is no mapping stays as it is, to be refused later."""
    if not isinstance(values, dict):
        return values
    if not place:
        return change(values)
    first, rest = place[0], place[1:]
    return {key: at(value, rest, change) if first in ("*", key) else value for key, value in values.items()}


def written_out(changes: Values) -> Values:
    """The values of a file with its `model` and `optimization` in all sections that have them; what a section says itself stays.

    Those of an experiment or of a variant are in its sections only.
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
    """A section with a shared key, over which it has its own."""
    own = section.get(key, {} if isinstance(shared, dict) else shared)
    return {**section, key: merge(shared, own) if isinstance(shared, dict) and isinstance(own, dict) else own}


def alike(values: Values) -> Values:
    """`values` whose experiments and variants with `like` begin with another; raises `RadtError` where there is none."""
    for place in PARTS:
        values = at(values, place[:-1], _alike)
    return values


def _alike(entries: Values) -> Values:
    """The same of one mapping of experiments or of variants."""
    first = {name: entry for name, entry in entries.items() if isinstance(entry, dict) and "like" not in entry}
    return {**entries, **{name: _like(name, entries[name], first) for name in entries.keys() - first.keys()}}


def _like(name: str, entry: Any, first: dict[str, Values]) -> Any:
    """One entry over the one that it is like."""
    if not isinstance(entry, dict):
        return entry
    if not isinstance(entry["like"], str) or entry["like"] not in first:
        raise RadtError(f"{name}.like is {entry['like']!r}, allowed is one that is like no other: {sorted(first)}")
    merged = merge(first[entry["like"]], entry, PARTS[0])  # a place where null is kept inside sections
    del merged["like"]
    return merged
