"""What a lookup finds for a key: gathered from documents in any order, in the order that the lookup says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import total_ordering
from typing import Any, NamedTuple

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key
from goaime_migrate.backends.field_paths import project, sorted_by
from goaime_migrate.errors import OperationFailed
from goaime_migrate.results import Document
from goaime_migrate.transform.lookups import Lookup, keys_of

MOST_BYTES = 2 * raw_bson.MAX_DOCUMENT
"""What the documents of one key may have together."""


class Answer(NamedTuple):
    """What is found for a key: its documents, their bytes as BSON, and whether one was taken of several at a guess."""

    documents: Sequence[Document] = ()
    size: int = 0
    several: bool = False


@total_ordering
class _Descending:
    """A key that sorts the other way round."""

    __slots__ = ("key",)

    def __init__(self, key: Key) -> None:
        self.key = key

    def __lt__(self, other: _Descending) -> bool:
        return other.key < self.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)


class _Found:
    """The documents of one key so far."""

    def __init__(self) -> None:
        self.ranked: list[tuple[Any, int, Document]] = []
        self.size = 0
        self.several = False


class Gathering:
    """Documents by the keys that they are found by. Where one of several is wanted no more than that one is kept."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._sort = [*(lookup.sort or ()), ("_id", 1)]
        self._in_order = lookup.sort is None and lookup.pipeline is None
        self._found: dict[Any, _Found] = {}

    def add(self, key: Any, document: Document) -> bool:
        """A document that is found by a key; whether what comes later can change nothing of it any more.

        Documents of a collection come ascending by `_id`. Raises OperationFailed where they are too many.
        """
        found = self._found.setdefault(key, _Found())
        rank = () if self._in_order else tuple(self._rank(document))
        entry = rank, len(found.ranked), document
        if self._lookup.many:
            self._require_room(found, document)
            found.ranked.append(entry)
            return False
        found.several = found.several or bool(found.ranked)
        if not found.ranked or rank < found.ranked[0][0]:
            found.ranked = [entry]
        return found.several and self._in_order

    def answer(self, key: Any) -> Answer:
        """What is found for a key."""
        found = self._found.get(key)
        if found is None:
            return Answer()
        documents = [self._stripped(document) for *_, document in sorted(found.ranked, key=_place)]
        size = sum(len(raw_bson.encode(document)) for document in documents)
        return Answer(documents, size, found.several and self._lookup.is_ambiguous)

    def found(self) -> Iterable[Any]:
        """The keys that anything is found for."""
        return self._found.keys()

    def _rank(self, document: Document) -> Iterable[Any]:
        for path, way in self._sort:
            key = sorted_by(document, path, way)
            yield key if way > 0 else _Descending(key)

    def _require_room(self, found: _Found, document: Document) -> None:
        found.size += len(raw_bson.encode(document))
        if found.size > MOST_BYTES:
            lookup = self._lookup
            raise OperationFailed(
                f"more than {MOST_BYTES // 2**20} MB of {lookup.collection!r} have the same {lookup.key!r}, "
                "too much to be looked up with many=True",
                hint="limit what is read with fields= or where=, or count and sum in a pipeline=",
            )

    def _stripped(self, document: Document) -> Document:
        """Without what was read only to sort by it."""
        lookup = self._lookup
        if lookup.fields is None or lookup.sort is None:
            return document
        return project(document, ["_id", lookup.key, *lookup.fields])


def _place(entry: tuple[Any, int, Document]) -> tuple[Any, int]:
    return entry[:2]


def fields_read(lookup: Lookup) -> tuple[str, ...] | None:
    """The fields to read of each document, besides `_id` and the key; None for all."""
    return None if lookup.fields is None else (*lookup.fields, *(path for path, _ in lookup.sort or ()))


def gather(lookup: Lookup, documents: Iterable[Document]) -> Gathering:
    """All documents by all of their keys."""
    gathering = Gathering(lookup)
    for document in documents:
        for key in keys_of(document, lookup.key):
            gathering.add(key, document)
    return gathering
