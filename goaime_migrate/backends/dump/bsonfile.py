"""A file of a dump, `<collection>.bson`: raw documents one behind another, checked while they are read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from bson.errors import InvalidBSON

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key, id_key
from goaime_migrate.backends.dump import bsoncheck
from goaime_migrate.errors import DumpUnreadable

_LENGTH = struct.Struct("<i")
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
            bsoncheck.check(document)
            raw_id = raw_bson.id_of(document)
            key = id_key(raw_id)
        except KeyError:
            raise _unreadable(name, offset, len(documents), "the document has no _id") from None
        except (InvalidBSON, ValueError, TypeError, ArithmeticError, RecursionError, struct.error) as error:
            found = _id_of(document)
            which = "the document" if found is None else f"the document with _id {found!r:.200}"
            reason = f"{which} is damaged: {error}"
            raise _unreadable(name, offset, len(documents), reason, found) from error
        if key in documents:
            twice = raw_bson.id_value(raw_id)
            raise _unreadable(name, offset, len(documents), f"_id {twice!r:.200} is there twice", twice)
        documents[key] = document
        offset += len(document)
    return documents


def _id_of(document: bytes) -> Any:
    """The `_id` of a damaged document, if it can be read all the same."""
    try:
        return raw_bson.id_value(raw_bson.id_of(document))
    except Exception:  # noqa: BLE001 (anything may be wrong with it, and the byte is told in any case)
        return None


def _frames(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Documents by their length fields alone."""
    offset = count = 0
    while head := file.read(4):
        if len(head) < 4:
            raise _unreadable(name, offset, count, "the file ends within a document")
        (length,) = _LENGTH.unpack(head)
        if not raw_bson.EMPTY <= length <= _LARGEST:
            raise _unreadable(name, offset, count, f"no document starts here (its length would be {length})")
        body = file.read(length - 4)
        if len(body) < length - 4:
            raise _unreadable(name, offset, count, "the file ends within a document")
        yield head + body
        offset += length
        count += 1


def _unreadable(name: str, offset: int, good: int, reason: str, found: Any = None) -> DumpUnreadable:
    return DumpUnreadable(
        f"{name}: byte {offset}: {reason}; {good} documents before it are good",
        hint="restore the file from its source, or dump the collection again with mongodump",
        id=found,
    )
