"""The keys under which an index of the server has a document, made from its raw bytes.

An array is there with each of its elements, an empty one as undefined, what is absent as null. Paths that lead into the
same array go into its elements together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key, element_key

_DOCUMENT, _ARRAY = 0x03, 0x04
_NULL = b"\x0a\0"
_UNDEFINED = b"\x06\0"


def index_keys(document: bytes, paths: Sequence[str]) -> set[tuple[Key, ...]]:
    """The keys in an index over these paths."""
    return {tuple(element_key(_name(leaf), leaf) for leaf in leaves) for leaves in _leaves(document, paths)}


def values_of(document: bytes, paths: Sequence[str], key: tuple[Key, ...]) -> tuple[Any, ...]:
    """The decoded values of one of these keys."""
    for leaves in _leaves(document, paths):
        if tuple(element_key(_name(leaf), leaf) for leaf in leaves) == key:
            return tuple(_decode(leaf) for leaf in leaves)
    raise KeyError(key)


def indexed_values(document: bytes, path: str) -> Iterator[Any]:
    """The decoded values under which an index over one path has a document, as a query by equality finds them."""
    for (leaf,) in _leaves(document, [path]):
        yield _decode(leaf)


def _decode(leaf: bytes) -> Any:
    kind, value = leaf[0], leaf[len(_name(leaf)) + 2 :]
    if kind == _UNDEFINED[0]:
        return []
    return raw_bson.decode_any(raw_bson.join([bytes([kind]) + b"\0" + value]))[""]


class _Way(NamedTuple):
    """A path that has come to an element; `depth` of its parts are behind it."""

    path: tuple[bytes, ...]
    depth: int
    element: bytes

    @property
    def at_end(self) -> bool:
        return self.depth == len(self.path)

    @property
    def behind(self) -> tuple[bytes, ...]:
        return self.path[: self.depth]


def _leaves(document: bytes, paths: Sequence[str]) -> Iterator[tuple[bytes, ...]]:
    """The raw elements of each key."""
    start = bytes([_DOCUMENT]) + b"\0" + document
    return _expand([_Way(tuple(path.encode().split(b".")), 0, start) for path in paths])


def _expand(ways: Sequence[_Way | bytes]) -> Iterator[tuple[bytes, ...]]:
    """Every combination of what the ways lead to; those that lead into the same array go through it together."""
    reached = [way if isinstance(way, bytes) else _follow(way) for way in ways]
    array = next((way for way in reached if isinstance(way, _Way)), None)
    if array is None:
        yield tuple(way for way in reached if isinstance(way, bytes))
        return
    for item in _items(array.element):
        yield from _expand(
            [
                _enter(way, item) if isinstance(way, _Way) and way.behind == array.behind else way
                for way in reached
            ]
        )


def _follow(way: _Way) -> _Way | bytes:
    """Where a way leads: to an element, or up to an array; through it where a number names one of its elements."""
    while way.element[0] != _ARRAY or _position(way) is not None:
        if way.at_end:
            return way.element
        if (item := _position(way)) is not None:
            way = _Way(way.path, way.depth + 1, item)
            continue
        if way.element[0] != _DOCUMENT:
            return _NULL
        found = raw_bson.fields(_value(way.element)).get(way.path[way.depth])
        if found is None:
            return _NULL
        way = _Way(way.path, way.depth + 1, found)
    return way


def _position(way: _Way) -> bytes | None:
    """The element of an array that the path names by its number."""
    if way.at_end or way.element[0] != _ARRAY or not way.path[way.depth].isdigit():
        return None
    return dict(raw_bson.elements(_value(way.element))).get(way.path[way.depth])


def _items(array: bytes) -> Sequence[bytes | None]:
    """The elements of an array; None for there being none."""
    return [element for _, element in raw_bson.elements(_value(array))] or [None]


def _enter(way: _Way, item: bytes | None) -> _Way | bytes:
    """A way that goes on into an element of the array that it has come to; arrays in arrays are not gone into."""
    if way.at_end:
        return _UNDEFINED if item is None else item
    return way._replace(element=item) if item is not None and item[0] == _DOCUMENT else _NULL


def _name(element: bytes) -> bytes:
    return element[1 : element.index(0, 1)]


def _value(element: bytes) -> bytes:
    return element[element.index(0, 1) + 1 :]
