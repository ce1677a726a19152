"""Reads from a server, inside a transaction or outside of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.collation import Collation
from pymongo.database import Database

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.field_paths import outermost
from goaime_migrate.backends.ports import Filter, Sort
from goaime_migrate.backends.server import raw_reads
from goaime_migrate.results import Document

_BY_ID = [("_id", 1)]
_SIMPLE = Collation(locale="simple")
IDS_A_QUERY = 1_000
_ID_BYTES = 8 * 1024 * 1024
"""Ids in one query, which may be no larger than a document."""


class MongoReader:
    """A `Reader` of one database through one session (or none).

    Every read runs within `guard`. By default the driver's exceptions leave as they are: a transaction is tried again
    by what they say.
    """

    def __init__(
        self,
        database: Database[Document],
        session: ClientSession | None = None,
        guard: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._db = database
        self._reading = session
        self._guard = guard

    def documents(
        self,
        collection: str,
        *,
        after: bytes | None = None,
        upto: bytes | None = None,
        where: Filter | None = None,
        limit: int = 0,
        max_bytes: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[bytes]:
        """By the index on `_id`, in BSON's total order."""
        with self._guard():
            chosen, projection = both(where, id_range(after, upto)), _projection(fields)
            if self._reading is not None and self._reading.in_transaction:
                command: Document = {"find": collection, "filter": chosen}
                command |= {} if projection is None else {"projection": projection}
                command |= {
                    "sort": {"_id": 1},
                    "hint": {"_id": 1},
                    "limit": limit,
                    "batchSize": limit or 1_000,
                }
                return _take(raw_reads.find(self._db, command, self._reading), max_bytes)
            cursor = self._db[collection].find_raw_batches(
                chosen,
                projection,
                sort=_BY_ID,
                hint=_BY_ID,
                limit=limit,
                batch_size=limit or 1_000,
                session=self._reading,
            )
            return _take(raw_bson.split_all(cursor), max_bytes)

    def by_ids(
        self,
        collection: str,
        ids: Sequence[bytes],
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
    ) -> list[bytes]:
        """By their own bytes: what the server finds equal, as 1 and 1.0 are, is told apart here."""
        found: list[bytes] = []
        with self._guard():
            for portion in _portions(ids):
                listed = raw_bson.raw_document(id_in(portion))
                found += raw_bson.split_all(
                    self._db[collection].find_raw_batches(
                        both(where, listed), _projection(fields), session=self._reading, collation=_SIMPLE
                    )
                )
            wanted = set(ids)
            return [document for document in found if raw_bson.id_of(document) in wanted]

    def lookup(
        self,
        collection: str,
        key: str,
        values: Sequence[Any],
        fields: Sequence[str] | None,
        *,
        where: Filter | None = None,
        after: bytes | None = None,
        limit: int = 0,
    ) -> list[Document]:
        """Without the collection's collation: keys are compared as they are."""
        projection = None if fields is None else dict.fromkeys(outermost(["_id", key, *fields]), 1)
        wanted = both({key: {"$in": list(values), "$exists": True}}, id_range(after, None))
        with self._guard():
            cursor = self._db[collection].find(
                both(where, wanted),
                projection,
                sort=_BY_ID,
                limit=limit,
                session=self._reading,
                collation=_SIMPLE,
            )
            return list(cursor)

    def pipeline(self, collection: str, ids: Sequence[bytes], stages: Sequence[Document]) -> list[bytes]:
        """By an aggregation: its stages compute what those of an update do."""
        found: list[bytes] = []
        with self._guard():
            for portion in _portions(ids):
                match = {"$match": raw_bson.raw_document(id_in(portion))}
                cursor = self._db[collection].aggregate_raw_batches([match, *stages], session=self._reading)
                found += raw_bson.split_all(cursor)
        return found

    def aggregate(self, collection: str, stages: Sequence[Document]) -> Iterator[bytes]:
        """With room on the server's disk for what does not fit into its memory."""
        with self._guard():
            cursor = self._db[collection].aggregate_raw_batches(
                list(stages), session=self._reading, allowDiskUse=True
            )
            yield from raw_bson.split_all(cursor)

    def places(self, _collection: str, _ids: Sequence[bytes]) -> Sequence[bytes | None]:
        """Nothing: a server promises no order of documents but that of an index."""
        return ()

    def find(
        self,
        collection: str,
        filter: Filter,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[Document]:
        """By the server's own projection and order."""
        with self._guard():
            cursor = self._db[collection].find(
                filter, fields, sort=list(sort) or None, limit=limit, session=self._reading
            )
            return list(cursor)


def id_range(after: bytes | None, upto: bytes | None) -> Filter:
    """After < _id <= upto over all BSON types.

    A plain ``{_id: {$gt: x}}`` sees only values of x's own type; `$expr` compares in BSON's total order and the
    server still answers it by a tight scan of the index on `_id`.
    """
    bounds = [
        {"$expr": {operator: ["$_id", raw_bson.rename(bound, "$literal")]}}
        for operator, bound in (("$gt", after), ("$lte", upto))
        if bound is not None
    ]
    return {"$and": bounds} if bounds else {}


def _projection(fields: Sequence[str] | None) -> Document | None:
    return None if fields is None else {"_id": 1, **dict.fromkeys(fields, 1)}


def both(where: Filter | None, other: Mapping[str, Any]) -> Mapping[str, Any]:
    """A filter for what matches both."""
    if not where:
        return other
    return {"$and": [where, other]} if len(other) else where


def _portions(ids: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The ids of one query after the other."""
    start = size = 0
    for i, identity in enumerate(ids):
        if i > start and (i - start >= IDS_A_QUERY or size + len(identity) > _ID_BYTES):
            yield ids[start:i]
            start, size = i, 0
        size += len(identity)
    if start < len(ids):
        yield ids[start:]


def id_in(ids: Sequence[bytes]) -> bytes:
    """``{_id: {$in: […]}}`` with the ids' own bytes."""
    items = raw_bson.join(i[4:5] + str(n).encode() + b"\0" + i[9:-1] for n, i in enumerate(ids))
    inner = raw_bson.join([b"\x04$in\0" + items])
    return raw_bson.join([b"\x03_id\0" + inner])


def _take(found: Iterable[bytes], max_bytes: int) -> list[bytes]:
    """All of these documents, or the first that have so many bytes together."""
    if not max_bytes:
        return list(found)
    documents, size = [], 0
    for document in found:
        documents.append(document)
        size += len(document)
        if size >= max_bytes:
            break
    return documents
