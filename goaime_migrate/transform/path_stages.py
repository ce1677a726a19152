"""What operations on paths do, as update stages: a server makes of a document what `transform.paths` makes of it.

Only of a document that survives decoding and encoding; the chain looks after that. Fields are named as `$$at.name`:
no part of a path has a dot or begins with a dollar.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.results import Document
from goaime_migrate.transform.paths import EACH, Path

_ELEMENT = "element"
"""The variable for an element. Those of outer arrays are hidden, and not asked for any more."""
_MARK = os.urandom(8).hex()
MARK = _MARK.encode()
"""What no document holds but one that a server has marked."""
_LEAST = 3
"""Bytes of the shortest element of an array."""


@dataclass(frozen=True)
class Marking:
    """The same stages, but what a path does not lead into is replaced by a mark; for paths of one top-level field."""

    stages: tuple[Document, ...]
    names: tuple[bytes, ...]
    """The fields, and the documents on the way: of a document that has one of these names twice they tell nothing."""
    arrays: tuple[tuple[bytes, ...], ...]
    """The names that lead to an array whose elements are on the way: a server counts these anew."""
    grows: bool
    """Whether a document becomes larger."""
    largest: int
    """Of a larger document more may come than a server can hold: as if each value in it were marked or added to."""


def adding(path: Path, value: Any, otherwise: Any = None) -> tuple[Document, ...]:
    """Stages that add a constant field where it is missing; none for a value that does not survive decoding.

    What the path does not lead into stays as it is, or becomes `otherwise`.
    """
    raw = raw_bson.encode({"": value})
    if not raw_bson.survives(raw):
        return ()
    literal = {"$literal": value}

    def made(parts: Sequence[str]) -> Any:
        """What stands in for something that is absent; nothing behind an array that would have no elements."""
        if EACH in parts:
            return "$$REMOVE"
        return {parts[0]: made(parts[1:])} if parts else literal

    def added(at: str, parts: Sequence[str]) -> Any:
        if not parts:
            return _if_type(at, "missing", literal, at)
        return _entered(at, parts, added, _if_type(at, "missing", made(parts), otherwise or at))

    return ({"$set": {path.top: added(f"${path.top}", path.parts[1:])}},)


def removing(paths: Iterable[Path], otherwise: Any = None) -> tuple[Document, ...]:
    """Stages that remove fields; the elements of an array become null, as `$unset` has it.

    An array that is taken for a document, or a document for an array, stays as it is, or becomes `otherwise`.
    """

    def removed(at: str, parts: Sequence[str]) -> Any:
        if not parts:
            return None
        wrong = _if_odd(at, parts[0], otherwise) if otherwise else at
        if len(parts) == 1 and parts[0] != EACH:
            return _if_type(at, "object", _with_field(at, parts[0], "$$REMOVE"), wrong)
        return _entered(at, parts, removed, wrong)

    return tuple(
        {"$set": {path.top: removed(f"${path.top}", path.parts[1:])}}
        if path.parts[1:]
        else {"$unset": path.top}
        for path in paths
    )


def _if_odd(at: str, part: str, then: Any) -> Any:
    """`then` for an array that is taken for a document, and for what is taken for an array and is not nothing."""
    if part == EACH:
        return {"$cond": [{"$in": [{"$type": at}, ["missing", "null"]]}, at, then]}
    return _if_type(at, "array", then, at)


def marked_adding(path: Path, value: Any) -> Marking | None:
    """What adds a field and marks where it cannot; None where a server cannot tell all that there is to tell."""
    stages = adding(path, value, {"$literal": _MARK})
    return _marking([path], stages, raw_bson.encode({path.last: value}))


def marked_removing(paths: Sequence[Path]) -> Marking | None:
    """What removes fields and marks where it cannot; None where a server cannot tell all that there is to tell."""
    return _marking(paths, removing(paths, {"$literal": _MARK}))


def _marking(paths: Sequence[Path], stages: tuple[Document, ...], added: bytes = b"") -> Marking | None:
    """None also for documents within an array's elements: whether one of them has a name twice is not seen."""
    names: dict[bytes, None] = {}
    led = [path.parts[: path.parts.index(EACH)] for path in paths if EACH in path.parts]
    for path in paths:
        between = path.parts[1:-1]
        arrays = between.index(EACH) if EACH in between else len(between)
        if len(path.parts) == 1 or {*between[arrays:]} - {EACH}:
            return None
        names |= dict.fromkeys(part.encode() for part in (path.top, *between[:arrays]))
    most = max(len(added), len(_MARK) + 10)
    largest = raw_bson.MAX_DOCUMENT * _LEAST // (_LEAST + most)
    over = dict.fromkeys(tuple(part.encode() for part in parts) for parts in led)
    return Marking(stages, tuple(names), tuple(over), bool(added), largest) if stages else None


_Change = Callable[[str, Sequence[str]], Any]


def _entered(at: str, parts: Sequence[str], change: _Change, otherwise: Any) -> Any:
    """The value at `at` with what the first part leads to changed; or otherwise, if it does not lead there."""
    if parts[0] == EACH:
        each = {"$map": {"input": at, "as": _ELEMENT, "in": change(f"$${_ELEMENT}", parts[1:])}}
        return _if_type(at, "array", each, otherwise)
    changed = _with_field(at, parts[0], change(f"{at}.{parts[0]}", parts[1:]))
    return _if_type(at, "object", changed, otherwise)


def _with_field(at: str, name: str, value: Any) -> Document:
    """A document with a field, in its place. It takes half as long as merging two documents."""
    return {"$setField": {"field": {"$literal": name}, "input": at, "value": value}}


def _if_type(at: str, kind: str, then: Any, otherwise: Any) -> Any:
    return {"$cond": [{"$eq": [{"$type": at}, kind]}, then, otherwise]}
