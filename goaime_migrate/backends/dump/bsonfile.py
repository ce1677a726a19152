"""A file of a dump, `<collection>.bson`: raw documents one behind another, checked while they are read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from bson.errors import InvalidBSON

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key, id_key
from goaime_migrate.errors import DumpUnreadable

_LENGTH = struct.Struct("<i")
_SMALLEST = 5
_LARGEST = 64 * 1024 * 1024
"""Well above what a server stores: a length beyond it is no length but damage."""


def load(file: BinaryIO, name: str) -> dict[Key, bytes]:
    """The documents by the keys of their `_id`s, in the order of the file.

    Raises DumpUnreadable, naming `name`, the byte offset and how many documents before it were good.
    """
    documents: dict[Key, bytes] = {}
    offset = 0
    for document in _frames(file, name):
        try:
            _check(document)
            raw_id = raw_bson.id_of(document)
            key = id_key(raw_id)
        except KeyError:
            raise _unreadable(name, offset, len(documents), "the document has no _id") from None
        except (InvalidBSON, ValueError, struct.error) as error:
            raise _unreadable(name, offset, len(documents), f"the document is damaged: {error}") from error
        if key in documents:
            raise _unreadable(
                name, offset, len(documents), f"_id {raw_bson.id_value(raw_id)!r} is there twice"
            )
        documents[key] = document
        offset += len(document)
    return documents


def _frames(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Documents by their length fields alone."""
    offset = count = 0
    while head := file.read(4):
        if len(head) < 4:
            raise _unreadable(name, offset, count, "the file ends within a document")
        (length,) = _LENGTH.unpack(head)
        if not _SMALLEST <= length <= _LARGEST:
            raise _unreadable(name, offset, count, f"no document starts here (its length would be {length})")
        body = file.read(length - 4)
        if len(body) < length - 4:
            raise _unreadable(name, offset, count, "the file ends within a document")
        yield head + body
        offset += length
        count += 1


def _check(document: bytes) -> None:
    """The elements fill the document exactly. Values are not decoded: an invalid one can be kept."""
    used = _SMALLEST
    for _, element in raw_bson.elements(document):
        if not element:
            raise InvalidBSON("a value has a negative length")
        used += len(element)
    if used != len(document) or document[-1]:
        raise InvalidBSON("its values do not fill it")


def _unreadable(name: str, offset: int, good: int, reason: str) -> DumpUnreadable:
    return DumpUnreadable(
        f"{name}: byte {offset}: {reason}; {good} documents before it are good",
        hint="restore the file from its source, or dump the collection again with mongodump",
    )
