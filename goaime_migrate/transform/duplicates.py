"""Which documents are there twice: told by keys as a unique index has them, and by an order that says which one stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, total_ordering
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key, id_key
from goaime_migrate.backends.index_keys import index_keys

Pairs = dict[bytes, bytes]
"""The raw `_id` of each document that goes, with that of the one that stays in its place."""
Read = Callable[[Sequence[str]], Iterable[Sequence[bytes]]]
"""Reads all documents that count, with these fields, some at a time."""
_SLOTS, _FEWEST, _MOST = 16, 1 << 16, 1 << 28
"""Bytes that are taken for a document, and at least and at most for all, to find out which keys are there twice."""


@total_ordering
@dataclass(frozen=True)
class _Descending:
    """Compares the other way round."""

    key: Key

    def __lt__(self, other: _Descending) -> bool:
        return other.key < self.key


@dataclass(frozen=True)
class Likeness:
    """When documents are duplicates: they have a key over these paths in common; the first by `sort` stays."""

    paths: tuple[str, ...]
    sort: tuple[tuple[str, int], ...] = ()

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The top-level fields that tell."""
        return _tops((*self.paths, *(path for path, _ in self.sort)))

    @cached_property
    def _compared(self) -> frozenset[bytes]:
        """Those of them that hold the keys."""
        return frozenset(name.encode() for name in _tops(self.paths))

    def has_any(self, document: bytes) -> bool:
        """Whether a whole document has any of the fields that hold the keys."""
        return not self._compared.isdisjoint(raw_bson.fields(document))

    def keys(self, document: bytes) -> set[tuple[Key, ...]]:
        """The keys of a document."""
        return index_keys(document, self.paths)

    def rank(self, document: bytes) -> tuple[Any, ...]:
        """Its place in the order: documents that are equal in it stand by their `_id`s."""
        by_sort = (self._rank_by(document, path, direction) for path, direction in self.sort)
        return (*by_sort, id_key(raw_bson.id_of(document)))

    @staticmethod
    def _rank_by(document: bytes, path: str, direction: int) -> Key | _Descending:
        """An array stands where its least element does, or its greatest where the greatest come first."""
        keys = [key for (key,) in index_keys(document, [path])]
        return min(keys) if direction > 0 else _Descending(max(keys))

    def gives_way(self, document: bytes, other: bytes) -> bool:
        """Whether a document goes for another that stays."""
        return not self.keys(document).isdisjoint(self.keys(other)) and self.rank(other) < self.rank(document)


def _tops(paths: Iterable[str]) -> tuple[str, ...]:
    """The top-level fields that paths begin with, each once."""
    return tuple(dict.fromkeys(path.partition(".")[0] for path in paths))


def doomed(like: Likeness, documents: Iterable[bytes]) -> Pairs:
    """Those of these documents that go: in their order, each that has a key which one that stays has."""
    owners: dict[tuple[Key, ...], bytes] = {}
    going: Pairs = {}
    for document in sorted(documents, key=like.rank):
        identity, keys = raw_bson.id_of(document), like.keys(document)
        stays = next((owners[key] for key in keys if key in owners), None)
        if stays is None:
            owners.update(dict.fromkeys(keys, identity))
        else:
            going[identity] = stays
    return going


def find(like: Likeness, read: Read, documents: int) -> Pairs:
    """All that go of a collection of so many documents.

    It is read twice: first to find out which keys may be there more than once, then to keep the documents that have
    them. So memory holds these, and a few bytes for each of the others.
    """
    repeated = _Repeated(documents)
    for batch in read(like.fields):
        for document in batch:
            for key in like.keys(document):
                repeated.note(key)
    candidates = [
        document
        for batch in read(like.fields)
        for document in batch
        if any(key in repeated for key in like.keys(document))
    ]
    return doomed(like, candidates)


class _Repeated:
    """Which keys were noted more than once: all that were, and a few that were not."""

    def __init__(self, documents: int) -> None:
        self._times = bytearray(max(_FEWEST, min(_MOST, _SLOTS * documents)))

    def note(self, key: tuple[Key, ...]) -> None:
        """A document has this key."""
        for slot in self._slots(key):
            self._times[slot] = min(2, self._times[slot] + 1)

    def __contains__(self, key: tuple[Key, ...]) -> bool:
        return all(self._times[slot] > 1 for slot in self._slots(key))

    def _slots(self, key: tuple[Key, ...]) -> tuple[int, int]:
        return hash(key) % len(self._times), hash((key, None)) % len(self._times)
