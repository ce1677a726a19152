"""Looks at a server's database from above. Aggregations do the work where the data are; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from pymongo.errors import ExecutionTimeout, OperationFailure

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import EqualKeys, Filter, Room, Size
from goaime_migrate.backends.server.catalogue import ServerCatalogue
from goaime_migrate.backends.server.index_groups import equal_keys
from goaime_migrate.results import Document

_PORTION = 4 * 1024 * 1024
"""Bytes of documents that are sent to be looked at in one pipeline, which may have 16 MB."""


class ServerSurvey(ServerCatalogue):
    """The survey of a database on a server."""

    def size(self, collection: str) -> Size:
        """By `$collStats`; where this user may not ask for it, by the number of documents alone."""
        try:
            stages: list[Document] = [{"$collStats": {"storageStats": {}}}]
            found = next(iter(self._db[collection].aggregate(stages)), {}).get("storageStats", {})
            return Size(int(found.get("count", 0)), int(found.get("size", 0)))
        except OperationFailure:
            with self._guard():
                return Size(self._db[collection].estimated_document_count())

    def equal_keys(self, collection: str, index: Document, *, limit: int, seconds: float) -> EqualKeys:
        """By an aggregation."""
        with self._guard():
            try:
                return equal_keys(self._db[collection], index, limit, seconds)
            except ExecutionTimeout:
                return EqualKeys(complete=False)

    def misfits(self, collection: str, wanted: Filter, documents: Sequence[bytes]) -> list[bytes]:
        """The documents travel in a pipeline: a literal array, unwound and matched."""
        found: list[bytes] = []
        for portion in _portions(documents):
            stages: list[Document] = [
                {"$unwind": "$d"},
                {"$replaceRoot": {"newRoot": "$d"}},
                {"$match": {"$nor": [wanted]}},
                {"$project": {"_id": 1}},
            ]
            listed = [raw_bson.raw_document(document) for document in portion]
            with self._guard():
                answers = self._brought(collection, {"d": {"$literal": listed}}, stages)
                found += [raw_bson.encode({"_id": answer["_id"]}) for answer in answers]
        return found

    def _brought(self, collection: str, document: Document, stages: Sequence[Document]) -> list[Document]:
        """What stages make of one document that is computed, and stored nowhere.

        It takes the place of the first document of a collection; where there is none, of a stage that brings its own,
        which older servers lack.
        """
        if self._db[collection].find_one({}, {"_id": 1}) is not None:
            first: list[Document] = [{"$limit": 1}, {"$project": {"_id": 0, **document}}]
            return list(self._db[collection].aggregate([*first, *stages]))
        return list(self._db.aggregate([{"$documents": [document]}, *stages]))

    def room(self) -> Room:
        """By `dbStats`, the oplog's statistics and what the server says of its set."""
        hello = self._client.admin.command("hello")
        disk = oplog = None
        with suppress(OperationFailure, KeyError):
            found = self._db.command("dbStats")
            disk = int(found["fsTotalSize"] - found["fsUsedSize"])
        if "setName" in hello:
            with suppress(OperationFailure, KeyError):
                oplog = int(self._client["local"].command("collStats", "oplog.rs")["maxSize"])
        return Room(disk, oplog, max(0, len(hello.get("hosts", ())) - 1))


def _portions(documents: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Documents that may travel together."""
    portion: list[bytes] = []
    size = 0
    for document in documents:
        if portion and size + len(document) > _PORTION:
            yield portion
            portion, size = [], 0
        portion.append(document)
        size += len(document)
    if portion:
        yield portion
