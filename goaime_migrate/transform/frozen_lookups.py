"""The tables of a pass: loaded when they are asked for, and frozen with the pass's journal.

Every document is stored when it is first read, absence included. Whatever happens to the looked-up collection
afterwards, a resumed run, the tail and `down` see what the first batch saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from bson import Regex

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import JOURNAL, Put, Reader, RecordChange
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.journal.seal import PARTS, seal, unseal
from goaime_migrate.results import Document
from goaime_migrate.transform.lookups import Lookup, Table, cache_key

WHOLE = 20_000
"""A looked-up collection of no more documents than this is read as a whole,"""
WHOLE_BYTES = 4 * 1024 * 1024
"""if they have no more bytes than this."""
_KEYS = 5_000
"""Keys that one query asks for."""


class FrozenLookups:
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

    def beside(self) -> FrozenLookups:
        """Tables for another thread: those that are known as a whole are the same."""
        other = FrozenLookups(self._pass, list(self._tables), freeze=self._freeze)
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
                table.store_whole(map(raw_bson.decode, documents))
                changes.append(Put(JOURNAL, self._whole_record(table.lookup, documents)))
        return changes

    def _whole_record(self, lookup: Lookup, documents: Sequence[bytes]) -> Document:
        identity = self._whole_id(lookup)
        (record,) = seal(self._head(identity, lookup), b"".join(documents), "")  # no more than WHOLE_BYTES
        return record

    def _head(self, identity: str, lookup: Lookup) -> Document:
        return {"_id": identity, "pass": self._pass, "kind": "lookup", "table": lookup.label}

    def _whole_id(self, lookup: Lookup) -> str:
        return f"{self._pass}/lookup/{_fingerprint({'table': lookup.label})}/all"

    def thaw_whole(self, reader: Reader) -> None:
        """Take the collections that the pass has frozen as a whole."""
        if self._thawed:
            return
        tables = {self._whole_id(lookup): table for lookup, table in self._tables.items()}
        for record in reader.find(JOURNAL, {"_id": {"$in": list(tables)}}) if tables else []:
            with reading(JOURNAL, record["_id"]):
                documents = unseal([record], WHOLE_BYTES + raw_bson.MAX_DOCUMENT)
                tables[record["_id"]].store_whole(map(raw_bson.decode, raw_bson.split(documents)))
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
                data = unseal([record, *self._rest(reader, record)], 3 * raw_bson.MAX_DOCUMENT)
                key, *documents = map(raw_bson.decode, raw_bson.split(data))
                table.store(key["key"], documents[0] if documents else None, committed=True)

    def _rest(self, reader: Reader, record: Document) -> list[Document]:
        """What did not fit into the record of a key; as a rule everything did."""
        if record["parts"] == 1:
            return []
        ids = [_part_id(record["_id"]).format(number) for number in range(1, min(record["parts"], PARTS))]
        return reader.find(JOURNAL, {"_id": {"$in": ids}}, sort=[("_id", 1)])

    def _records(self, lookup: Lookup, key: Any, document: Document | None) -> list[Document]:
        """The copy of one document, compressed: it may be as large as a record can be, with its key larger."""
        whole = raw_bson.encode({"key": key}) + (b"" if document is None else raw_bson.encode(document))
        identity = self._record_id(lookup, key)
        return seal(self._head(identity, lookup), whole, _part_id(identity))

    def _record_id(self, lookup: Lookup, key: Any) -> str:
        return f"{self._pass}/lookup/{_fingerprint({'table': lookup.label, 'key': key})}"


def _part_id(identity: str) -> str:
    return identity + "/{:03d}"


def _fingerprint(named: Document) -> str:
    return hashlib.sha256(raw_bson.encode(named)).hexdigest()[:32]


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
        key = cache_key(raw_bson.value_at(document, lookup.key))
        if key in asked:
            found.setdefault(key, document)
    return found
