"""Types of values, and the base class of all sections of the configuration."""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]
NAME = r"[a-z][a-z0-9_]{0,63}"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]


def _expanded(text: str) -> str:
    """A path with `~` and `$NAME` replaced; others stay as they are written."""
    text = os.path.expandvars(text)
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        raise ValueError(f"{text!r} begins with a home that is not known, write the whole path") from None


Place = Annotated[str, Field(min_length=1), AfterValidator(_expanded)]
"""A path; `~` and `$NAME` stand for the home and for what an environment variable holds."""
Device = Literal["cpu", "cuda", "auto"]
LARGEST = 3e38
"""Largest absolute value of a number, which float32 can hold."""


class Section(BaseModel):
    """Base of every section: unknown keys and loose types are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _within_float32(self) -> Self:
        for name, value in self:
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(number, float) and abs(number) > LARGEST for number in numbers):
                raise ValueError(f"{name} is {value}, allowed are numbers up to {LARGEST:g}")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The JSON schema, where the docstring of each key is its description.

        Docstrings are read from the source here, not when a class is made, because that would delay every start of a program.
        """
        told = handler(schema)
        properties = handler.resolve_ref_schema(told)["properties"]
        for name, text in cls.key_docstrings().items():
            properties[name].setdefault("description", text)
        return told

    @classmethod
    def key_docstrings(cls) -> dict[str, str]:
        """Docstrings below keys, by key; keys of base classes come first."""
        found = {}
        for kind in reversed(cls.__mro__[: cls.__mro__.index(Section)]):
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
            for key, below in pairwise(tree.body if isinstance(tree, ast.ClassDef) else []):
                if isinstance(key, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                    found[ast.unparse(key.target)] = inspect.cleandoc(str(below.value.value))
        return found
