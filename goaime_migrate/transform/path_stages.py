"""What operations on paths do, as update stages: a server makes of a document what `transform.paths` makes of it.

Only of a document that survives decoding and encoding; the chain looks after that. Fields are named as `$$at.name`:
no part of a path has a dot or begins with a dollar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.results import Document
from goaime_migrate.transform.paths import EACH, Path

_ELEMENT = "element"
"""The variable for an element. Those of outer arrays are hidden, and not asked for any more."""


def adding(path: Path, value: Any) -> tuple[Document, ...]:
    """Stages that add a constant field where it is missing; none for a value that does not survive decoding."""
    raw = raw_bson.encode({"": value})
    if raw_bson.encode(raw_bson.decode(raw)) != raw:
        return ()
    literal = {"$literal": value}

    def made(parts: Sequence[str]) -> Any:
        """What stands in for something that is absent; nothing behind an array that would have no elements."""
        if EACH in parts:
            return "$$REMOVE"
        return {parts[0]: made(parts[1:])} if parts else literal

    def added(at: str, parts: Sequence[str]) -> Any:
        below = _if_type(at, "missing", made(parts), at)
        return below if not parts else _entered(at, parts, added, below)

    return ({"$set": {path.top: added(f"${path.top}", path.parts[1:])}},)


def removing(paths: Iterable[Path]) -> tuple[Document, ...]:
    """Stages that remove fields; the elements of an array become null, as `$unset` has it."""

    def removed(at: str, parts: Sequence[str]) -> Any:
        if len(parts) == 1 and parts[0] != EACH:
            less = {"$setField": {"field": {"$literal": parts[0]}, "input": at, "value": "$$REMOVE"}}
            return _if_type(at, "object", less, at)
        return _entered(at, parts, removed, at) if parts else None

    return tuple(
        {"$set": {path.top: removed(f"${path.top}", path.parts[1:])}}
        if path.parts[1:]
        else {"$unset": path.top}
        for path in paths
    )


_Change = Callable[[str, Sequence[str]], Any]


def _entered(at: str, parts: Sequence[str], change: _Change, otherwise: Any) -> Any:
    """The value at `at` with what the first part leads to changed; or otherwise, if it does not lead there."""
    if parts[0] == EACH:
        each = {"$map": {"input": at, "as": _ELEMENT, "in": change(f"$${_ELEMENT}", parts[1:])}}
        return _if_type(at, "array", each, otherwise)
    changed = {"$mergeObjects": [at, {parts[0]: change(f"{at}.{parts[0]}", parts[1:])}]}
    return _if_type(at, "object", changed, otherwise)


def _if_type(at: str, kind: str, then: Any, otherwise: Any) -> Any:
    return {"$cond": [{"$eq": [{"$type": at}, kind]}, then, otherwise]}
