"""A reader over dicts, for what needs a database only to look documents up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bson import encode

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Changes, Put, RecordChange


class FakeReader:
    """Collections as lists of documents; records as the engine wrote them. Counts its lookups."""

    def __init__(self, **collections: Sequence[Mapping[str, Any]]) -> None:
        self.stored = {name: list(documents) for name, documents in collections.items()}
        self.records: dict[str, dict[str, Any]] = {}
        self.asked: list[Sequence[Any]] = []

    def documents(self, collection: str, **_: Any) -> list[bytes]:
        return [encode(d) for d in self.stored.get(collection, ())]

    def by_ids(
        self, collection: str, ids: Sequence[bytes], where: Any = None, fields: Any = None
    ) -> list[bytes]:
        return [d for d in self.documents(collection) if raw_bson.id_of(d) in set(ids)]

    def lookup(
        self,
        collection: str,
        key: str,
        values: Sequence[Any],
        fields: Sequence[str] | None,
        *,
        where: Mapping[str, Any] | None = None,
        after: bytes | None = None,
        limit: int = 0,
    ) -> list[dict[str, Any]]:
        self.asked.append(list(values))
        found = [dict(d) for d in self.stored.get(collection, ()) if key in d and d[key] in values]
        found = [d for d in found if after is None or d["_id"] > raw_bson.id_value(after)][: limit or None]
        if fields is not None:
            wanted = {"_id", key, *fields}
            found = [{k: v for k, v in d.items() if k in wanted} for d in found]
        return found

    def pipeline(self, collection: str, ids: Sequence[bytes], stages: Sequence[Any]) -> list[bytes]:
        return self.by_ids(collection, ids)

    def aggregate(self, collection: str, stages: Sequence[Any]) -> Iterator[bytes]:
        return iter(self.documents(collection))

    def places(self, collection: str, ids: Sequence[bytes]) -> Sequence[bytes | None]:
        return ()

    def find(self, collection: str, filter: Mapping[str, Any], **_: Any) -> list[dict[str, Any]]:
        asked = filter["_id"]
        if "$in" in asked:
            return [self.records[i] for i in asked["$in"] if i in self.records]
        return [
            r for i, r in self.records.items() if asked["$gte"] <= i < asked["$lt"] and r.get("format") == 1
        ]

    def keep(self, changes: Sequence[RecordChange]) -> None:
        """What a commit does with the records of a batch."""
        for change in Changes(first=changes).first:
            assert isinstance(change, Put)
            self.records[change.document["_id"]] = change.document
