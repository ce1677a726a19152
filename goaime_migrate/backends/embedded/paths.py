"""Values of documents by field path, as queries, indexes and projections understand ``a.b.0``.

Where the path is a plain field name only that element of the raw document is decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson.errors import BSONError

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.field_paths import descend, project
from goaime_migrate.errors import Unrepresentable
from goaime_migrate.results import Document


class Missing:
    """Stands for a value that is not there."""


MISSING = Missing()


def decode(document: bytes) -> Document:
    """A document, with replacement characters where a string is not UTF-8.

    Raises Unrepresentable for one that Python cannot hold at all.
    """
    try:
        return raw_bson.decode(document)
    except BSONError:
        pass
    try:
        return raw_bson.decode_leniently(document)
    except BSONError as error:
        raise Unrepresentable(f"a document cannot be decoded: {error}") from error


def field(document: bytes, name: str) -> Any:
    """The value of a top-level field, or MISSING."""
    wanted = name.encode()
    for found, element in raw_bson.elements(document):
        if found == wanted:
            return decode(raw_bson.join([element]))[name]
    return MISSING


def values(document: bytes, path: str) -> list[Any]:
    """Every value that the path leads to, arrays not gone into at its end; [MISSING] where there is none."""
    top, _, rest = path.partition(".")
    value = field(document, top)
    if not rest or value is MISSING:
        return [value]
    return list(descend(value, rest.split("."))) or [MISSING]


def trim(document: bytes, fields: Sequence[str]) -> bytes:
    """The document with only `_id` and these top-level fields, each with its very bytes, in its own order."""
    kept = {b"_id", *(name.encode() for name in fields)}
    return raw_bson.join(element for name, element in raw_bson.elements(document) if name in kept)


def select(document: bytes, fields: Sequence[str]) -> Document:
    """The document, decoded, with only these fields, in its own order."""
    tops = {path.partition(".")[0].encode() for path in fields}
    part = decode(raw_bson.join(element for name, element in raw_bson.elements(document) if name in tops))
    return project(part, fields)


def assign(document: Document, path: str, value: Any) -> None:
    """What `$set` does to documents within documents; a value in the way that is none is replaced."""
    *parents, last = path.split(".")
    for name in parents:
        if not isinstance(document.get(name), dict):
            document[name] = {}
        document = document[name]
    document[last] = value
