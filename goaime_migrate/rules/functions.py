"""Plain `up(db)` and `down(db)`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from goaime_migrate.operations import RunFunctions
from goaime_migrate.results import Severity
from goaime_migrate.rules.registry import FILES, Said
from goaime_migrate.rules.source import File
from goaime_migrate.rules.syntax import argument, calls, dotted_name

_AT_ONCE = ("update_many", "delete_many")
_WRITING_STAGES = ("$out", "$merge")


@FILES.rule("irreversible", Severity.WARNING)
def irreversible(file: File) -> Iterator[Said]:
    """A version has no way back: `up(db)` without `down(db)`. `down` refuses it, and all versions above it."""
    for number, operation in enumerate(file.migration.operations):
        if not operation.reversible:
            up = file.functions.get("up")
            plain = isinstance(operation, RunFunctions)
            yield Said(
                "there is no way back" + (": it has up(db) and no down(db)" if plain else ""),
                "define down(db), or declare operations instead, which `down` takes back by itself",
                {"operation": operation.describe()},
                line=up.lineno if up is not None else file.line_of(number),
            )


@FILES.rule("unbounded-function", Severity.WARNING)
def unbounded_function(file: File) -> Iterator[Said]:
    """A plain `up(db)` updates or deletes all documents of a collection in one command.

    That is no batch: it holds up the application's writes, it cannot be paced, seen, stopped or resumed, and nothing
    of it is kept for the way back.
    """
    up = file.functions.get("up")
    for call in calls(up) if up is not None else ():
        if not isinstance(call.func, ast.Attribute):
            continue
        collection = _collection(call.func.value)
        if (call.func.attr in _AT_ONCE and _is_empty(argument(call, 0, "filter"))) or (
            call.func.attr == "aggregate" and _writes(call)
        ):
            yield Said(
                f"up(db) calls {call.func.attr} on all documents of {collection or 'a collection'} at once",
                f"write instead: {_instead(call.func.attr, collection, call)}",
                {"code": ast.unparse(call)},
                collection=collection,
                line=call.lineno,
            )


def _collection(node: ast.AST) -> str | None:
    """The collection that ``db.c``, ``db["c"]`` or ``db.get_collection("c")`` names."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "with_options":
            return _collection(node.func.value)
        name = argument(node, 0, "name")
        return str(name.value) if isinstance(name, ast.Constant) else None
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return None


def _is_empty(condition: ast.expr | None) -> bool:
    if isinstance(condition, ast.Call):
        return dotted_name(condition.func) == "dict" and not (condition.args or condition.keywords)
    return isinstance(condition, ast.Dict) and not condition.keys


def _writes(call: ast.Call) -> bool:
    return any(isinstance(n, ast.Constant) and n.value in _WRITING_STAGES for n in ast.walk(call))


def _instead(method: str, collection: str | None, call: ast.Call) -> str:
    """The operation that does the same in batches."""
    name = repr(collection or "COLLECTION")
    if method == "delete_many":
        return f"operations = [DropCollection({name})], which is kept aside until it is pruned"
    if method == "aggregate":
        return f"operations = [TransformDocuments({name}, …)], or UpdateDocuments({name}, [stages])"
    change = argument(call, 1, "update")
    stages = change if isinstance(change, ast.List) else ast.List([change]) if change else None
    shown = ast.unparse(stages) if stages is not None else "[{'$set': …}]"
    return f"operations = [UpdateDocuments({name}, {shown})]"
