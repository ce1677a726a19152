"""A migration: a numbered file, what it declares, and the checksum that recognises it again."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

EMPTY = "nothing.py, with the line: operations = []"
"""The end of the name of a migration that only takes up a number, and all that it holds."""
PLACEHOLDER = "collection_name"
"""The collection in the templates of `new`."""
FILE_NAME = re.compile(r"(?P<number>[0-9]{1,9})_(?P<name>\w+)\.py")


class Operation(Protocol):
    """What the planner knows of an operation: enough to order, group, describe and refuse."""

    @property
    def collection(self) -> str | None:
        """The collection it works on, None where it is anybody's guess (a plain function)."""

    @property
    def reversible(self) -> bool:
        """Whether `down` can undo it."""

    @property
    def walks(self) -> bool:
        """Whether it walks over documents, in a pass; else it changes a state of the database, by itself."""

    @property
    def selective(self) -> bool:
        """Whether it may be done to some documents before the others."""

    @property
    def fusion(self) -> object | None:
        """Consecutive operations with the same collection and equal, non-None values may share one pass."""

    @property
    def reads(self) -> frozenset[str]:
        """Other collections that it reads while it runs."""

    @property
    def names(self) -> frozenset[str]:
        """All collections that it names."""

    def describe(self) -> str:
        """One line for people."""


class Helper(NamedTuple):
    """A module of the migrations folder that a migration imports: its path in that folder, and the hash of its code."""

    path: str
    checksum: str


class Migration(NamedTuple):
    """One file of the migrations folder, loaded."""

    version: str
    name: str
    description: str
    checksum: str
    path: Path
    operations: tuple[Operation, ...]
    verify: Callable[[Any], Iterable[str] | None] | None = None
    supersedes: tuple[str, ...] = ()
    helpers: tuple[Helper, ...] = ()
    """The modules beside the migrations that it imports, and that those import."""

    @property
    def reversible(self) -> bool:
        """Whether every operation of it can be undone."""
        return all(operation.reversible for operation in self.operations)

    @property
    def label(self) -> str:
        """Number and name, as the file is called."""
        return f"{self.version}_{self.name}"


def version_of(number: int) -> str:
    """The canonical form of a version number: at least four digits.

    >>> version_of(3)
    '0003'
    """
    return f"{number:04d}"


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_FREE = frozenset({"kind", "type_comment"})
"""Fields of a syntax tree that mean nothing."""


def checksum(source: str | bytes | ast.Module) -> str:
    """A hash of what the code means: comments, formatting and docstrings are free to change.

    The syntax tree is dumped without positions. Raises SyntaxError.
    """
    tree = source if isinstance(source, ast.Module) else ast.parse(source)
    return hashlib.sha256(_canonical(tree).encode()).hexdigest()[:16]


def _canonical(node: object) -> str:
    """The tree as text, the same in every Python release: fields that are empty or absent are left out."""
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={_canonical(value)}"
            for name in node._fields
            if (value := _field(node, name)) is not None and value != [] and name not in _FREE
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(_canonical, node))}]"
    return repr(node)


def _field(node: ast.AST, name: str) -> object:
    """What a node has there; a body without its docstring."""
    if name == "body" and isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        return node.body[1:]
    return getattr(node, name, None)
