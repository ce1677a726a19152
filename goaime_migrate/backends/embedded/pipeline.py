"""Update pipelines, computed in memory: the stages here, the expressions in them by mongomock.

mongomock's own `$set` leaves a field alone where MongoDB removes it, replaces what MongoDB merges, and knows
neither `$unset` nor `$$NOW`; so it is only asked for the values of expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from importlib import import_module
from typing import Any

from goaime_migrate.backends import raw_bson, raw_splice
from goaime_migrate.backends.embedded.paths import MISSING
from goaime_migrate.errors import MigrateError, MissingCapability, OperationFailed, Unrepresentable
from goaime_migrate.results import Document

_HINT = "restore the dump into a MongoDB server with mongorestore and migrate it there"
_DEFECTS = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, AssertionError)
"""What mongomock raises where it meets values that it was not made for."""


def apply(document: bytes, stages: Sequence[Document], now: datetime) -> bytes:
    """The document as the stages make it; its very bytes where nothing changes.

    Raises MissingCapability for what mongomock lacks, OperationFailed for what MongoDB refuses as well.
    """
    failure = import_module("pymongo.errors").PyMongoError
    before = raw_bson.decode(document)
    after = deepcopy(before)
    try:
        for stage in stages:
            ((name, argument),) = stage.items()
            after = _stage(name)(after, _with_time(argument, now))
    except MigrateError:
        raise
    except NotImplementedError as error:
        raise MissingCapability(f"a dump directory cannot do this: {error}", hint=_HINT) from error
    except failure as error:
        raise OperationFailed(f"the pipeline failed: {error}", id=before["_id"]) from error
    except _DEFECTS as error:
        raise MissingCapability(
            f"a dump directory cannot compute this pipeline: {type(error).__name__}: {error}",
            hint=_HINT,
            id=before["_id"],
        ) from error
    return _encode(document, before, after)


def _encode(document: bytes, before: Document, after: Document) -> bytes:
    """Where the document does not survive decode and encode, what did not change keeps its bytes."""
    same, encoded = raw_bson.encode(before), raw_bson.encode(after)
    if encoded == same:
        return document
    if same == document:
        return encoded
    try:
        return raw_splice.splice(document, before, after)
    except raw_splice.Lossy as error:
        raise Unrepresentable(
            f"the document cannot be changed without loss: {error}", id=before["_id"]
        ) from error


def _stage(name: str) -> Callable[[Document, Any], Document]:
    stages: dict[str, Callable[[Document, Any], Document]] = {
        "$set": _set,
        "$addFields": _set,
        "$unset": _unset,
        "$project": _project,
        "$replaceWith": _replace,
        "$replaceRoot": lambda document, argument: _replace(document, argument["newRoot"]),
    }
    if name not in stages:
        raise OperationFailed(f"{name} is no stage of an update pipeline")
    return stages[name]


def _set(document: Document, fields: Mapping[str, Any]) -> Document:
    """Every expression sees the document as it was before the stage."""
    values = [(path, _evaluate(expression, document)) for path, expression in _flat(fields)]
    for path, value in values:
        if value is MISSING:
            _remove(document, path)
        else:
            _assign(document, path, deepcopy(value))
    return document


def _unset(document: Document, fields: str | Sequence[str]) -> Document:
    for path in [fields] if isinstance(fields, str) else fields:
        _remove(document, path.split("."))
    return document


def _project(document: Document, fields: Document) -> Document:
    if fields and not any(fields.values()):
        return _unset(document, list(fields))
    (result,) = import_module("mongomock.aggregate").process_pipeline(
        [document], None, [{"$project": fields}], None
    )
    return dict(result)


def _replace(document: Document, expression: Any) -> Document:
    value = _evaluate(expression, document)
    if not isinstance(value, dict):
        raise OperationFailed("the new root is no document", id=document.get("_id"))
    return value


def _evaluate(expression: Any, document: Document) -> Any:
    """Documents and arrays of expressions are taken apart here, operators and field paths are mongomock's."""
    if isinstance(expression, list):
        items = (_evaluate(item, document) for item in expression)
        return [None if item is MISSING else item for item in items]
    if isinstance(expression, dict) and not any(key.startswith("$") for key in expression):
        fields = ((name, _evaluate(item, document)) for name, item in expression.items())
        return {name: item for name, item in fields if item is not MISSING}
    parse = import_module("mongomock.aggregate")._parse_expression
    try:
        return parse(expression, document, ignore_missing_keys=True)
    except KeyError as error:
        # An operator would have to say what it makes of a missing value: mongomock's do not.
        if isinstance(expression, str) or error.args == ("REMOVE",):
            return MISSING
        raise


def _flat(fields: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[list[str], Any]]:
    """A document without operators stands for the paths within it."""
    for name, expression in fields.items():
        path = (*above, *name.split("."))
        if expression == {}:
            raise OperationFailed(f"$set: an empty document is no value ({'.'.join(path)})")
        plain = (
            isinstance(expression, dict) and expression and not any(key.startswith("$") for key in expression)
        )
        if plain:
            yield from _flat(expression, path)
        else:
            yield list(path), expression


def _assign(target: Any, path: Sequence[str], value: Any) -> Any:
    """Set a path; an array in the way means each of its elements, anything else in the way is replaced."""
    if not path:
        return value
    if isinstance(target, list):
        target[:] = [_assign(item, path, deepcopy(value)) for item in target]
        return target
    document = target if isinstance(target, dict) else {}
    document[path[0]] = _assign(document.get(path[0]), path[1:], value)
    return document


def _remove(target: Any, path: Sequence[str]) -> None:
    if isinstance(target, list):
        for item in target:
            _remove(item, path)
    elif isinstance(target, dict) and len(path) == 1:
        target.pop(path[0], None)
    elif isinstance(target, dict):
        _remove(target.get(path[0]), path[1:])


def _with_time(expression: Any, now: datetime) -> Any:
    """`$$NOW` as the moment that it is."""
    if expression == "$$NOW":
        return now.replace(tzinfo=None)
    if isinstance(expression, dict):
        return {k: v if k == "$literal" else _with_time(v, now) for k, v in expression.items()}
    if isinstance(expression, list | tuple):
        return [_with_time(item, now) for item in expression]
    return expression
