"""Records as values and back: what is stored follows from a dataclass, and is held to it when it is read.

A field is stored under its own name, or under the one that a `Key` gives it, in the order of the dataclass. What is
read has to be of the kind that the annotation says; a number is none below zero and none too large to be counted to.
A named tuple does as well as a dataclass, and costs a short command less to make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from bson import Timestamp

from goaime_migrate.backends.record_fields import (
    CLUSTER_TIME,
    COUNT,
    DATA,
    FLAG,
    MANY,
    MOMENT,
    NESTED,
    SECONDS,
    TEXT,
    of_kind,
)
from goaime_migrate.results import Document

_Record = TypeVar("_Record")
_Read = Callable[[str, Any], Any]
"""From the name of a field and what is stored to the value. Raises KeyError, TypeError, ValueError."""
_Write = Callable[[Any], Any]


_Field = tuple[str, str, _Read, _Write]
"""A field's name in the dataclass and in what is stored, and how its value gets from one to the other."""


class Key(str):
    """The name that a field is stored under, where it is not its own."""


class Keys(tuple[str, ...]):
    """The names that the items of a tuple are stored under: the tuple is stored as a document."""


class NotStored:
    """Marks a field that is worked out from other records."""


_KNOWN: dict[type, Sequence[_Field]] = {}


def document_of(record: object) -> Document:
    """What is stored of a dataclass: documents for dataclasses within it, lists for tuples, other values as they are."""
    return {key: write(getattr(record, name)) for name, key, _, write in _fields(type(record))}


def record_of(kind: type[_Record], document: Any) -> _Record:
    """The value of a stored document; keys that its dataclass does not have are passed over.

    Raises KeyError, TypeError or ValueError naming what is missing or not of its kind.
    """
    if not isinstance(document, dict):
        raise TypeError(f"{document!r:.100} is no document")
    return kind(**{name: read(key, document[key]) for name, key, read, _ in _fields(kind)})


def _fields(kind: type) -> Sequence[_Field]:
    """The fields of a dataclass that are stored. Annotations are looked at once, and with the first record only."""
    if kind not in _KNOWN:
        _KNOWN[kind] = tuple(_stored_fields(kind))
    return _KNOWN[kind]


def _stored_fields(kind: type) -> Iterator[_Field]:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        if NotStored not in marks:
            key = next((str(mark) for mark in marks if isinstance(mark, Key)), name)
            yield name, key, *_ways(hint)


def _ways(hint: Any) -> tuple[_Read, _Write]:
    """How values of an annotation are read and written."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        keys = next((mark for mark in inner[1:] if isinstance(mark, Keys)), None)
        return _ways(inner[0]) if keys is None else _named_items(keys, get_args(inner[0]))
    if origin is UnionType:
        (some,) = (each for each in inner if each is not NoneType)
        return _or_none(*_ways(some))
    if origin is tuple:
        return _items(*_ways(inner[0]))
    if is_dataclass(hint) or hasattr(hint, "_fields"):
        return partial(_nested, hint), document_of
    plain = _PLAIN.get(origin or hint)
    return _word(hint) if plain is None else plain


def _nested(kind: type, _: str, value: Any) -> Any:
    return record_of(kind, value)


def _as_it_is(value: Any) -> Any:
    return value


def _or_none(read: _Read, write: _Write) -> tuple[_Read, _Write]:
    return (
        lambda name, value: None if value is None else read(name, value),
        lambda value: None if value is None else write(value),
    )


def _items(read: _Read, write: _Write) -> tuple[_Read, _Write]:
    """A tuple of any length, stored as a list."""
    return (
        lambda name, values: tuple(read(name, value) for value in of_kind(MANY, name, values)),
        lambda values: [write(value) for value in values],
    )


def _named_items(names: Sequence[str], hints: Sequence[Any]) -> tuple[_Read, _Write]:
    """A tuple of so many different values, stored as a document."""
    ways = {name: _ways(hint) for name, hint in zip(names, hints, strict=True)}

    def read(name: str, value: Any) -> tuple[Any, ...]:
        document = of_kind(NESTED, name, value)
        return tuple(way(key, document[key]) for key, (way, _) in ways.items())

    def write(values: Sequence[Any]) -> Document:
        return {key: way(value) for (key, (_, way)), value in zip(ways.items(), values, strict=True)}

    return read, write


def _word(kind: type[StrEnum]) -> tuple[_Read, _Write]:
    return lambda name, value: kind(of_kind(TEXT, name, value)), str


_PLAIN: dict[Any, tuple[_Read, _Write]] = {
    Any: (lambda _, value: value, _as_it_is),
    bool: (partial(of_kind, FLAG), _as_it_is),
    bytes: (lambda name, value: bytes(of_kind(DATA, name, value)), _as_it_is),
    datetime: (lambda name, value: of_kind(MOMENT, name, value).replace(tzinfo=UTC), _as_it_is),
    dict: (partial(of_kind, NESTED), _as_it_is),
    float: (partial(of_kind, SECONDS), _as_it_is),
    int: (partial(of_kind, COUNT), _as_it_is),
    str: (partial(of_kind, TEXT), _as_it_is),
    Timestamp: (partial(of_kind, CLUSTER_TIME), _as_it_is),
}
