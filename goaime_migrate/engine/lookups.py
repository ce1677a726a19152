"""Looked-up documents: declared by a migration, frozen for a pass, handed out as private copies.

A transform is called before anybody knows which keys it will ask for. A key that is not loaded yet is noted and
answered as if nothing had been found; what the transform makes of that is thrown away, the noted keys are loaded
with one query, and the transform is called again.

Every document is stored with the pass's journal when it is first read, absence included. Whatever happens to the
looked-up collection afterwards, a resumed run, the tail and `down` see what the first batch saw.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from bson import Code, Decimal128, ObjectId, Regex
from bson.errors import BSONError

from goaime_migrate.backends import raw
from goaime_migrate.backends.base import JOURNAL, Put, Reader, RecordChange
from goaime_migrate.backends.typed import reading
from goaime_migrate.engine.packing import packed, unpacked
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.ledger import FORMAT
from goaime_migrate.results import Document

CACHE_LIMIT = 50_000
"""Looked-up documents that a worker keeps in memory between two batches."""
WHOLE = 20_000
"""A looked-up collection of no more documents than this is read as a whole,"""
WHOLE_BYTES = 4 * 1024 * 1024
"""if they have no more bytes than this."""
_KEYS = 5_000
"""Keys that one query asks for."""
_PLAIN = frozenset({str, int, ObjectId, type(None)})
_ABSENT: Any = object()
_SCALARS = (str, int, float, bool, bytes, type(None))


@dataclass(frozen=True)
class Lookup:
    """Documents of another collection that a transform may ask for by the value of `key`.

    `fields` limits what is read of each. Of several documents with the same key, the one with the smallest `_id`.
    """

    collection: str
    key: str = "_id"
    fields: tuple[str, ...] | None = None

    def __init__(self, collection: str, *, key: str = "_id", fields: Sequence[str] | None = None) -> None:
        names: tuple[tuple[Any, str], ...] = ((collection, "the looked-up collection"), (key, "key="))
        for value, what in names:
            if not isinstance(value, str) or not value or "\0" in value:
                raise InvalidMigration(f"{what} must be a name, not {value!r}")
        if isinstance(fields, str):
            raise InvalidMigration("fields= must be a list of names", hint=f"fields=[{fields!r}]")
        object.__setattr__(self, "collection", collection)
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "fields", None if fields is None else tuple(fields))

    @property
    def label(self) -> str:
        """Collection and key, with the fields where they are limited."""
        fields = "" if self.fields is None else f"({','.join(self.fields)})"
        return f"{self.collection}.{self.key}{fields}"


def cache_key(value: Any) -> Any:
    """A hashable stand-in for a BSON value: equal exactly where MongoDB calls the values equal."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, bool):
        return ("bool", value)
    value = raw.decode(raw.encode({"": value}))[
        ""
    ]  # an aware datetime, a Binary: as the database gives it back
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return ("nan",) if number.is_nan() else number
    if isinstance(value, float) and math.isnan(value):
        return ("nan",)
    if isinstance(value, dict | list | tuple | Regex | Code):
        return ("nested", raw.encode({"": value}))
    return value


class _Entry:
    """A looked-up document and how to copy it: flat copies are enough for all but nested values."""

    __slots__ = ("document", "nested")

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nested = tuple((k, _copier(v)) for k, v in document.items() if isinstance(v, dict | list))

    def copy(self) -> Document:
        copy = self.document.copy()
        for key, copier in self.nested:
            copy[key] = copier(copy[key])
        return copy


def _copier(value: Any) -> Callable[[Any], Any]:
    flat = type(value) is list and all(isinstance(item, _SCALARS) for item in value)
    return list.copy if flat else deepcopy


class Table(Mapping[Any, Document]):
    """What a transform receives for a `Lookup`: a read-only mapping from key to document."""

    __slots__ = ("_cache", "_misses", "lookup", "uncommitted", "wanted", "whole")

    def __init__(self, lookup: Lookup, misses: list[Any]) -> None:
        self.lookup = lookup
        self._misses = misses
        self.wanted: dict[Any, Any] = {}
        self.uncommitted: list[Any] = []
        self._cache: dict[Any, _Entry | None] = {}
        self.whole = False
        """Whether every document is known."""

    def _entry(self, key: Any) -> _Entry | None:
        try:
            cached = cache_key(key)
            if cached not in self._cache:
                raw.encode({"": key})
                if not self.whole:
                    self.wanted[cached] = key
                    self._misses.append(key)
        except (BSONError, ValueError, TypeError, OverflowError) as error:
            raise TypeError(
                f"{key!r} is no value that a document of {self.lookup.collection!r} can have: {error}"
            ) from error
        return self._cache.get(cached)

    def get(self, key: Any, default: Any = None) -> Any:
        # The usual way made short, `copy` written out: there are dozens of calls for a document.
        entry = self._cache.get(key, _ABSENT) if type(key) in _PLAIN else _ABSENT
        if entry is _ABSENT:
            entry = self._entry(key)
        if entry is None:
            return default
        copy = entry.document.copy()
        for name, copier in entry.nested:
            copy[name] = copier(copy[name])
        return copy

    def __getitem__(self, key: Any) -> Document:
        entry = self._entry(key)
        if entry is None:
            raise KeyError(key)
        return entry.copy()

    def __contains__(self, key: object) -> bool:
        return self._entry(key) is not None

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(self._refusal("iterated over"))

    def __len__(self) -> int:
        raise TypeError(self._refusal("counted"))

    def __bool__(self) -> bool:
        return True

    def _refusal(self, what: str) -> str:
        return (
            f"the lookup {self.lookup.collection!r} cannot be {what}: it holds only what was asked for; "
            f"ask by {self.lookup.key!r}, with .get(key), [key] or `in`"
        )

    def store(self, key: Any, document: Document | None, *, committed: bool) -> None:
        """Remember the document (or that there is none) for `key`."""
        cached = cache_key(key)
        self._cache[cached] = None if document is None else _Entry(document)
        self.wanted.pop(cached, None)
        if not committed:
            self.uncommitted.append(cached)

    def store_whole(self, documents: Iterable[Document]) -> None:
        """Remember all documents, ascending by `_id`: there are no others."""
        name = self.lookup.key
        for document in documents:
            if not isinstance(document[name], Regex):  # no document is found by a pattern
                self._cache.setdefault(cache_key(document[name]), _Entry(document))
        self.whole = True
        self.wanted.clear()

    def rollback(self) -> None:
        """Forget what was read in a batch that has not been committed."""
        for cached in self.uncommitted:
            self._cache.pop(cached, None)
        self.uncommitted.clear()
        self.wanted.clear()

    def commit(self) -> None:
        """The batch is committed; keep the cache within its bound."""
        self.uncommitted.clear()
        if len(self._cache) > CACHE_LIMIT and not self.whole:
            self._cache.clear()


class Tables:
    """The tables of a pass: one for each distinct `Lookup`, shared by all steps that declare it."""

    def __init__(self, pass_id: str, lookups: Sequence[Lookup], *, freeze: bool = True) -> None:
        self._pass = pass_id
        self._freeze = freeze
        self.misses: list[Any] = []
        """Keys that were asked for in vain since this list was last cleared."""
        self._tables = {lookup: Table(lookup, self.misses) for lookup in lookups}
        self._thawed = not freeze

    def __getitem__(self, lookup: Lookup) -> Table:
        return self._tables[lookup]

    @property
    def whole(self) -> bool:
        """Whether every document that can be looked up is known."""
        return all(table.whole for table in self._tables.values())

    def beside(self) -> Tables:
        """Tables for another thread: those that are known as a whole are the same."""
        other = Tables(self._pass, list(self._tables), freeze=self._freeze)
        other._tables |= {lookup: table for lookup, table in self._tables.items() if table.whole}
        other._thawed = self._thawed
        return other

    def rollback(self) -> None:
        """The batch was not committed."""
        for table in self._tables.values():
            table.rollback()

    def commit(self) -> None:
        """The batch was committed."""
        for table in self._tables.values():
            table.commit()

    def freeze_small(self, reader: Reader, most: int) -> list[RecordChange]:
        """Read the collections that are small, and have at most `most` documents, as a whole.

        Only for a pass that has not looked anything up yet. Returns the records that freeze them.
        """
        self.thaw_whole(reader)
        changes: list[RecordChange] = []
        for table in self._tables.values():
            documents = _all(reader, table.lookup, min(most, WHOLE))
            if documents is not None:
                table.store_whole(map(raw.decode, documents))
                changes.append(Put(JOURNAL, self._whole_record(table.lookup, documents)))
        return changes

    def _whole_record(self, lookup: Lookup, documents: Sequence[bytes]) -> Document:
        (data,) = packed(b"".join(documents))  # no more than WHOLE_BYTES
        return {
            "_id": self._whole_id(lookup),
            "format": FORMAT,
            "pass": self._pass,
            "kind": "lookup",
            "table": lookup.label,
            "data": data,
        }

    def _whole_id(self, lookup: Lookup) -> str:
        return f"{self._pass}/lookup/{_fingerprint({'table': lookup.label})}/all"

    def thaw_whole(self, reader: Reader) -> None:
        """Take the collections that the pass has frozen as a whole."""
        if self._thawed:
            return
        tables = {self._whole_id(lookup): table for lookup, table in self._tables.items()}
        for record in reader.find(JOURNAL, {"_id": {"$in": list(tables)}}) if tables else []:
            with reading(JOURNAL, record["_id"]):
                documents = unpacked([record["data"]])
                tables[record["_id"]].store_whole(map(raw.decode, raw.split(documents)))
        self._thawed = True

    def load(self, reader: Reader) -> list[RecordChange]:
        """Load every key that was asked for; returns the records that freeze what was not frozen before."""
        self.thaw_whole(reader)
        changes: list[RecordChange] = []
        for table in self._tables.values():
            if table.wanted:
                changes += self._load(reader, table)
        return changes

    def _load(self, reader: Reader, table: Table) -> list[RecordChange]:
        changes: list[RecordChange] = []
        wanted = list(table.wanted.values())
        for start in range(0, len(wanted), _KEYS):
            changes += self._load_some(reader, table, wanted[start : start + _KEYS])
        return changes

    def _load_some(self, reader: Reader, table: Table, keys: Sequence[Any]) -> list[RecordChange]:
        if self._freeze:
            self._thaw(reader, table, keys)
            keys = [key for key in keys if cache_key(key) in table.wanted]
        found = _first_by_key(reader, table.lookup, keys)
        for key in keys:
            table.store(key, found.get(cache_key(key)), committed=not self._freeze)
        if not self._freeze:
            return []
        frozen = (self._records(table.lookup, key, found.get(cache_key(key))) for key in keys)
        return [Put(JOURNAL, record) for records in frozen for record in records]

    def _thaw(self, reader: Reader, table: Table, keys: Sequence[Any]) -> None:
        """Take what the pass has frozen before."""
        ids = [self._record_id(table.lookup, key) for key in keys]
        for record in reader.find(JOURNAL, {"_id": {"$in": ids}}):
            with reading(JOURNAL, record["_id"]):
                data = unpacked([record["data"], *self._rest(reader, record)])
                key, *documents = map(raw.decode, raw.split(data))
                table.store(key["key"], documents[0] if documents else None, committed=True)

    def _rest(self, reader: Reader, record: Document) -> list[bytes]:
        """What did not fit into the record of a key; as a rule everything did."""
        if record["parts"] == 1:
            return []
        ids = [_part_id(record["_id"], number) for number in range(1, record["parts"])]
        found = {part["_id"]: part["data"] for part in reader.find(JOURNAL, {"_id": {"$in": ids}})}
        return [found[identity] for identity in ids]

    def _records(self, lookup: Lookup, key: Any, document: Document | None) -> list[Document]:
        """The copy of one document, compressed: it may be as large as a record can be, with its key larger."""
        whole = raw.encode({"key": key}) + (b"" if document is None else raw.encode(document))
        first, *rest = packed(whole)
        identity = self._record_id(lookup, key)
        head = {
            "_id": identity,
            "format": FORMAT,
            "pass": self._pass,
            "kind": "lookup",
            "table": lookup.label,
            "parts": 1 + len(rest),
            "data": first,
        }
        return [
            head,
            *(
                {"_id": _part_id(identity, number), "pass": self._pass, "data": part}
                for number, part in enumerate(rest, 1)
            ),
        ]

    def _record_id(self, lookup: Lookup, key: Any) -> str:
        return f"{self._pass}/lookup/{_fingerprint({'table': lookup.label, 'key': key})}"


def _part_id(identity: str, number: int) -> str:
    return f"{identity}/{number:03d}"


def _fingerprint(named: Document) -> str:
    return hashlib.sha256(raw.encode(named)).hexdigest()[:32]


def _all(reader: Reader, lookup: Lookup, most: int) -> list[bytes] | None:
    """All documents that can be found by `key`, ascending by `_id`; None where there are too many to keep."""
    if "." in lookup.key:
        return None  # a path through an array means more than one value
    found = reader.documents(
        lookup.collection,
        where={lookup.key: {"$exists": True}},
        limit=most + 1,
        max_bytes=WHOLE_BYTES,
        fields=None if lookup.fields is None else tuple(dict.fromkeys((lookup.key, *lookup.fields))),
    )
    return found if len(found) <= most and sum(map(len, found)) < WHOLE_BYTES else None


def _first_by_key(reader: Reader, lookup: Lookup, wanted: Sequence[Any]) -> dict[Any, Document]:
    """The documents by key: of several with one key the first, which has the smallest `_id`.

    A regular expression as a key would be taken for a pattern; no document is found by one.
    """
    keys = [key for key in wanted if not isinstance(key, Regex)]
    found: dict[Any, Document] = {}
    asked = {cache_key(key) for key in keys}
    for document in reader.lookup(lookup.collection, lookup.key, keys, lookup.fields):
        key = cache_key(raw.value_at(document, lookup.key))
        if key in asked:
            found.setdefault(key, document)
    return found
