"""Values of decoded documents by field path, as queries understand ``a.b.0``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from goaime_migrate.backends.bson_order import NULL, UNDEFINED, Key, sort_key
from goaime_migrate.results import Document


class Whole(list[Any]):
    """An array that a path leads to by its place in another array: queries compare it, never its elements."""


def descend(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """Every value that the path leads to from here, arrays not gone into at its end."""
    if not path:
        yield value
    elif isinstance(value, dict):
        if path[0] in value:
            yield from descend(value[path[0]], path[1:])
    elif isinstance(value, list):
        if path[0].isdecimal() and int(path[0]) < len(value):
            item = value[int(path[0])]
            yield from descend(Whole(item) if isinstance(item, list) and len(path) == 1 else item, path[1:])
        for item in value:
            if isinstance(item, dict):
                yield from descend(item, path)


def found_by(document: Any, path: str) -> Iterator[Any]:
    """Every value for which a query by equality at the path finds the document: an array's elements as well."""
    for value in descend(document, path.split(".")):
        yield value
        if isinstance(value, list) and not isinstance(value, Whole):
            yield from value


def sorted_by(document: Any, path: str, way: int) -> Key:
    """What a sort by the path puts the document in its place by: of several values the first one, as `way` goes."""
    keys = list(_places(document, path.split(".")))
    return max(keys) if way < 0 else min(keys)


def _places(value: Any, path: Sequence[str]) -> Iterator[Key]:
    """The places of the values at a path. What is missing counts as null, an empty array comes before it."""
    if isinstance(value, list) and not path:
        yield from map(sort_key, value) if value else (UNDEFINED,)
    elif not path:
        yield sort_key(value)
    elif isinstance(value, list) and value:
        for item in value:
            yield from _places(item, path) if isinstance(item, dict) else (NULL,)
    elif isinstance(value, dict) and path[0] in value:
        yield from _places(value[path[0]], path[1:])
    else:
        yield NULL


def value_at(document: Document, path: str) -> Any:
    """The value at a dotted path of documents, None where it is absent."""
    value: Any = document
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def outermost(paths: Sequence[str]) -> list[str]:
    """The paths, each once, without those that lie within others: a server takes no two that overlap."""
    kept = dict.fromkeys(paths)
    return [path for path in kept if not any(path.startswith(f"{other}.") for other in kept)]


def project(document: Document, fields: Sequence[str]) -> Document:
    """The document with only these fields, in its own order."""
    return _project(document, [path.split(".") for path in fields])


def _project(document: Document, paths: list[list[str]]) -> Document:
    chosen: Document = {}
    for name, value in document.items():
        below = [path[1:] for path in paths if path[0] == name]
        if [] in below:
            chosen[name] = value
        elif below and isinstance(value, dict):
            chosen[name] = _project(value, below)
        elif below and isinstance(value, list):
            chosen[name] = [_project(item, below) for item in value if isinstance(item, dict)]
    return chosen
