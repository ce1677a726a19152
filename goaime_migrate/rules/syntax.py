"""Small questions to a syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator


def dotted_name(node: ast.AST) -> str:
    """``a.b.c`` as it is written; empty for what is no name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def root(node: ast.AST) -> str:
    """The name that a chain of attributes, subscripts and calls begins with: ``d`` for ``d["a"][0].b``."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def calls(node: ast.AST) -> Iterator[ast.Call]:
    """All calls within."""
    return (each for each in ast.walk(node) if isinstance(each, ast.Call))


def own_nodes(node: ast.Module | ast.FunctionDef) -> Iterator[ast.AST]:
    """All that is within, but for the bodies of functions that are defined there."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        each = waiting.pop()
        if not isinstance(each, ast.FunctionDef):
            yield each
            waiting += ast.iter_child_nodes(each)


def names(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that are read among these, those behind a dot too."""
    found = (getattr(node, "id", getattr(node, "attr", None)) for node in nodes)
    return {name for name in found if name is not None}


def imports_of(tree: ast.Module) -> dict[str, str]:
    """What names that are imported anywhere stand for: ``{"T": "time.time"}``."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {each.asname or each.name: f"{node.module or ''}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                each.asname or each.name.partition(".")[0]: each.name
                if each.asname
                else each.name.partition(".")[0]
                for each in node.names
            }
    return found


def argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """An argument of a call, wherever it stands."""
    if position < len(call.args):
        return call.args[position]
    return next((each.value for each in call.keywords if each.arg == name), None)


def unconditional(function: ast.FunctionDef) -> Iterator[ast.stmt]:
    """The statements that run for every document: those behind an `if` may run for a document only once."""
    waiting: list[ast.stmt] = list(function.body)
    while waiting:
        statement = waiting.pop(0)
        if isinstance(statement, ast.If | ast.Try | ast.Match | ast.FunctionDef | ast.ClassDef):
            continue
        yield statement
        waiting = [each for each in ast.iter_child_nodes(statement) if isinstance(each, ast.stmt)] + waiting
