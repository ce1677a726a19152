"""Reads from a dump that was opened: the `Reader` half of the backend, over a store."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate, islice
from typing import Any, TypeVar

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key, id_key
from goaime_migrate.backends.dump.metadata import COLLECTION
from goaime_migrate.backends.embedded import catalogue, paths
from goaime_migrate.backends.embedded.collection import Collection
from goaime_migrate.backends.embedded.matching import ids_named, matcher, sort_documents
from goaime_migrate.backends.embedded.places import START
from goaime_migrate.backends.embedded.store import Store
from goaime_migrate.backends.field_paths import project
from goaime_migrate.backends.ports import CollectionInfo, Filter, Origin, Sort
from goaime_migrate.errors import MissingCapability
from goaime_migrate.results import Document

T = TypeVar("T")
_BY_ID = [("_id", 1)]


class DumpReader:
    """Everything about a store that changes nothing. A collection that does not exist has no documents.

    Any method may raise DumpUnreadable, since files are read when they are first needed; MissingCapability or
    UsageError for a filter that cannot be evaluated; MissingCapability for views and time-series collections.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def now(self) -> datetime:
        """This machine's clock, in milliseconds as BSON has them."""
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

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
        """Trimmed to `fields` with their very bytes."""
        matches = matcher(where)
        found = (document for document in self._reading(collection).range(after, upto) if matches(document))
        if fields is not None:
            found = (paths.trim(document, fields) for document in found)
        return list(_up_to(_limit(found, limit), max_bytes))

    def by_ids(
        self,
        collection: str,
        ids: Sequence[bytes],
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
    ) -> list[bytes]:
        """In the order of `ids`, each once."""
        documents, matches = self._reading(collection).documents, matcher(where)
        found = (documents.get(key) for key in dict.fromkeys(id_key(each) for each in ids))
        matching = (document for document in found if document is not None and matches(document))
        return [document if fields is None else paths.trim(document, fields) for document in matching]

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
        """By an index over the values of `key` that is kept until a document changes."""
        having = self._reading(collection).having(key, values, after)
        found = _limit(having if where is None else filter(matcher(where), having), limit)
        if fields is None:
            return [paths.decode(document) for document in found]
        return [paths.select(document, ["_id", key, *fields]) for document in found]

    def pipeline(self, collection: str, ids: Sequence[bytes], stages: Sequence[Document]) -> list[bytes]:
        """In memory, with `$$NOW` by this machine's clock."""
        from goaime_migrate.backends.embedded import pipeline

        now = self.now()
        return [pipeline.apply(document, stages, now) for document in self.by_ids(collection, ids)]

    def aggregate(self, collection: str, stages: Sequence[Document]) -> Iterator[bytes]:
        """By mongomock, as users' functions have it. Raises MissingCapability for what it cannot do."""
        from goaime_migrate.backends.embedded import aggregation

        return aggregation.run(self._store, collection, stages)

    def places(self, collection: str, ids: Sequence[bytes]) -> Sequence[bytes | None]:
        """In the order of the file."""
        found = self._reading(collection)
        before = found.predecessors([id_key(each) for each in ids])
        return [None if key is None else _place(found, key) for key in before]

    def find(
        self,
        collection: str,
        filter: Filter,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[Document]:
        """Ascending by `_id` where no order is asked for."""
        found = self._matching(collection, filter)
        sort = () if list(sort) == _BY_ID else sort
        if not sort:
            found = iter(_limit(found, limit))
        if fields is None:
            documents = [paths.decode(document) for document in found]
        else:
            needed = ["_id", *fields, *(name for name, _ in sort)]
            documents = [paths.select(document, needed) for document in found]
        if sort:
            documents = list(_limit(sort_documents(documents, sort), limit))
        if sort and fields is not None:
            documents = [project(document, ["_id", *fields]) for document in documents]
        return documents

    def count(self, collection: str, where: Filter | None = None, *, limit: int = 0) -> int:
        """Exact, with a filter or without."""
        if where:
            return sum(1 for _ in _limit(self._matching(collection, where), limit))
        total = len(self._reading(collection).documents)
        return min(total, limit) if limit else total

    def last_id(self, collection: str) -> bytes | None:
        """By the order that is kept of all `_id`s."""
        found = self._reading(collection)
        return raw_bson.id_of(found.documents[found.order()[-1]]) if found.documents else None

    def sample(self, collection: str, size: int, where: Filter | None = None) -> list[bytes]:
        """The same ones every time, ascending by `_id`."""
        found, matches = self._reading(collection), matcher(where)
        order = found.order()
        places = _spread(len(order), size) if where is None else _golden_steps(len(order))
        chosen = islice((place for place in places if matches(found.documents[order[place]])), size)
        return [found.documents[order[place]] for place in sorted(chosen)]

    def if_stored(
        self, collection: str, document: bytes, where: Filter | None, stages: Sequence[Document]
    ) -> bytes | None:
        """In memory, as all else."""
        from goaime_migrate.backends.embedded import pipeline

        return pipeline.apply(document, stages, self.now()) if matcher(where)(document) else None

    def ids_apart(self, collection: str, distances: Sequence[int]) -> Iterator[bytes]:
        """Counted off in memory."""
        ids = [raw_bson.id_of(document) for document in self.documents(collection, fields=())]
        return (ids[place - 1] for place in accumulate(distances) if place <= len(ids))

    def origin(self) -> Origin:
        """Nothing: data and records of a dump are written together."""
        return Origin()

    def collections(self) -> dict[str, CollectionInfo]:
        """All but the tool's and the server's own."""
        return catalogue.collections(self._store)

    def indexes(self, collection: str) -> list[Document]:
        """As the metadata have them; none for a collection that does not exist."""
        return catalogue.indexes(self._store, collection)

    def _reading(self, name: str) -> Collection:
        collection = self._store.get(name)
        if collection is None:
            return Collection.new(name, {})
        if collection.kind != COLLECTION and not collection.documents:
            raise MissingCapability(
                f"{name!r} is a {collection.kind}: a dump directory has no documents of it",
                hint="restore the dump into a MongoDB server with mongorestore and migrate it there",
            )
        return collection

    def _matching(self, name: str, filter: Filter | None) -> Iterator[bytes]:
        """Ascending by `_id`; a filter that names `_id`s, or ranges of them, does not scan."""
        collection, matches = self._reading(name), matcher(filter)
        named = ids_named(filter)
        if named is not None:
            return _those(collection, named, matches)
        ranges = filter.get("$or") if filter and len(filter) == 1 else None
        if ranges and all(collection.narrowed(each) is not None for each in ranges):
            found = {
                d for each in ranges for d in _those(collection, collection.candidates(each), matcher(each))
            }
            return iter(sorted(found, key=lambda document: id_key(raw_bson.id_of(document))))
        return _those(collection, collection.candidates(filter), matches)


def _place(collection: Collection, key: Key) -> bytes:
    return raw_bson.NOTHING if key == START else raw_bson.id_of(collection.documents[key])


def _those(collection: Collection, keys: Iterable[Key], matches: Callable[[bytes], bool]) -> Iterator[bytes]:
    """The documents with these keys that match."""
    found = (collection.documents.get(key) for key in keys)
    return (document for document in found if document is not None and matches(document))


def _limit(items: Iterable[T], limit: int) -> Iterable[T]:
    return islice(items, limit) if limit else items


def _up_to(documents: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Documents until, with the last of them, `max_bytes` are reached; all of them if it is 0."""
    size = 0
    for document in documents:
        yield document
        size += len(document)
        if max_bytes and size >= max_bytes:
            return


def _spread(total: int, size: int) -> Iterable[int]:
    """`size` places out of `total`, at even distances."""
    return range(total) if size >= total else [place * total // size for place in range(size)]


def _golden_steps(total: int) -> Iterator[int]:
    """All places, in steps of the golden ratio: however many of them one takes, they are spread evenly."""
    step = max(1, round(total * (math.sqrt(5) - 1) / 2))
    while math.gcd(step, total) > 1:
        step += 1
    return (place * step % total for place in range(total))
