"""A mongomock database over the raw documents, for users' own `up(db)` and `verify(db)`.

A collection is decoded when it is first looked at. What was changed is written back as a whole: documents
that still encode as what was read keep their very bytes, and those that Python or mongomock cannot hold stay
untouched. mongomock would delete expired documents while they are read, so TTL indexes are only shown, never
in force.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# (mongomock has no annotations)

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import mongomock
from bson.errors import BSONError
from mongomock.helpers import hashdict
from mongomock.store import DatabaseStore

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key, id_key
from goaime_migrate.backends.dump.metadata import COLLECTION, ID_INDEX
from goaime_migrate.backends.embedded import mongomock_database
from goaime_migrate.backends.embedded.catalogue import index_spec
from goaime_migrate.backends.embedded.collection import Collection
from goaime_migrate.backends.embedded.mongomock_database import LastingStore, MongomockDatabase
from goaime_migrate.backends.embedded.store import Store
from goaime_migrate.errors import (
    DuplicateKey,
    InvalidResult,
    MissingCapability,
    OperationFailed,
    ResultTooLarge,
)
from goaime_migrate.results import Document

_OPTIONS = ("unique", "sparse", "expireAfterSeconds", "partialFilterExpression")


class WorkingCopy:
    """One use of the database by a user's function. Nothing of it reaches the store before `write_back`."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._shown = {each.name: each for each in store.collections.values() if _can_be_shown(each)}
        self._copies = _Copies(self._shown)
        self.database = MongomockDatabase(mongomock.MongoClient(), name, _store=self._copies)

    def write_back(self) -> None:
        """Write back what was changed, all of it or, where something is refused, nothing.

        Raises DuplicateKey, ResultTooLarge, InvalidResult or OperationFailed. Changes of the tool's own
        records, which users may read, are not written back.
        """
        ours = self._store.ours
        written = {name: copy for name, copy in self._copies.existing() if name not in ours}
        everything = self._store.collections
        kept = {name: everything[name] for name in everything if name not in self._shown or name in ours}
        for name in written.keys() & kept.keys():
            what = "collection of the server's own" if kept[name].kind == COLLECTION else kept[name].kind
            raise OperationFailed(f"{name!r} is a {what}: in a dump directory nothing can be written to it")
        self._store.collections = kept | {name: copy.result(name) for name, copy in written.items()}


def lack_of(error: NotImplementedError) -> MissingCapability | None:
    """The error for what mongomock lacks; None for an exception that the user's function has raised itself."""
    if not _last_module(error.__traceback__).startswith(("mongomock", mongomock_database.__name__)):
        return None
    return MissingCapability(
        f"a dump directory cannot do this: {error}",
        hint="restore the dump into a MongoDB server with mongorestore and migrate it there, "
        "or write the migration with operations, which work on both",
    )


class _Copy(LastingStore):
    """mongomock's documents and indexes of one collection, and where they came from."""

    def __init__(self, name: str, origin: Collection | None = None) -> None:
        super().__init__(name)
        self._origin = origin
        self._loaded: set[Key] = set()
        self._content: OrderedDict[Any, Document] | None = None if origin else OrderedDict()
        self._is_force_created = origin is not None
        self.indexes = {} if origin is None else dict(_shown_indexes(origin))
        self._shown = dict(self.indexes)

    @property
    def _documents(self) -> OrderedDict[Any, Document]:
        if self._content is None:
            self._content = self._load()
        return self._content

    @_documents.setter
    def _documents(self, documents: OrderedDict[Any, Document]) -> None:
        self._content = documents

    @property
    def is_created(self) -> bool:
        return bool(self._is_force_created or super().is_created)

    def drop(self) -> None:
        super().drop()
        self._origin, self._shown = None, {}

    def result(self, name: str) -> Collection:
        """The collection as it is now: the very one that was shown where nothing has changed."""
        effects = self._effects()
        if (
            self._origin is not None
            and not effects
            and name == self._origin.name
            and self.indexes == self._shown
        ):
            return self._origin
        collection = Collection.new(name, {}) if self._origin is None else self._origin.copy()
        if name != collection.name:
            collection.rename(name)
        for gone in [index for index, shown in self._shown.items() if self.indexes.get(index) != shown]:
            collection.remove_index(gone)
        collection.apply(effects, collection.check(effects))
        for index, spec in self.indexes.items():
            if self._shown.get(index) != spec:
                collection.add_index(_catalogue_spec(index, spec))
        return collection

    def _load(self) -> OrderedDict[Any, Document]:
        content: OrderedDict[Any, Document] = OrderedDict()
        assert self._origin is not None
        for key, document in self._origin.in_order().items():
            try:
                decoded = raw_bson.decode(document)
                name = _hashable(decoded["_id"])
                if name not in content:
                    content[name] = decoded
                    self._loaded.add(key)
            except (BSONError, TypeError):
                continue
        return content

    def _effects(self) -> dict[Key, bytes | None]:
        """Deletions come first, so that what they free in unique indexes can be taken."""
        if self._content is None:
            return {}
        before = {} if self._origin is None else self._origin.documents
        written: dict[Key, bytes | None] = {}
        seen = set()
        for document in self._content.values():
            after = _encode(self.name, document)
            key = id_key(raw_bson.id_of(after))
            seen.add(key)
            if key in before and key not in self._loaded:
                raise DuplicateKey(
                    f"{self.name}: there is a document {document['_id']!r} already", id=document["_id"]
                )
            if key not in before or not _is_unchanged(before[key], after):
                written[key] = after
        return dict.fromkeys(self._loaded - seen) | written


class _Copies(DatabaseStore):
    def __init__(self, shown: Mapping[str, Collection]) -> None:
        super().__init__()
        self._collections = {name: _Copy(name, origin) for name, origin in shown.items()}

    def __getitem__(self, name: str) -> _Copy:
        return self._collections.setdefault(name, _Copy(name))

    def existing(self) -> Iterator[tuple[str, _Copy]]:
        return ((name, copy) for name, copy in self._collections.items() if copy.is_created)


def _can_be_shown(collection: Collection) -> bool:
    return collection.kind == COLLECTION and not collection.name.startswith("system.")


def _shown_indexes(origin: Collection) -> Iterator[tuple[str, Document]]:
    for spec in origin.metadata.indexes:
        if spec["name"] != ID_INDEX:
            options = {option: spec[option] for option in _OPTIONS if spec.get(option)}
            yield spec["name"], {"key": list(spec["key"].items())} | options


def _catalogue_spec(name: str, index: Document) -> Document:
    options = {option: index[option] for option in _OPTIONS if option in index}
    return index_spec(list(index["key"]), {"name": name} | options)


def _hashable(value: Any) -> Any:
    """The `_id` as mongomock files it. Raises TypeError where it cannot."""
    name = hashdict(value) if isinstance(value, dict) else value
    hash(name)
    return name


def _encode(collection: str, document: Document) -> bytes:
    try:
        encoded = raw_bson.encode(document)
    except (BSONError, ValueError, TypeError, OverflowError) as error:
        raise InvalidResult(
            f"{collection}: a document cannot be stored: {error}", id=document.get("_id")
        ) from error
    if len(encoded) > raw_bson.MAX_DOCUMENT:
        raise ResultTooLarge(
            f"{collection}: a document of {len(encoded):,} bytes is larger than MongoDB's 16 MB",
            id=document.get("_id"),
        )
    return encoded


def _is_unchanged(before: bytes, after: bytes) -> bool:
    return after == before or after == raw_bson.encode(raw_bson.decode(before))


def _last_module(traceback: TracebackType | None) -> str:
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return "" if traceback is None else str(traceback.tb_frame.f_globals.get("__name__", ""))
