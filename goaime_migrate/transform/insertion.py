"""Documents that a migration brings with it: what each of them is called, and by which key it is known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from bson import ObjectId

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.field_paths import found_by
from goaime_migrate.backends.ports import Filter
from goaime_migrate.results import Document
from goaime_migrate.transform.lookups import cache_key, keys_of
from goaime_migrate.transform.step import Step

_NULL = cache_key(None)


@dataclass(frozen=True)
class InsertStep(Step):
    """Documents of a version's own; `key` says which of them are there already."""

    documents: tuple[bytes, ...] = ()
    """Raw, those without an `_id` too."""
    key: tuple[str, ...] = ("_id",)

    @property
    def inserts(self) -> bool:
        """It does."""
        return True

    def with_ids(self, records: str) -> Iterator[bytes]:
        """The documents, each with its `_id`. `records`: what this tool's own collections are called."""
        for place, document in enumerate(self.documents):
            if raw_bson.has_id(document):
                yield document
            else:
                made = made_id(records, self.version, self.number, place)
                yield raw_bson.join([b"\x07_id\0" + made.binary, document[4:-1]])


def made_id(records: str, version: str, operation: int, place: int) -> ObjectId:
    """The `_id` of a document that has none: the same each time, and another one for each place."""
    return ObjectId(hashlib.sha256(f"{records}/{version}/{operation}/{place}".encode()).digest()[:12])


def place_id(place: int) -> bytes:
    """A place in the list as a walk knows it: as if it were a raw `_id`."""
    return raw_bson.encode({"_id": place})


def place_of(identity: bytes) -> int:
    """That place."""
    return int(raw_bson.id_value(identity))


def key_of(document: Document, paths: Iterable[str]) -> tuple[Any, ...]:
    """The stand-in of a document's key, in which what is absent counts as null."""
    return tuple(next((cache_key(v) for v in found_by(document, path)), _NULL) for path in paths)


def with_keys(documents: Iterable[Document], paths: Sequence[str]) -> Filter:
    """A filter for documents that may have one of these keys, and perhaps some others."""
    listed = list(documents)
    return {"$and": [{path: {"$in": list(_values(listed, path))}} for path in paths]}


def _values(documents: Iterable[Document], path: str) -> Iterator[Any]:
    """The different values at a path; null, which finds what is absent too, where there is none."""
    found: dict[Any, Any] = {}
    for document in documents:
        value = next(found_by(document, path), None)
        found.setdefault(cache_key(value), value)
    yield from found.values()


def keys_found(document: Document, paths: Iterable[str]) -> Iterator[tuple[Any, ...]]:
    """The stand-ins of all keys by which a document of the collection is found."""
    return product(*(keys_of(document, path) or {_NULL} for path in paths))


def by_key(documents: Mapping[bytes, Document], paths: Sequence[str]) -> dict[tuple[Any, ...], bytes]:
    """The raw `_id`s of these documents by the keys that each of them has."""
    return {key: identity for identity, d in documents.items() for key in keys_found(d, paths)}
