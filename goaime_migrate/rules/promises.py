"""What can be said of documents afterwards."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from goaime_migrate.operations import RunFunctions, TransformDocuments
from goaime_migrate.results import Severity
from goaime_migrate.rules.registry import FILES, TURNS, Said
from goaime_migrate.rules.source import File
from goaime_migrate.rules.syntax import root, unconditional
from goaime_migrate.rules.turn import Turn

_GROWING = ("append", "extend", "insert")
_WHERE = "say with where= which documents still have the old shape, such as where={'new_field': {'$exists': False}}"


@FILES.rule("not-settled", Severity.NOTE)
def not_settled(file: File) -> Iterator[Said]:
    """A transform changes its own result again when it is applied to it: `d["n"] += 1`.

    Documents that the application writes in the new shape while it runs cannot be told from old ones, unless `where=`
    says which are old. `plan` knows it from the documents.
    """
    for number, operation in enumerate(file.migration.operations):
        statement = _unsettling(file, operation)
        if statement is not None:
            yield Said(
                f"{_name(operation)} changes its own results again: {ast.unparse(statement)}",
                _WHERE,
                {"code": ast.unparse(statement)},
                collection=operation.collection,
                line=statement.lineno or file.line_of(number),
            )


@TURNS.rule("not-settled", Severity.NOTE)
def not_settled_here(turn: Turn) -> Iterator[Said]:
    """The same, tried on the first documents of the collection."""
    if turn.seen is None or turn.seen.settled is not False or turn.where:
        return
    transforms = [o for o in turn.operations if isinstance(o, TransformDocuments)]
    if transforms and turn.seen.error is None:
        names = ", ".join(_name(o) for o in transforms)
        yield Said(
            f"applied to its own results, {names} changes them again",
            _WHERE,
            {"documents": turn.seen.looked_at},
        )


@FILES.rule("no-promise", Severity.NOTE)
def no_promise(file: File) -> Iterator[Said]:
    """Nothing can be verified of a version afterwards: it has no `model=`, `check=` or `verify(db)`, nor a fixed point.

    A transform that leaves its own results as they are promises that: `verify` tells what it would still change.
    """
    if file.migration.verify is not None:
        return
    for number, operation in enumerate(file.migration.operations):
        silent = isinstance(operation, RunFunctions) or (
            operation.walks
            and getattr(operation, "model", None) is None
            and getattr(operation, "check", None) is None
            and _unsettling(file, operation) is not None
        )
        if silent:
            up = file.functions.get("up")
            yield Said(
                f"nothing can be verified afterwards of: {operation.describe()}",
                "define verify(db) in the file"
                if isinstance(operation, RunFunctions)
                else "give it model= or check=, or define verify(db) in the file",
                collection=operation.collection,
                line=up.lineno if up is not None else file.line_of(number),
            )
            return


def _name(operation: Any) -> str:
    return getattr(operation.transform, "__name__", repr(operation.transform))


def _unsettling(file: File, operation: object) -> ast.stmt | None:
    """The statement of a transform in this file that changes what it has changed before."""
    if not isinstance(operation, TransformDocuments) or operation.where:
        return None
    function = _source(file, operation.transform)
    if function is None or not function.args.args:
        return None
    document = function.args.args[0].arg
    return next((s for s in unconditional(function) if _adds_to(s, document)), None)


def _source(file: File, transform: Callable[..., object]) -> ast.FunctionDef | None:
    """The function as it stands in this file, if it does."""
    code = getattr(inspect.unwrap(transform), "__code__", None)
    found = file.functions.get(getattr(transform, "__name__", ""))
    return found if found is not None and code and code.co_filename == str(file.migration.path) else None


def _adds_to(statement: ast.stmt, document: str) -> bool:
    """Whether a statement makes more of what the document has: `d["n"] += 1`, `d["list"].append(x)`."""
    if isinstance(statement, ast.AugAssign):
        return isinstance(statement.target, ast.Subscript) and root(statement.target) == document
    if isinstance(statement, ast.Assign):
        value, target = statement.value, statement.targets[0]
        own = isinstance(target, ast.Subscript) and root(target) == document
        return own and isinstance(value, ast.BinOp) and ast.unparse(target) == ast.unparse(value.left)
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value.func
        return (
            isinstance(call, ast.Attribute)
            and call.attr in _GROWING
            and isinstance(call.value, ast.Subscript)
            and root(call.value) == document
        )
    return False
