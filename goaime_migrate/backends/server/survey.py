"""Looks at a server's database from above. Aggregations do the work where the data are; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from pymongo.errors import ExecutionTimeout, OperationFailure

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import EqualKey, EqualKeys, Filter, Room, Size
from goaime_migrate.backends.server.catalogue import ServerCatalogue
from goaime_migrate.errors import MissingCapability
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
        """The server groups by what looks equal; what an index would find equal is then told by the documents."""
        stages = [*_grouped(index), {"$sort": {"n": -1}}, {"$limit": limit + 1}]
        options: dict[str, Any] = {"allowDiskUse": True, "maxTimeMS": max(1, int(seconds * 1000))}
        if collation := index.get("collation"):
            options["collation"] = collation
        with self._guard():
            try:
                found = list(self._db[collection].aggregate(stages, **options))
            except ExecutionTimeout:
                return EqualKeys(complete=False)
        groups = [equal for group in found[:limit] if (equal := self._confirmed(collection, index, group))]
        return EqualKeys(tuple(groups), complete=len(found) <= limit)

    def _confirmed(self, collection: str, index: Document, group: Document) -> EqualKey | None:
        """A group whose examples do have a key in common, as the index has it."""
        from goaime_migrate.backends.embedded.unique import KeyTable, checkable

        ids = [group["first"], group["last"]]
        with self._guard():
            batches = self._db[collection].find_raw_batches({"_id": {"$in": ids}})
            documents = list(raw_bson.split_all(batches))
        if index.get("collation"):  # by which the server has grouped; only arrays might mislead it
            plain = not any(isinstance(value, list) for value in group["_id"])
            return EqualKey(tuple(group["_id"]), tuple(ids), group["n"]) if plain else None
        table = KeyTable(checkable(index))
        for document in documents:
            table.add(document)
        return next((EqualKey(g.key, g.ids, group["n"]) for g in table.groups()), None)

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


def _grouped(index: Document) -> Iterator[Document]:
    """The stages that put documents with one key together: equal keys, how many documents, two of their `_id`s."""
    paths = list(index["key"])
    if any(part.startswith("$") or not part for path in paths for part in path.split(".")):
        raise MissingCapability(f"no aggregation can name all of {', '.join(map(repr, paths))}")
    if covered := index.get("partialFilterExpression"):
        yield {"$match": covered}
    if index.get("sparse"):
        yield {"$match": {"$or": [{path: {"$exists": True}} for path in paths]}}
    yield {"$project": {f"k{n}": f"${path}" for n, path in enumerate(paths)}}
    for n in range(len(paths)):
        yield {"$unwind": {"path": f"$k{n}", "preserveNullAndEmptyArrays": True}}
    keys = [{"$ifNull": [f"$k{n}", None]} for n in range(len(paths))]
    yield {"$group": {"_id": {"k": keys, "d": "$_id"}}}
    yield {
        "$group": {
            "_id": "$_id.k",
            "n": {"$sum": 1},
            "first": {"$min": "$_id.d"},
            "last": {"$max": "$_id.d"},
        }
    }
    yield {"$match": {"n": {"$gt": 1}}}


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
