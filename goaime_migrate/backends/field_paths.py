"""Values of decoded documents by field path, as queries understand ``a.b.0``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


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
