"""Unique indexes, kept as far as a dump's metadata describe them: plain, compound, sparse and partial ones.

Indexes with a collation, and those that are not over plain values, are left to the server that restores the
dump.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key
from goaime_migrate.backends.dump.metadata import ID_INDEX
from goaime_migrate.backends.embedded.matching import matcher
from goaime_migrate.backends.embedded.paths import MISSING, values
from goaime_migrate.backends.index_keys import index_keys, values_of
from goaime_migrate.backends.ports import EqualKey
from goaime_migrate.errors import MissingCapability, UsageError
from goaime_migrate.results import Document


class Change(NamedTuple):
    """What a batch does to the entries of one index."""

    freed: set[Key]
    added: dict[Key, Key]


class Taken(Exception):
    """Two documents would have the same key in a unique index; `first` and `second` are their ids' keys."""

    def __init__(self, index: str, first: Key, second: Key) -> None:
        super().__init__(index)
        self.index, self.first, self.second = index, first, second


class UniqueIndex:
    """The entries of one unique index: whose document each key belongs to."""

    def __init__(self, spec: Document) -> None:
        self.name = str(spec["name"])
        self.paths = list(spec["key"])
        self._sparse = bool(spec.get("sparse"))
        self._covers = matcher(spec.get("partialFilterExpression"))
        self._owners: dict[Key, Key] = {}

    def load(self, documents: Mapping[Key, bytes], *, strict: bool = False) -> None:
        """Enter all documents; `strict` raises Taken where two have the same key, as a server would."""
        for owner, document in documents.items():
            for key in self.keys(document):
                other = self._owners.setdefault(key, owner)
                if strict and other != owner:
                    raise Taken(self.name, other, owner)

    def check(self, documents: Mapping[Key, bytes], effects: Mapping[Key, bytes | None]) -> Change:
        """What writing `effects` one after the other would change. Raises Taken if one of them is refused."""
        change = Change(set(), {})
        for owner, after in effects.items():
            before = documents.get(owner)
            if before is not None:
                self._free(change, owner, before)
            if after is not None:
                self._add(change, owner, after)
        return change

    def apply(self, change: Change) -> None:
        """Enter what `check` has allowed."""
        for key in change.freed:
            self._owners.pop(key, None)
        self._owners.update(change.added)

    def _free(self, change: Change, owner: Key, document: bytes) -> None:
        change.freed.update(key for key in self.keys(document) if self._owners.get(key) == owner)

    def _add(self, change: Change, owner: Key, document: bytes) -> None:
        for key in self.keys(document):
            other = change.added.get(key)
            if other is None and key not in change.freed:
                other = self._owners.get(key)
            if other is not None and other != owner:
                raise Taken(self.name, other, owner)
            change.added[key] = owner

    def keys(self, document: bytes) -> Iterator[Key]:
        """What the index holds for a document."""
        if not self._covers(document):
            return
        if self._sparse and all(values(document, path) == [MISSING] for path in self.paths):
            return
        yield from index_keys(document, self.paths)


def unique_indexes(specs: list[Document]) -> list[UniqueIndex]:
    """Those of a collection's indexes that can be checked here."""
    return [index for spec in specs if spec.get("unique") and (index := _index(spec))]


def checkable(spec: Document) -> UniqueIndex:
    """An index whose keys can be told here. Raises MissingCapability for one that only a server can judge."""
    index = _index(spec)
    if index is None:
        raise MissingCapability(f"only a server can judge the keys of the index {spec['name']!r}")
    return index


def _index(spec: Document) -> UniqueIndex | None:
    plain = all(isinstance(direction, int | float) for direction in spec["key"].values())
    if not plain or spec["name"] == ID_INDEX or spec.get("collation"):
        return None
    try:
        return UniqueIndex(spec)
    except (MissingCapability, UsageError):
        return None


class KeyTable:
    """Whose document each key of an index belongs to, and the keys that several documents would have."""

    EXAMPLES = 5

    def __init__(self, index: UniqueIndex) -> None:
        self.index = index
        self._owners: dict[Key, bytes] = {}
        self._equal: dict[Key, EqualKey] = {}

    def add(self, document: bytes) -> None:
        """Enter a document."""
        identity = raw_bson.id_of(document)
        for key in self.index.keys(document):
            owner = self._owners.setdefault(key, identity)
            if owner != identity:
                known = self._equal.get(key) or self._first(document, key, owner)
                more = (raw_bson.id_value(identity),) if len(known.ids) < self.EXAMPLES else ()
                self._equal[key] = EqualKey(known.key, (*known.ids, *more), known.documents + 1)

    def _first(self, document: bytes, key: Key, owner: bytes) -> EqualKey:
        found = values_of(document, self.index.paths, key)
        return EqualKey(found, (raw_bson.id_value(owner),), 1)

    def groups(self) -> list[EqualKey]:
        """The keys that more than one document has, the most frequent first."""
        return sorted(self._equal.values(), key=lambda group: -group.documents)
