"""All methods by name, one for each file of `radt.methods`. There is no other list."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from radt.settings.methods import Method, Theme

FOLDER = Path(__file__).parents[1] / "methods"


def module(name: str) -> ModuleType:
    """The module of a method. `radt.pipeline.fingerprint` follows its uses by name."""
    return import_module(f"radt.methods.{name}")


MODULES = [module(path.stem) for path in sorted(FOLDER.glob("[a-z]*.py"))]
MODULES.sort(key=lambda module: module.THEME.order)
METHODS: dict[str, Method] = {module.__name__.rpartition(".")[2]: module.METHOD for module in MODULES}
THEMES: dict[str, Theme] = {module.__name__.rpartition(".")[2]: module.THEME for module in MODULES}
TRAINED = {name: method for name, method in METHODS.items() if method.stage}
VECTORS = {method.encoder: method.vectors for method in TRAINED.values() if method.encoder}
"""Sections that determine the vectors of each encoder, besides `trajectories`."""
