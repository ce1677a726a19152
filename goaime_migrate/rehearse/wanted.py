"""What has to be copied: a sample of each collection, with the documents that are looked up for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Backend, Filter, ForwardingReader, Reader
from goaime_migrate.results import Document
from goaime_migrate.run.reading import batches

PORTION = 500
"""Documents that are read by their `_id`s at a time."""


class Wanted:
    """Documents by collection, or whole collections."""

    def __init__(self) -> None:
        self._whole: set[str] = set()
        self._ids: defaultdict[str, dict[bytes, None]] = defaultdict(dict)
        self._fresh: defaultdict[str, list[bytes]] = defaultdict(list)

    def add(self, collection: str, ids: Iterable[bytes]) -> None:
        """These too."""
        if collection in self._whole:
            return
        known = self._ids[collection]
        new = [identity for identity in ids if identity not in known]
        known.update(dict.fromkeys(new))
        self._fresh[collection] += new

    def add_whole(self, collection: str) -> bool:
        """All of them; whether that was not known yet."""
        if collection in self._whole:
            return False
        self._whole.add(collection)
        self._ids.pop(collection, None)
        self._fresh.pop(collection, None)
        return True

    def fresh(self) -> dict[str, list[bytes]]:
        """Those that were added since this was asked for the last time."""
        fresh, self._fresh = {name: ids for name, ids in self._fresh.items() if ids}, defaultdict(list)
        return fresh

    def is_whole(self, collection: str) -> bool:
        """Whether all of a collection is."""
        return collection in self._whole

    def count(self, backend: Backend, collection: str) -> int:
        """How many of a collection."""
        return backend.count(collection) if self.is_whole(collection) else len(self._ids[collection])

    def documents(self, backend: Backend, collection: str) -> Iterator[list[bytes]]:
        """Them, as they are now, a batch at a time; those by `_id` in no order."""
        if self.is_whole(collection):
            yield from batches(backend, collection)
        else:
            yield from by_ids(backend, collection, list(self._ids[collection]))


def by_ids(reader: Reader, collection: str, ids: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Documents by their `_id`s, a batch at a time."""
    for start in range(0, len(ids), PORTION):
        yield reader.by_ids(collection, ids[start : start + PORTION])


class Watched(ForwardingReader):
    """Reads for a transform, and notes which documents it is given.

    A pipeline over documents reads what is in the sample already, and what an aggregation reads is copied as a whole.
    """

    def __init__(self, reader: Reader, wanted: Wanted) -> None:
        self._reader = reader
        self._wanted = wanted

    @property
    def reader(self) -> Reader:
        """The one that it watches."""
        return self._reader

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
        """Noted."""
        found = super().documents(
            collection, after=after, upto=upto, where=where, limit=limit, max_bytes=max_bytes, fields=fields
        )
        return self._noted(collection, found)

    def by_ids(
        self,
        collection: str,
        ids: Sequence[bytes],
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
    ) -> list[bytes]:
        """Noted."""
        return self._noted(collection, super().by_ids(collection, ids, where, fields))

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
        """Noted."""
        found = super().lookup(collection, key, values, fields, where=where, after=after, limit=limit)
        self._wanted.add(collection, (raw_bson.encode({"_id": document["_id"]}) for document in found))
        return found

    def _noted(self, collection: str, found: list[bytes]) -> list[bytes]:
        self._wanted.add(collection, map(raw_bson.id_of, found))
        return found
