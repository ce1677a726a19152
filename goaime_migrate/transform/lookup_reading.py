"""Reading what lookups find from the collections that they look into."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bson import Regex

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Filter, Reader
from goaime_migrate.results import Document
from goaime_migrate.transform.lookup_answers import Gathering, fields_read
from goaime_migrate.transform.lookups import Lookup, cache_key, keys_of

WHOLE = 20_000
"""A looked-up collection of no more documents than this is read as a whole,"""
WHOLE_BYTES = 4 * 1024 * 1024
"""if they have no more bytes than this."""
KEYS = 1_000
"""Keys that one query asks for,"""
_PAGE = 2 * KEYS
"""and documents that it brings: thousands may have the same key."""

Unwritten = Callable[[Sequence[Document]], Sequence[Document]]
"""Leaves out documents that the pass has written."""


def find(reader: Reader, lookup: Lookup, wanted: Sequence[Any], unwritten: Unwritten) -> Gathering:
    """What is found by these keys.

    A regular expression as a key would be taken for a pattern; no document is found by one.
    """
    left = {cache_key(key): key for key in wanted if not isinstance(key, Regex)}
    found = Gathering(lookup)
    for document in _documents(reader, lookup, left, unwritten):
        for key in keys_of(document, lookup.key) & left.keys():
            if found.add(key, document):
                del left[key]
    return found


def _documents(
    reader: Reader, lookup: Lookup, left: Mapping[Any, Any], unwritten: Unwritten
) -> Iterator[Document]:
    """Documents that may have one of the keys that are left, ascending by `_id`, a page at a time."""
    after: bytes | None = None
    fields = fields_read(lookup)
    while left:
        page = reader.lookup(
            lookup.collection,
            lookup.key,
            [*left.values()],
            fields,
            where=lookup.where,
            after=after,
            limit=_PAGE,
        )
        yield from unwritten(page)
        if len(page) < _PAGE:
            return
        after = raw_bson.encode({"_id": page[-1]["_id"]})


def all_of(reader: Reader, lookup: Lookup, most: int) -> list[bytes] | None:
    """All documents that can be found by `key`, ascending by `_id`; None where there are too many to keep."""
    fields = fields_read(lookup)
    if any("." in path for path in (lookup.key, *(fields or ()))):
        return None  # what is read of a document as a whole are its top-level fields
    there: Filter = {lookup.key: {"$exists": True}}
    found = reader.documents(
        lookup.collection,
        where=there if lookup.where is None else {"$and": [lookup.where, there]},
        limit=most + 1,
        max_bytes=WHOLE_BYTES,
        fields=None if fields is None else tuple(dict.fromkeys((lookup.key, *fields))),
    )
    return found if len(found) <= most and sum(map(len, found)) < WHOLE_BYTES else None


def part(document: bytes, path: str) -> Document:
    """As much of a document as a path leads into."""
    wanted = path.partition(".")[0].encode()
    return raw_bson.decode_any(
        raw_bson.join(element for name, element in raw_bson.elements(document) if name == wanted)
    )
