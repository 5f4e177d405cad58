"""Digests of what code does: a definition and all that it uses, without docstrings, comments and layout.

`code_digest(Dice)` changes when a line of `Dice`, of a class it derives from or of a function that one of
them calls changes, and stays when a comment does, or something in the same file that `Dice` does not use.

Only the library's own code is followed (and, for a class from a file of one's own, the files beside that
file); versions of other packages are recorded with a run instead. A class that stands in a table (`LOSSES`)
is not followed from there, or every loss would depend on every other: callers name the classes that were
taken.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from mammoseg_lib import paths
from mammoseg_lib.storage import digest

PACKAGE = "mammoseg_lib"


def code_digest(*objects: object) -> str:
    """One digest of some functions, classes and modules and of every definition of the project that they use.

    Args:
        *objects: Functions, classes or modules, from Python source.

    Raises:
        TypeError: Of something there is no source.
    """
    seen: dict[tuple[Path, str], tuple] = {}
    waiting = [unit for each in objects for unit in _units_of(each)]
    while waiting:
        path, name = unit = waiting.pop()
        if unit in seen:
            continue
        module = _module(path)
        if name not in module.bindings:
            continue
        seen[unit], references = module.read(name)
        waiting.extend((path, each) for each in module.effects)
        waiting.extend(_used(module, references))
    # By name and text only: a definition that moves to another file does the same there.
    return digest(sorted(([name, *nodes] for (_, name), nodes in seen.items()), key=str))


def file_digest(path: Path) -> str:
    """Digest of a whole file: of Python what it does, of anything else every character."""
    text = path.read_text(encoding="utf-8")
    return digest(_plain(_Bare().visit(ast.parse(text))) if path.suffix == ".py" else text)


class _Reference(NamedTuple):
    """A name in a statement: which attribute of it is taken, and whether it is a value in a table."""

    name: str
    attribute: str | None
    listed: bool


@dataclass(frozen=True)
class _Module:
    """The top-level definitions of a file.

    Attributes:
        path: The file.
        bindings: Name to the statements that bind it; what is no definition stands under a name of its own.
        imports: Name to what it was imported from: (module file, name there), the name None for a module.
        effects: Names of the statements that bind nothing, which run at every import.
        known: What `read` found, by name.
    """

    path: Path
    bindings: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[Path, str | None]] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)
    known: dict[str, tuple[list, list]] = field(default_factory=dict)

    def read(self, name: str) -> tuple[list, list[_Reference]]:
        """The statements that bind a name as plain lists, and the names in them; kept, for many ask."""
        if name not in self.known:
            nodes = self.bindings[name]
            references = [each for node in nodes for each in _references(node)]
            self.known[name] = [_plain(node) for node in nodes], list(dict.fromkeys(references))
        return self.known[name]


def _module(path: Path) -> _Module:
    return _parsed(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1024)
def _parsed(path: Path, _modified: int) -> _Module:
    tree = _Bare().visit(ast.parse(path.read_text(encoding="utf-8")))
    module = _Module(path)
    for node in _statements(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module.imports.update(_imported(path, node))
            continue
        names = list(_bound(node))
        if not names:
            names = [f"statement {len(module.effects)}"]
            module.effects.append(names[0])
        for name in names:
            module.bindings.setdefault(name, []).append(node)
    return module


class _Bare(ast.NodeTransformer):
    """Without strings that stand as statements: docstrings, and texts below an attribute."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        node = super().generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and not node.body:
            node.body = [ast.Pass()]
        return node


def _plain(node: object) -> object:
    """A syntax tree as lists, the same in every version of Python: without what is empty or of a context."""
    if isinstance(node, ast.AST):
        fields = [field for field in ast.iter_fields(node) if field[0] not in ("ctx", "kind")]
        parts = [(name, _plain(value)) for name, value in fields]
        return [type(node).__name__, *([name, part] for name, part in parts if part not in (None, []))]
    if isinstance(node, list):
        return [_plain(each) for each in node]
    return node if isinstance(node, str | int | float | bool | None) else repr(node)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those inside a top-level `if` or `try` as well."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            parts = (node.body, node.orelse, getattr(node, "finalbody", []))
            handlers = [handler.body for handler in getattr(node, "handlers", [])]
            for part in (*parts, *handlers):
                yield from _statements(part)
        else:
            yield node


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))


def _imported(path: Path, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, tuple[Path, str | None]]]:
    """What an import binds, where it is of the project."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname and (found := _file(path, alias.name)):
                yield alias.asname, (found, None)
        return
    if node.level:  # relative, as in a package of one's own
        folder = path.parents[node.level - 1]
        base = folder.joinpath(*(node.module or "").split(".")) if node.module else folder
    else:
        base = _base(path, node.module)
    for alias in node.names:
        name = alias.asname or alias.name
        if submodule := _existing(base / alias.name):
            yield name, (submodule, None)
        elif module := _existing(base):
            yield name, (module, alias.name)


def _base(path: Path, dotted: str) -> Path:
    first, *rest = dotted.split(".")
    root = paths.LIBRARY if first == PACKAGE else path.parent / first
    return root.joinpath(*rest)


def _file(path: Path, dotted: str) -> Path | None:
    return _existing(_base(path, dotted))


def _existing(base: Path) -> Path | None:
    for candidate in (base.with_name(base.name + ".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _references(node: ast.stmt) -> Iterator[_Reference]:
    """The names in a statement."""
    attributes: dict[int, str] = {}  # of which name, by the place of its node, which attribute is taken
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
            attributes[id(each.value)] = each.attr
    listed = _listed(node)
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            yield _Reference(each.id, attributes.get(id(each)), id(each) in listed)


def _used(module: _Module, references: list[_Reference]) -> Iterator[tuple[Path, str]]:
    """The definitions that names refer to."""
    for each in references:
        for path, name in _resolve(module, each.name, each.attribute):
            if not each.listed or not _is_class(path, name):
                yield path, name


def _listed(node: ast.stmt) -> set[int]:
    """The values of a table, `NAMES = {"a": A, "b": B}`."""
    value = getattr(node, "value", None)
    return {id(each) for each in value.values} if isinstance(value, ast.Dict) else set()


def _is_class(path: Path, name: str) -> bool:
    return any(isinstance(each, ast.ClassDef) for each in _module(path).bindings.get(name, ()))


def _resolve(module: _Module, name: str, attribute: str | None = None) -> Iterator[tuple[Path, str]]:
    if name in module.bindings:
        yield module.path, name
    if name not in module.imports:
        return
    path, original = module.imports[name]
    if original is not None:
        yield from _resolve(_module(path), original, attribute)
    elif attribute is not None:
        yield from _resolve(_module(path), attribute)
    else:
        yield from _all_of(path)


def _all_of(path: Path) -> Iterator[tuple[Path, str]]:
    module = _module(path)
    yield from ((path, name) for name in module.bindings)
    for name in module.imports:
        if path.name == "__init__.py":  # what a package offers
            yield from _resolve(module, name)


def _units_of(each: object) -> Iterator[tuple[Path, str]]:
    each = inspect.unwrap(each)  # annotations are checked by a wrapper in tests
    path = Path(inspect.getsourcefile(each)).resolve()
    if isinstance(each, ModuleType):
        yield from _all_of(path)
    else:
        yield path, each.__qualname__.partition(".")[0]
