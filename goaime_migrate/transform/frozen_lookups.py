"""The tables of a pass: loaded when they are asked for, and frozen with the pass's journal.

Every answer is stored when it is first given, that nothing was found included. Whatever happens to the looked-up
collection afterwards, be it by the pass itself, a resumed run, the tail and `down` see what the first batch saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from bson import Regex

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import sort_key
from goaime_migrate.backends.field_paths import found_by
from goaime_migrate.backends.ports import JOURNAL, Put, Reader, RecordChange
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.journal.seal import PARTS, seal, unseal
from goaime_migrate.results import Document
from goaime_migrate.transform.lookups import Answer, Lookup, Table, cache_key, keys_of, stable

WHOLE = 20_000
"""A looked-up collection of no more documents than this is read as a whole,"""
WHOLE_BYTES = 4 * 1024 * 1024
"""if they have no more bytes than this."""
_KEYS = 1_000
"""Keys that one query asks for,"""
_PAGE = 2 * _KEYS
"""and documents that it brings: thousands may have the same key."""
_NOTHING = Answer(None)


class FrozenLookups:
    """The tables of a pass: one for each distinct `Lookup`, shared by all steps that declare it.

    `writes` is the collection that the pass writes. A lookup into it is answered from the state before the pass: what
    would be found by a document's keys is frozen before the document is first written, in the same unit of work.
    """

    def __init__(
        self, pass_id: str, lookups: Sequence[Lookup], *, freeze: bool = True, writes: str | None = None
    ) -> None:
        self._pass = self.pass_id = pass_id
        self._freeze = self.freezes = freeze
        self._writes = writes
        self.misses: list[Any] = []
        """Keys that were asked for in vain since this list was last cleared."""
        self._tables = {lookup: Table(lookup, self.misses) for lookup in lookups}
        self._own = [each for each in self._tables if freeze and each.collection == writes]
        self._thawed = not freeze
        self._has_earlier = False
        """Whether an earlier release has frozen some of them, under names of its own."""

    def __getitem__(self, lookup: Lookup) -> Table:
        return self._tables[lookup]

    @property
    def whole(self) -> bool:
        """Whether every document that can be looked up is known."""
        return all(table.whole for table in self._tables.values())

    def beside(self) -> FrozenLookups:
        """Tables for another thread: those that are known as a whole are the same."""
        other = FrozenLookups(self._pass, list(self._tables), freeze=self._freeze, writes=self._writes)
        other._tables |= {lookup: table for lookup, table in self._tables.items() if table.whole}
        other._thawed, other._has_earlier = self._thawed, self._has_earlier
        for lookup, table in self._tables.items():
            other[lookup].exists = table.exists
        return other

    def note_collections(self, names: Container[str]) -> None:
        """These are all that there are."""
        for lookup, table in self._tables.items():
            table.exists = lookup.collection in names

    def rollback(self) -> None:
        """The batch was not committed."""
        for table in self._tables.values():
            table.rollback()

    def commit(self) -> None:
        """The batch was committed."""
        for table in self._tables.values():
            table.commit()

    def trim(self) -> None:
        """Keep memory within its bounds."""
        for table in self._tables.values():
            table.trim()

    def freeze_small(self, reader: Reader, most: int) -> list[RecordChange]:
        """Read the collections that are small, and have at most `most` documents, as a whole.

        Only for a pass that has not looked anything up yet. Returns the records that freeze them. Not the collection
        that the pass writes: what the application inserts there meanwhile may refer to what else it inserts.
        """
        self.thaw_whole(reader)
        changes: list[RecordChange] = []
        for lookup, table in self._tables.items():
            documents = None if lookup in self._own else _all(reader, lookup, min(most, WHOLE))
            if documents is not None:
                table.store_whole(map(raw_bson.decode, documents))
                changes.append(Put(JOURNAL, self._whole_record(lookup, documents)))
        return changes

    def before_writing(self, reader: Reader, documents: Sequence[bytes]) -> list[RecordChange]:
        """What is to be frozen before these documents, as they are now, are written."""
        if not self._own or not documents:
            return []
        for lookup in self._own:
            for document in documents:
                for value in found_by(_part(document, lookup.key), lookup.key):
                    if not isinstance(value, Regex):
                        self._tables[lookup].want(value)
        by_id = all(lookup.key == "_id" for lookup in self._own)
        marks = [] if by_id else [self._mark(raw_bson.id_of(document)) for document in documents]
        mine = {"pass": self._pass, "kind": "lookup"}
        sealed = (seal({"_id": mark, **mine}, b"", "") for mark in marks)
        return [*self.load(reader), *(Put(JOURNAL, record) for (record,) in sealed)]

    def _mark(self, identity: bytes) -> str:
        """The `_id` of the record that says that a document was written: it is found by no key any more.

        Where the key is the `_id` none is needed: the document itself is frozen by it.
        """
        return f"{self._pass}/lookup/written/{_hash(stable(sort_key(raw_bson.id_value(identity))))}"

    def _whole_record(self, lookup: Lookup, documents: Sequence[bytes]) -> Document:
        identity = self._whole_id(lookup)
        (record,) = seal(self._head(identity, lookup), b"".join(documents), "")  # no more than WHOLE_BYTES
        return record

    def _head(self, identity: str, lookup: Lookup) -> Document:
        return {"_id": identity, "pass": self._pass, "kind": "lookup", "table": lookup.label}

    def _whole_id(self, lookup: Lookup) -> str:
        return f"{self._pass}/lookup/{_hash(repr(lookup))}/all"

    def _earlier_id(self, lookup: Lookup, **key: Any) -> str:
        """The `_id` that records of format 1 have."""
        named = raw_bson.encode({"table": lookup.label, **key})
        return f"{self._pass}/lookup/{hashlib.sha256(named).hexdigest()[:32]}"

    def thaw_whole(self, reader: Reader) -> None:
        """Take the collections that the pass has frozen as a whole."""
        if self._thawed:
            return
        tables = {self._whole_id(lookup): table for lookup, table in self._tables.items()}
        tables |= {f"{self._earlier_id(lookup)}/all": table for lookup, table in self._tables.items()}
        all_of_them = {"_id": {"$gte": f"{self._pass}/lookup/", "$lt": f"{self._pass}/lookup0"}}
        earlier = (
            reader.find(JOURNAL, {**all_of_them, "format": 1}, limit=1, fields=["_id"]) if tables else []
        )
        self._has_earlier = bool(earlier)
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
        found = self._find(reader, table, keys)
        changes: list[RecordChange] = []
        for key in keys:
            answer = found.get(cache_key(key), _NOTHING)
            table.store(key, answer, committed=not self._freeze)
            if self._freeze:
                changes += [Put(JOURNAL, record) for record in self._records(table.lookup, key, answer)]
        return changes

    def _find(self, reader: Reader, table: Table, wanted: Sequence[Any]) -> dict[Any, Answer]:
        """The documents by key: of several with one key the first, which has the smallest `_id`.

        A regular expression as a key would be taken for a pattern; no document is found by one.
        """
        left = {cache_key(key): key for key in wanted if not isinstance(key, Regex)}
        found: dict[Any, Answer] = {}
        for document in self._documents(reader, table.lookup, left):
            for key in keys_of(document, table.lookup.key) & left.keys():
                if key in found:
                    found[key] = found[key]._replace(several=True)
                    del left[key]
                else:
                    found[key] = Answer(document, len(raw_bson.encode(document)))
        return found

    def _documents(self, reader: Reader, lookup: Lookup, left: Mapping[Any, Any]) -> Iterator[Document]:
        """Documents that may have one of the keys that are left, ascending by `_id`, a page at a time."""
        after: bytes | None = None
        while left:
            page = reader.lookup(
                lookup.collection, lookup.key, [*left.values()], lookup.fields, after=after, limit=_PAGE
            )
            own = lookup in self._own and lookup.key != "_id"
            yield from self._not_written(reader, page) if own else page
            if len(page) < _PAGE:
                return
            after = raw_bson.encode({"_id": page[-1]["_id"]})

    def _not_written(self, reader: Reader, documents: Sequence[Document]) -> list[Document]:
        """Those of the documents that the pass has not written."""
        marks = {self._mark(raw_bson.encode({"_id": d["_id"]})): d for d in documents}
        known = {r["_id"] for r in reader.find(JOURNAL, {"_id": {"$in": list(marks)}}, fields=["_id"])}
        return [document for mark, document in marks.items() if mark not in known]

    def _thaw(self, reader: Reader, table: Table, keys: Sequence[Any]) -> None:
        """Take what the pass has frozen before."""
        ids = [self._record_id(table.lookup, key) for key in keys]
        if self._has_earlier:
            ids += [self._earlier_id(table.lookup, key=key) for key in keys]
        for record in reader.find(JOURNAL, {"_id": {"$in": ids}}):
            with reading(JOURNAL, record["_id"]):
                data = unseal([record, *self._rest(reader, record)], 3 * raw_bson.MAX_DOCUMENT)
                key, *documents = map(raw_bson.decode, raw_bson.split(data))
                document = documents[0] if documents else None
                answer = Answer(document, len(data), bool(record.get("several")))
                table.store(key["key"], answer, committed=True)

    def _rest(self, reader: Reader, record: Document) -> list[Document]:
        """What did not fit into the record of a key; as a rule everything did."""
        if record["parts"] == 1:
            return []
        ids = [_part_id(record["_id"]).format(number) for number in range(1, min(record["parts"], PARTS))]
        return reader.find(JOURNAL, {"_id": {"$in": ids}}, sort=[("_id", 1)])

    def _records(self, lookup: Lookup, key: Any, answer: Answer) -> list[Document]:
        """The copy of one document, compressed: it may be as large as a record can be, with its key larger."""
        document = b"" if answer.document is None else raw_bson.encode(answer.document)
        identity = self._record_id(lookup, key)
        head = {**self._head(identity, lookup), "several": answer.several}
        return seal(head, raw_bson.encode({"key": key}) + document, _part_id(identity))

    def _record_id(self, lookup: Lookup, key: Any) -> str:
        """Equal values have one record, 2 and 2.0 too."""
        return f"{self._pass}/lookup/{_hash(f'{lookup!r}={stable(cache_key(key))}')}"


def _part_id(identity: str) -> str:
    return identity + "/{:03d}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _part(document: bytes, path: str) -> Document:
    """As much of a document as a path leads into."""
    wanted = path.partition(".")[0].encode()
    return raw_bson.decode_any(
        raw_bson.join(element for name, element in raw_bson.elements(document) if name == wanted)
    )


def _all(reader: Reader, lookup: Lookup, most: int) -> list[bytes] | None:
    """All documents that can be found by `key`, ascending by `_id`; None where there are too many to keep."""
    if any("." in path for path in (lookup.key, *(lookup.fields or ()))):
        return None  # what is read of a document as a whole are its top-level fields
    found = reader.documents(
        lookup.collection,
        where={lookup.key: {"$exists": True}},
        limit=most + 1,
        max_bytes=WHOLE_BYTES,
        fields=None if lookup.fields is None else tuple(dict.fromkeys((lookup.key, *lookup.fields))),
    )
    return found if len(found) <= most and sum(map(len, found)) < WHOLE_BYTES else None
