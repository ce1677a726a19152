"""Small questions to a syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator


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


def unconditional(function: ast.FunctionDef) -> Iterator[ast.stmt]:
    """The statements that run for every document: those behind an `if` may run for a document only once."""
    waiting: list[ast.stmt] = list(function.body)
    while waiting:
        statement = waiting.pop(0)
        if isinstance(statement, ast.If | ast.Try | ast.Match | ast.FunctionDef | ast.ClassDef):
            continue
        yield statement
        waiting = [each for each in ast.iter_child_nodes(statement) if isinstance(each, ast.stmt)] + waiting
