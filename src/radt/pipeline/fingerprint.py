"""Fingerprint of the code behind a stage: the part of Snakemake's rerun decision that Snakemake cannot see.

A rule names a stage module; `fingerprint` hashes the syntax trees of that module and of all code of this package that it uses,
transitively. Comments, layout and docstrings are left out, so editing them changes nothing.

Imports are followed by name. Of `from radt.settings.retrieval import Embed`, and of `store.load` after `from radt.models import
store`, only that class or function counts, with the code that it uses: a new key of one section does not rerun the stages of
others. A module that is used in any other way counts whole; code that runs at import always counts. Code that registers itself by
a decorator would be missed; the package has none. Nothing is imported here, and other packages are ignored.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from radt.errors import RadtError

SOURCE = Path(__file__).parents[2]
EVERYTHING = "*"
RUN_ON_IMPORT = ""
LEFT_OUT = ("ctx", "type_comment", "kind")
"""Fields of a syntax tree that do not change what code does."""
FIELDS: dict[Any, tuple[tuple[str, str], ...]] = {
    kind: tuple((name, f"{name}=") for name in kind._fields if name not in LEFT_OUT)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
"""The other fields by kind of node, each with the text before its value."""
Symbol = tuple[str, str]
"""A module, and a name in it, `EVERYTHING`, or `RUN_ON_IMPORT`."""
METHODS, THEMES, THEME = "radt.methods", ("radt.settings.registry", "THEMES"), "THEME"
"""The package of methods, which are imported by name; the table of their themes, and the name of a theme in each module."""
SUITES: dict[Symbol, str] = {
    ("radt.settings.experiments", "AnyExperiment"): "settings",
    ("radt.suites", "experiment_spec"): "spec",
    ("radt.suites", "seeing_suite_of"): "suite",
    ("radt.suites", "suite_of"): "suite",
    ("radt.suites.sources", "histories"): "sources",
    ("radt.suites.sources", "learn"): "rl",
    ("radt.suites.transitions", "experience"): "experience",
    ("radt.suites.transitions", "recollection"): "experience",
}
"""Functions that import a module of a suite by the name of the suite, and the name of that module."""
WITHOUT_EFFECT: tuple[Symbol, ...] = (("radt.pipeline.provenance", "WRITES"), ("radt.settings.renamed", "RENAMED"))
"""Tables that do not change what a stage writes: a new stage or a new name of a key must not rerun the others."""


@dataclass(frozen=True)
class Statement:
    """A top-level statement: the name that it defines, the names and attributes that it uses, and its imports."""

    node: ast.stmt
    text: str
    """The statement without docstrings and layout."""
    defines: str
    uses: frozenset[Symbol]
    imports: tuple[Symbol, ...]


@dataclass(frozen=True)
class Module:
    """The statements of a file by the name that they define, and the names in it that refer to other modules."""

    statements: dict[str, list[Statement]]
    modules: dict[str, str]
    main: list[Statement]

    def chosen(self, name: str) -> list[Statement]:
        """The statements that define `name`, or all but the main block."""
        if name == EVERYTHING:
            return [statement for statements in self.statements.values() for statement in statements]
        return self.statements.get(name, [])


def agent_code(method: str) -> tuple[Symbol, ...]:
    """Symbols that an evaluation imports by the name of a method."""
    return ((f"{METHODS}.{method}", "agent"),)


def training_code(method: str) -> tuple[Symbol, ...]:
    """Symbols that a training imports by the name of a method."""
    return ((f"{METHODS}.{method}", "Selection"), (f"{METHODS}.{method}", "training"))


def encoder_code(encoder: str) -> tuple[Symbol, ...]:
    """Symbols that the stage `embed` imports by the name of an encoder."""
    return ((f"radt.encoders.{encoder}", "vectors"),)


@cache
def fingerprint(module: str, source: Path = SOURCE, by_name: tuple[Symbol, ...] = (), suites: tuple[str, ...] = ()) -> str:
    """16 hex digits for the code that `python -m {module}` runs.

    Args:
        module: the stage.
        source: the folder that holds the package.
        by_name: symbols that the stage imports by names on its command line.
        suites: the suites of its experiments, which it imports by name.

    Raises `RadtError` when a module is missing or is not valid Python.
    """
    reached: set[Symbol] = set()
    main = _read(module, source).main
    waiting: list[Symbol] = [(module, EVERYTHING), *(need for statement in main for need in _needs_of(statement, module, source))]
    waiting += by_name
    while waiting:
        symbol = waiting.pop()
        if symbol not in reached and symbol not in WITHOUT_EFFECT:
            reached.add(symbol)
            waiting += _needs(*symbol, source)
            own = [f"radt.suites.{suite}.{SUITES[symbol]}" for suite in suites if symbol in SUITES]
            waiting += [(name, EVERYTHING) for name in own if _file(name, source)]
    texts = {f"{name}:{statement.text}" for name, item in reached for statement in _read(name, source).chosen(item)}
    texts |= {f"{module}:{statement.text}" for statement in main}
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:16]


@cache
def _needs(name: str, wanted: str, source: Path) -> frozenset[Symbol]:
    """The symbols that a symbol needs."""
    module = _read(name, source)
    first = list(_imported_at_once(name, source)) if wanted == RUN_ON_IMPORT else [(name, RUN_ON_IMPORT)]
    if (name, wanted) == THEMES:
        first += [(f"{METHODS}.{file.stem}", THEME) for file in source.joinpath(*METHODS.split(".")).glob("[a-z]*.py")]
    return frozenset([*first, *(need for part in module.chosen(wanted) for need in _needs_of(part, name, source))])


def _needs_of(statement: Statement, name: str, source: Path) -> Iterator[Symbol]:
    """The symbols that a statement of module `name` needs."""
    module = _read(name, source)
    if statement.defines not in module.modules:
        for imported, item in statement.imports:
            yield from _imported(imported, item, source)
    for used, attribute in statement.uses:
        if used in module.statements:
            yield name, used
        if used in module.modules:
            yield from _imported(module.modules[used], attribute, source)


def _imported_at_once(name: str, source: Path) -> Iterator[Symbol]:
    """The modules that run when a module is imported: its packages and its top-level imports."""
    if package := name.rpartition(".")[0]:
        yield package, RUN_ON_IMPORT
    for statement in _read(name, source).chosen(EVERYTHING):
        if isinstance(statement.node, ast.Import | ast.ImportFrom):
            for imported, item in statement.imports:
                yield (f"{imported}.{item}" if _file(f"{imported}.{item}", source) else imported), RUN_ON_IMPORT


def _imported(name: str, item: str, source: Path) -> Iterator[Symbol]:
    """The symbols of `from name import item`: a module, a name, or a module that `name` has imported itself."""
    if _file(f"{name}.{item}", source):
        yield f"{name}.{item}", EVERYTHING
    else:
        yield name, item
        if item in (modules := _read(name, source).modules):
            yield modules[item], EVERYTHING


@cache
def _file(name: str, source: Path) -> Path | None:
    """The file of a module or of a package, if it exists."""
    path = source.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def _read(name: str, source: Path) -> Module:
    """Parse a module; a folder without `__init__.py` is an empty one."""
    file = _file(name, source)
    if file is None:
        path = source.joinpath(*name.split("."))
        if path.is_dir():
            return Module({}, {}, [])
        raise RadtError(f"module {name} is missing, expected in {path}.py: restore the file or correct the import")
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except SyntaxError as error:
        raise RadtError(f"{file}:{error.lineno} is not valid Python ({error.msg}): correct it") from None
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    module = Module({}, {}, [])
    for node in (part for statement in body for part in _split(statement)):
        statement = _statement(node, package)
        if isinstance(node, ast.If) and not node.orelse and ("TYPE_CHECKING", EVERYTHING) in statement.uses:
            continue
        if isinstance(node, ast.If) and ("__name__", EVERYTHING) in statement.uses:
            module.main.append(statement)
        else:
            module.statements.setdefault(statement.defines, []).append(statement)
        if isinstance(node, ast.ImportFrom) and statement.imports and _file(".".join(statement.imports[0]), source):
            module.modules[statement.defines] = ".".join(statement.imports[0])
    return module


def _split(node: ast.stmt) -> list[ast.stmt]:
    """A top-level statement with one imported name each; none for a bare string."""
    match node:
        case ast.Import(names=aliases):
            return [ast.Import([alias]) for alias in aliases]
        case ast.ImportFrom(module=module, names=aliases, level=level):
            return [ast.ImportFrom(module, [alias], level) for alias in aliases]
    return [] if _is_text(node) else [node]


def _statement(node: ast.stmt, package: str) -> Statement:
    """One top-level statement of a module in `package`, with its imports from the same top-level package."""
    uses: set[Symbol] = set()
    imports: list[Symbol] = []
    bases: set[int] = set()
    parts: list[Any] = []
    canonical = _canonical(node, parts)
    for part in parts:
        kind = type(part)
        if kind is ast.Attribute and type(part.value) is ast.Name:
            uses.add((part.value.id, part.attr))
            bases.add(id(part.value))
        elif kind is ast.Name and id(part) not in bases:
            uses.add((part.id, EVERYTHING))
        elif kind is ast.Constant and type(part.value) is str and part.value.isidentifier():
            uses.add((part.value, EVERYTHING))  # a quoted annotation, or a name that is looked up
        elif kind is ast.Import:
            imports += [(alias.name, EVERYTHING) for alias in part.names]
        elif kind is ast.ImportFrom:
            parents = package.split(".")[: len(package.split(".")) - part.level + 1] if part.level else []
            imports += [(".".join([*parents, *([part.module] if part.module else [])]), alias.name) for alias in part.names]
    ours = tuple(item for item in imports if item[0].partition(".")[0] == package.partition(".")[0])
    return Statement(node, canonical, _defines(node), frozenset(uses), ours)


def _defines(node: ast.stmt) -> str:
    """The name that a top-level statement defines when that is all it does; otherwise `RUN_ON_IMPORT`."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case ast.Import(names=[alias]) | ast.ImportFrom(names=[alias]) if alias.name != EVERYTHING:
            return alias.asname or alias.name.partition(".")[0]
    return RUN_ON_IMPORT


def _is_text(node: object) -> bool:
    """Whether a statement is a bare string, such as a docstring."""
    return type(node) is ast.Expr and type(node.value) is ast.Constant and type(node.value.value) is str


def _canonical(value: object, parts: list[Any]) -> str:
    """Text of a syntax tree without docstrings, positions and empty fields, the same for every Python version.

    Its nodes are added to `parts`, each before those below it. Written for speed: it sees every node of the package.
    """
    if type(value) is list:
        return f"[{','.join([_canonical(item, parts) for item in value if not _is_text(item)])}]"
    if not isinstance(value, ast.AST):
        return repr(value)
    parts.append(value)
    values, texts = value.__dict__, []
    for name, before in FIELDS[type(value)]:
        item = values.get(name)
        if item is not None and item != []:
            texts.append(before + _canonical(item, parts))
    return f"{type(value).__name__}({','.join(texts)})"
