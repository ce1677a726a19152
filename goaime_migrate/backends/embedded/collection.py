"""One collection in memory: raw documents in the order of the file, by the keys of their `_id`s."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key, id_key, sort_key
from goaime_migrate.backends.dump import bsonfile, filenames
from goaime_migrate.backends.dump.metadata import VIEW, Metadata
from goaime_migrate.backends.dump.snapshot import Source
from goaime_migrate.backends.embedded import paths
from goaime_migrate.backends.embedded.places import Places
from goaime_migrate.backends.embedded.unique import Change, Taken, UniqueIndex, unique_indexes
from goaime_migrate.errors import DuplicateKey
from goaime_migrate.results import Document

Effects = Mapping[Key, bytes | None]
"""What becomes of documents: new bytes, or None for a document that goes."""
Checked = Sequence[tuple[UniqueIndex, Change]]
_FEW = 1_000
"""Effects through which what is known of the documents is kept; after more of them it is found anew."""


class Collection:
    """Documents are read from `source` when they are first needed.

    `changed` says that the documents have to be written; `files` are the names of the files that it has in
    the dump.
    """

    def __init__(
        self, name: str, metadata: Metadata, source: Source | None = None, *, stem: str = ""
    ) -> None:
        self.name = name
        self.stem = stem or filenames.stem_of(name)
        self.metadata = metadata
        self.changed = False
        self.files: frozenset[str] = frozenset()
        self._source = source
        self._loaded: dict[Key, bytes] | None = None if source else {}
        self._order: list[Key] | None = None
        self._places: Places | None = None
        self._scattered = False
        """Whether `documents` are not in the order of their places."""
        self._by_path: dict[str, dict[Key, dict[Key, None]]] = {}
        self._indexes: list[UniqueIndex] | None = None

    @classmethod
    def new(cls, name: str, options: Mapping[str, Any]) -> Collection:
        """One that is not in the dump yet."""
        collection = cls(name, Metadata.new(name, dict(options)))
        collection.changed = collection.kind != VIEW
        return collection

    def copy(self) -> Collection:
        """One that can be changed without changing this one."""
        twin = Collection(self.name, self.metadata.copy(), stem=self.stem)
        twin._loaded, twin.changed, twin.files = dict(self.in_order()), self.changed, self.files
        return twin

    @property
    def kind(self) -> str:
        """`collection`, `view` or `timeseries`."""
        return self.metadata.kind

    @property
    def documents(self) -> dict[Key, bytes]:
        """All documents. Raises DumpUnreadable where the file is damaged."""
        if self._loaded is None:
            assert self._source is not None
            with self._source.open() as file:
                self._loaded = bsonfile.load(file, self._source.label)
            self._source.close()
        return self._loaded

    def in_order(self) -> dict[Key, bytes]:
        """All documents as they come to stand in the file."""
        if self._scattered and self._places is not None:
            self._loaded = {key: self.documents[key] for key in self._places}
            self._scattered = False
        return self.documents

    def predecessors(self, keys: Sequence[Key]) -> list[Key | None]:
        """See `Places.predecessors`."""
        return self._known_places().predecessors(keys)

    def _known_places(self) -> Places:
        if self._places is None:
            self._places = Places(self.documents)
        return self._places

    def to_write(self) -> dict[str, Iterable[bytes]]:
        """The files that are not in the dump as they should be, with their content."""
        content: dict[str, Iterable[bytes]] = {}
        if self.changed:
            content[self.stem + filenames.DOCUMENTS] = self.in_order().values()
        if self.metadata.changed:
            content[self.stem + filenames.METADATA] = [self.metadata.dump()]
        return content

    def mark_written(self) -> None:
        """What `to_write` said is in the dump now."""
        self.files |= self.to_write().keys()
        self.changed = self.metadata.changed = False

    def order(self) -> list[Key]:
        """The keys of all documents, ascending by `_id`."""
        if self._order is None:
            self._order = sorted(self.documents)
        return self._order

    def range(self, after: bytes | None, upto: bytes | None) -> Iterator[bytes]:
        """Documents with after < _id <= upto, ascending."""
        order = self.order()
        start = 0 if after is None else bisect_right(order, id_key(after))
        stop = len(order) if upto is None else bisect_right(order, id_key(upto))
        return (self.documents[order[position]] for position in range(start, stop))

    def having(self, path: str, wanted: Sequence[Any], after: bytes | None = None) -> list[bytes]:
        """Documents with a wanted value at the path, or in an array there, and after < _id; ascending by `_id`."""
        keys = map(_key_or_none, wanted)
        if path == "_id":
            found = {key for key in keys if key in self.documents}
        else:
            index = self._index(path)
            found = {owner for key in keys for owner in index.get(key, ())}
        start = () if after is None else id_key(after)
        return [self.documents[owner] for owner in sorted(found) if owner > start]

    def candidates(self, filter: Mapping[str, Any] | None) -> Sequence[Key]:
        """The keys of the documents that may match, ascending: those that an index gives, or all."""
        found = self.narrowed(filter or {})
        return self.order() if found is None else found

    def narrowed(self, filter: Mapping[str, Any]) -> Sequence[Key] | None:
        """Those of a range of `_id`s, or of a pass, ascending; None where the filter names neither."""
        among = filter.get("_id")
        if isinstance(among, dict) and among and all(map(_is_bound, among.items())):
            order = self.order()
            start, stop = 0, len(order)
            for way, bound in among.items():
                place = (bisect_left if way in ("$gte", "$lt") else bisect_right)(order, _id_key_of(bound))
                start, stop = (
                    (max(start, place), stop) if way in ("$gt", "$gte") else (start, min(stop, place))
                )
            return order[start:stop]
        if isinstance(filter.get("pass"), str):
            return sorted(self._index("pass").get(sort_key(filter["pass"]), ()))
        return None

    def check(self, effects: Effects) -> Checked:
        """What the effects do to the unique indexes. Raises DuplicateKey where one refuses a document."""
        return [(index, self._allow(index, effects)) for index in self._unique()]

    def apply(self, effects: Effects, checked: Checked, places: Mapping[Key, Key] = {}) -> None:
        """Write effects that `check` has allowed. Nothing can go wrong any more.

        `places`: what some of the new documents come to stand behind.
        """
        self._keep_places(effects, places)
        self._keep_order(effects)
        self._keep_indexes(effects)
        for key, document in effects.items():
            if document is None:
                self.documents.pop(key, None)
            else:
                self.documents[key] = document
        for index, change in checked:
            index.apply(change)
        self.changed = self.changed or bool(effects)

    def add_index(self, spec: dict[str, Any]) -> None:
        """Raises DuplicateKey if the documents do not allow it. The caller knows that its name is free."""
        for index in unique_indexes([spec]):
            try:
                index.load(self.documents, strict=True)
            except Taken as taken:
                raise self._refusal(taken, {}, [spec]) from taken
        self.metadata.indexes = [*self.metadata.indexes, spec]
        self._indexes = None

    def remove_index(self, name: str) -> None:
        """Take the index of this name out of the metadata."""
        self.metadata.indexes = [spec for spec in self.metadata.indexes if spec["name"] != name]
        self._indexes = None

    def rename(self, name: str) -> None:
        """Another name means other files, with the same content."""
        self.changed = self.kind != VIEW
        if self.changed:
            self.documents  # noqa: B018  (read before the file of the old name goes)
        self.name, self.stem, self.files = name, filenames.stem_of(name), frozenset()
        self.metadata.rename(name)

    def _index(self, path: str) -> dict[Key, dict[Key, None]]:
        """The owners of every value at a path, built once and kept as documents change."""
        index = self._by_path.get(path)
        if index is None:
            index = self._by_path[path] = {}
            for owner, document in self.documents.items():
                for key in _values_and_items(document, path):
                    index.setdefault(key, {})[owner] = None
        return index

    def _keep_places(self, effects: Effects, places: Mapping[Key, Key]) -> None:
        """Keep the places, where they are known or asked for, through effects that are about to be applied."""
        if self._places is None and not places:
            return
        known = self._known_places()
        for key, document in effects.items():
            there = key in self.documents
            if document is None and there:
                known.remove(key)
            elif document is not None and not there:
                known.add(key, places.get(key))
                self._scattered = self._scattered or key in places

    def _keep_order(self, effects: Effects) -> None:
        """Keep the order through a few effects that are about to be applied; after many it is made anew."""
        moved = [key for key in effects if (effects[key] is None) is (key in self.documents)]
        if self._order is None or len(moved) > _FEW:
            self._order = None if moved else self._order
            return
        order = self._order.copy() if moved else self._order  # somebody may be reading in the old one
        for key in moved:
            place = bisect_left(order, key)
            if effects[key] is None:
                del order[place]
            else:
                order.insert(place, key)
        self._order = order

    def _keep_indexes(self, effects: Effects) -> None:
        """Keep the owners of values through a few effects that are about to be applied."""
        if len(effects) > _FEW:
            self._by_path.clear()
        for path, index in self._by_path.items():
            for owner, document in effects.items():
                for key in _values_and_items(self.documents[owner], path) if owner in self.documents else ():
                    index[key].pop(owner, None)
                for key in () if document is None else _values_and_items(document, path):
                    index.setdefault(key, {})[owner] = None

    def _unique(self) -> list[UniqueIndex]:
        if self._indexes is None:
            self._indexes = unique_indexes(self.metadata.indexes)
            for index in self._indexes:
                index.load(self.documents)
        return self._indexes

    def _allow(self, index: UniqueIndex, effects: Effects) -> Change:
        try:
            return index.check(self.documents, effects)
        except Taken as taken:
            raise self._refusal(taken, effects, self.metadata.indexes) from taken

    def _refusal(self, taken: Taken, effects: Effects, specs: Sequence[Document]) -> DuplicateKey:
        both = [effects.get(key) or self.documents[key] for key in (taken.first, taken.second)]
        first, second = (raw_bson.id_value(raw_bson.id_of(document)) for document in both)
        field = next((next(iter(spec["key"])) for spec in specs if spec["name"] == taken.index), None)
        return DuplicateKey(
            f"{self.name}: the documents {first!r} and {second!r} would have the same key "
            f"in the unique index {taken.index!r}",
            hint="make the values differ, or let DeleteDuplicates go before the index",
            id=second,
            field=field,
        )


def _is_bound(item: tuple[str, Any]) -> bool:
    return item[0] in ("$gt", "$gte", "$lt", "$lte") and isinstance(item[1], str)


def _id_key_of(value: str) -> Key:
    return id_key(raw_bson.encode({"_id": value}))


def _values_and_items(document: bytes, path: str) -> set[Key]:
    keys = set()
    for value in paths.values(document, path):
        if value is paths.MISSING:
            continue
        keys.add(sort_key(value))
        if isinstance(value, list):
            keys.update(sort_key(item) for item in value)
    return keys


def _key_or_none(value: Any) -> Key:
    """A value that BSON cannot hold equals nothing."""
    try:
        return sort_key(value)
    except TypeError:
        return ()
