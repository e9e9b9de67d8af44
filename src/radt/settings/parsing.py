"""Validation of values as a section, with one sentence for an error."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from radt.errors import RadtError
from radt.settings.base import Section
from radt.settings.experiments import SUITES
from radt.settings.renamed import new_name

SHOWN = 200
"""Most characters of a wrong value that a sentence repeats."""
FORMS, TASKS = ("drawn", "listed"), ("arguments", "attributes")
"""Forms of values of tasks, and keys that hold them: in pydantic's errors, a form follows its key."""
SectionT = TypeVar("SectionT", bound=Section)


def explain(error: ValidationError) -> str:
    """One sentence for the first problem of a validation: key, value, what is allowed."""
    problem = min(error.errors(), key=_rank)
    key = ".".join(_without_suite(problem["loc"])) or "configuration"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        given = f"has the value {problem['ctx']['tag']!r}" if "ctx" in problem and "tag" in problem["ctx"] else "is missing"
        return f"configuration key {f'{key}.suite'.removeprefix('configuration.')!r} {given}: allowed are {', '.join(SUITES)}"
    if problem["type"] == "extra_forbidden" and (name := new_name(key)):
        return f"configuration key {key!r} is now {name}: rename it"
    if problem["type"] == "extra_forbidden":
        return f"unknown configuration key {key!r}: remove it or correct its spelling (config/README.md lists all keys)"
    if problem["type"] == "missing":
        return f"configuration key {key!r} is missing: config/config.yaml shows its place"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"configuration key {key!r}: {message}" if problem["loc"] else f"configuration: {message}"
    value = repr(problem["input"])
    shown = value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
    return f"configuration key {key!r} has the value {shown}: {message[0].lower()}{message[1:]}"


def _rank(problem: ErrorDetails) -> tuple[bool, bool]:
    """Sort key of problems: old keys first (their new names are missing, too), values that do not fit together last."""
    old = problem["type"] == "extra_forbidden" and new_name(".".join(_without_suite(problem["loc"]))) is not None
    return not old, problem["type"] == "value_error"


def _without_suite(place: tuple[str | int, ...]) -> list[str]:
    """The keys that lead to a problem, without names of suites and forms, which are no keys."""
    parts = [str(part) for part in place]
    parts = [part for number, part in enumerate(parts) if part not in FORMS or parts[max(number - 2, 0)] not in TASKS]
    behind = {"experiments": 2, "experiment": 1}.get(parts[0] if parts else "", len(parts))
    return parts[:behind] + parts[behind + 1 :] if parts[behind : behind + 1] and parts[behind] in SUITES else parts


def parse(kind: type[SectionT], values: dict[str, Any] | str) -> SectionT:
    """Validate `values` (a mapping, or JSON text) as `kind`; raises `RadtError` with one sentence."""
    try:
        text = values if isinstance(values, str) else json.dumps(values, default=str)
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise RadtError(explain(error)) from None
