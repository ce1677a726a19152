"""One unit of work on a store: collected first, with every condition checked, then applied as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key, id_key
from goaime_migrate.backends.embedded import paths
from goaime_migrate.backends.embedded.collection import Collection
from goaime_migrate.backends.embedded.matching import ids_named, matcher
from goaime_migrate.backends.embedded.places import START
from goaime_migrate.backends.embedded.store import Store
from goaime_migrate.backends.ports import (
    Changes,
    Delete,
    Filter,
    GuardFailed,
    Move,
    Put,
    RecordChange,
    Write,
    freeing_first,
)
from goaime_migrate.errors import IdChanged, ResultTooLarge


class Batch:
    """Later changes see the earlier ones; the store sees none of them before `commit`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._effects: dict[str, dict[Key, bytes | None]] = {}
        self._places: dict[str, dict[Key, Key]] = {}
        """What some of the new documents come to stand behind."""

    def add(self, changes: Changes) -> None:
        """Raises GuardFailed, ResultTooLarge or IdChanged; the batch must not be committed then.

        A document that is not what the writer had read fails the whole batch, as in a transaction.
        """
        self._records(changes.first)
        for write in freeing_first(changes.writes):
            self._write(changes.collection, write)
        self._records(changes.last)

    def commit(self) -> None:
        """Apply everything. Raises DuplicateKey, with nothing applied, where a unique index refuses it."""
        changed = [
            (
                self._store.get(name) or Collection.new(self._store.name_of(name), {}),
                effects,
                self._places.get(name, {}),
            )
            for name, effects in self._effects.items()
        ]
        checked = [collection.check(effects) for collection, effects, _ in changed]
        for (collection, effects, places), allowed in zip(changed, checked, strict=True):
            self._store.collections[collection.name] = collection
            collection.apply(effects, allowed, places)

    def _records(self, changes: Sequence[RecordChange]) -> None:
        for change in changes:
            match change:
                case Put():
                    self._set(change.collection, raw_bson.encode(change.document))
                case Move():
                    self._move(change)
                case Delete():
                    for key, _ in list(self._matching(change.collection, change.filter)):
                        self._effects_on(change.collection)[key] = None

    def _move(self, move: Move) -> None:
        for _, found in self._matching(move.collection, move.filter):
            record = raw_bson.decode(found)
            for path, value in move.set.items():
                paths.assign(record, path, value)
            self._set(move.collection, raw_bson.encode(record))
            return
        raise GuardFailed(f"{move.collection}: no record matches {dict(move.filter)}")

    def _write(self, collection: str, write: Write) -> None:
        key, value = id_key(write.id), raw_bson.id_value(write.id)
        if self._get(collection, key) != write.before:
            raise GuardFailed(f"{collection}: {value!r} is not what was read")
        if write.after is None:
            self._effects_on(collection)[key] = None
            return
        if self._set(collection, write.after) != key:
            raise IdChanged(f"{collection}: a result has another _id than its document", id=value)
        if write.place is not None:
            behind = START if write.place == raw_bson.NOTHING else id_key(write.place)
            self._places.setdefault(collection, {})[key] = behind

    def _set(self, collection: str, document: bytes) -> Key:
        raw_id = raw_bson.id_of(document)
        if len(document) > raw_bson.MAX_DOCUMENT:
            raise ResultTooLarge(
                f"{collection}: a document of {len(document):,} bytes is larger than MongoDB's 16 MB",
                hint="split what grows into a collection of its own",
                id=raw_bson.id_value(raw_id),
            )
        key = id_key(raw_id)
        self._effects_on(collection)[key] = document
        return key

    def _effects_on(self, collection: str) -> dict[Key, bytes | None]:
        return self._effects.setdefault(collection, {})

    def _get(self, name: str, key: Key) -> bytes | None:
        effects = self._effects.get(name, {})
        if key in effects:
            return effects[key]
        collection = self._store.get(name)
        return None if collection is None else collection.documents.get(key)

    def _matching(self, name: str, filter: Filter) -> Iterator[tuple[Key, bytes]]:
        matches = matcher(filter)
        for key in self._candidates(name, filter):
            document = self._get(name, key)
            if document is not None and matches(document):
                yield key, document

    def _candidates(self, name: str, filter: Filter) -> list[Key]:
        """The keys that can match: those of the `_id`s that the filter names, or all."""
        named = ids_named(filter)
        if named is not None:
            return named
        collection = self._store.get(name)
        present = () if collection is None else collection.candidates(filter)
        return list(dict.fromkeys([*present, *self._effects.get(name, {})]))
