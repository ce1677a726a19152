"""The tables of a pass: loaded when they are asked for, and frozen with the pass's journal.

Every answer is stored when it is first given, that nothing was found included. Whatever happens to the looked-up
collection afterwards, be it by the pass itself, a resumed run, the tail and `down` see what the first batch saw.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from bson import Regex

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.field_paths import found_by
from goaime_migrate.backends.ports import JOURNAL, Collision, Put, Reader, RecordChange
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.errors import LookupErased, OperationFailed
from goaime_migrate.journal.seal import intact_parts, seal, unseal
from goaime_migrate.results import Document
from goaime_migrate.transform.kept_answers import records_of, thaw
from goaime_migrate.transform.lookup_answers import Answer, Gathering
from goaime_migrate.transform.lookup_names import Names
from goaime_migrate.transform.lookup_reading import KEYS, WHOLE, WHOLE_BYTES, Unwritten, all_of, find, part
from goaime_migrate.transform.lookup_table import CACHE_BYTES, Late, Table, table_of
from goaime_migrate.transform.lookups import Lookup, Now, as_read, cache_key
from goaime_migrate.transform.stored_results import Keep, StoredResults

if TYPE_CHECKING:
    from goaime_migrate.transform.step import Step

LARGE = 1_000
"""From so many documents on it pays to read small looked-up collections as a whole beforehand."""
_MOST_A_BATCH = 4 * CACHE_BYTES
"""Bytes that are looked up for one batch."""


class FrozenLookups:
    """The tables of a pass: one for each distinct `Lookup`, shared by all steps that declare it.

    `began` is what `Now()` stands for. `writes` is the collection that the pass writes. A lookup into it is answered
    from the state before the pass: what would be found by a document's keys is frozen before the document is first
    written, in the same unit of work.
    """

    def __init__(
        self,
        pass_id: str,
        lookups: Sequence[Lookup],
        *,
        freeze: bool = True,
        writes: str | None = None,
        began: datetime | None = None,
        late: Late = Late.NOTHING,
    ) -> None:
        self._pass = self.pass_id = pass_id
        self._names = names = Names(pass_id)
        self._freeze = self.freezes = freeze
        self._writes = writes
        self._began = None if began is None else as_read(began)
        self.misses: list[Any] = []
        """Keys that were asked for in vain since this list was last cleared."""
        self.bounded = False
        """Whether the documents that are looked up for are those of a batch, which can be smaller."""
        self.unfrozen: dict[Lookup, list[int]] | None = None
        """Where nothing is frozen, the bytes of the records of each key that would be; None unless that is asked for."""
        self._late = late
        self._tables = {lookup: table_of(lookup, self.misses) for lookup in lookups}
        for table in self._tables.values():
            table.late = late is not Late.NOTHING
        self._results = {
            lookup: StoredResults(table, names.head(lookup), names.whole(lookup), partial(names.key, lookup))
            for lookup, table in self._tables.items()
            if lookup.pipeline is not None
        }
        own = self._tables.keys() - self._results.keys() if freeze else ()
        self._own = [lookup for lookup in own if lookup.collection == writes]
        self._thawed = not freeze
        self._has_earlier = False
        """Whether an earlier release has frozen some of them, under names of its own."""

    def __getitem__(self, lookup: Lookup) -> Table:
        return self._tables[lookup]

    def arguments(self, step: Step) -> dict[str, Any]:
        """What the functions of a step are given by name."""
        return {
            name: self._began if isinstance(given, Now) else self._tables[given]
            for name, given in step.lookups.items()
        }

    @property
    def whole(self) -> bool:
        """Whether every document that can be looked up is known."""
        return all(table.whole for table in self._tables.values())

    def beside(self) -> FrozenLookups:
        """Tables for another thread: those that are known as a whole are the same."""
        other = FrozenLookups(
            self._pass,
            list(self._tables),
            freeze=self._freeze,
            writes=self._writes,
            began=self._began,
            late=self._late,
        )
        other._tables |= {lookup: table for lookup, table in self._tables.items() if table.whole}
        other.bounded = self.bounded
        other._thawed, other._has_earlier = self._thawed, self._has_earlier
        for lookup, table in self._tables.items():
            other[lookup].exists, other[lookup].stored = table.exists, table.stored
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

    def freeze_small(self, reader: Reader, total: int) -> list[Put]:
        """Read the collections that are small as a whole, where so many documents are walked over that it pays.

        Only for a pass that has not looked anything up yet. Returns the records that freeze them. Not the collection
        that the pass writes: what the application inserts there meanwhile may refer to what else it inserts.
        """
        if total < LARGE:
            return []
        self.thaw_whole(reader)
        changes: list[Put] = []
        for lookup, table in self._tables.items():
            left_out = lookup.collection == self._writes or lookup in self._results
            documents = None if left_out else all_of(reader, lookup, min(total, WHOLE))
            if documents is not None:
                table.store_whole(map(raw_bson.decode_any, documents))
                head = {"_id": self._names.whole(lookup), **self._names.head(lookup)}
                (record,) = seal(head, b"".join(documents), "")  # no more than WHOLE_BYTES
                changes.append(Put(JOURNAL, record))
        return changes

    def freeze_results(self, reader: Reader, keep: Keep) -> None:
        """Run the pipelines of lookups, and have what they give kept with the pass. Before it writes anything."""
        self.thaw_whole(reader)
        for results in self._results.values():
            results.freeze(reader, keep)

    def require_results(self) -> None:
        """Refuse to go on where what a pipeline has given is not kept any more. Raises DamagedRecord."""
        for results in self._results.values():
            results.require(self._pass)

    def before_writing(self, reader: Reader, documents: Sequence[bytes]) -> list[RecordChange]:
        """What is to be frozen before these documents, as they are now, are written."""
        if not self._own or not documents:
            return []
        for lookup in self._own:
            for document in documents:
                for value in found_by(part(document, lookup.key), lookup.key):
                    if not isinstance(value, Regex):
                        self._tables[lookup].want(value)
        by_id = all(lookup.key == "_id" for lookup in self._own)
        marks = [] if by_id else [self._names.mark(raw_bson.id_of(document)) for document in documents]
        mine = {"pass": self._pass, "kind": "lookup"}
        sealed = (seal({"_id": mark, **mine}, b"", "") for mark in marks)
        return [*self.load(reader), *(Put(JOURNAL, record) for (record,) in sealed)]

    def thaw_whole(self, reader: Reader) -> None:
        """Take the collections that the pass has frozen as a whole."""
        if self._thawed:
            return
        tables = {self._names.whole(lookup): table for lookup, table in self._tables.items()}
        tables |= {f"{self._names.earlier(lookup)}/all": table for lookup, table in self._tables.items()}
        all_of_them = {"_id": {"$gte": f"{self._pass}/lookup/", "$lt": f"{self._pass}/lookup0"}}
        earlier = (
            reader.find(JOURNAL, {**all_of_them, "format": 1}, limit=1, fields=["_id"]) if tables else []
        )
        self._has_earlier = bool(earlier)
        for record in reader.find(JOURNAL, {"_id": {"$in": list(tables)}}) if tables else []:
            with reading(JOURNAL, record["_id"]):
                table = tables[record["_id"]]
                if record.get("stored"):
                    intact_parts([record])
                    table.stored = True
                    continue
                documents = unseal([record], WHOLE_BYTES + raw_bson.MAX_DOCUMENT)
                table.store_whole(map(raw_bson.decode_any, raw_bson.split(documents)))
                if record.get("erased"):
                    table.forget(record["erased"])
        self._thawed = True

    def load(self, reader: Reader) -> list[RecordChange]:
        """Load every key that was asked for; returns the records that freeze what was not frozen before.

        Raises LookupErased, and then forgets what was asked for: others may do without it.
        """
        try:
            return self._load_wanted(reader)
        except LookupErased:
            for table in self._tables.values():
                table.wanted.clear()
            raise

    def _load_wanted(self, reader: Reader) -> list[RecordChange]:
        self.thaw_whole(reader)
        changes: list[RecordChange] = []
        for table in self._tables.values():
            wanted = list(table.wanted.values())
            for start in range(0, len(wanted), KEYS):
                changes += self._load(reader, table, wanted[start : start + KEYS])
                self._require_room(table)
        return changes

    def _require_room(self, table: Table) -> None:
        """Refuse to look up for so many documents at once. Raises Collision, which has them halved."""
        if self.bounded and table.size > _MOST_A_BATCH:
            text = (
                f"more than {_MOST_A_BATCH // 2**20} MB are looked up in {table.lookup.collection!r} at once"
            )
            hint = "limit what is read with fields= or where=, or count and sum in a pipeline="
            raise Collision(text, OperationFailed(f"{text}, for one document", hint=hint))

    def _load(self, reader: Reader, table: Table, keys: Sequence[Any]) -> list[RecordChange]:
        lookup, results = table.lookup, self._results.get(table.lookup)
        if results is not None and not table.whole:
            results.load(reader, keys)
            keys = table.unknown(keys)
        if self._freeze and (results is None or self._late is not Late.NOTHING):
            thaw(reader, self._names, table, keys, earlier=self._has_earlier)
            keys = table.unknown(keys)
        if self._is_all(table):
            for key in keys:
                table.store(key, Answer(), committed=True)
            return []
        if results is not None:
            return self._answer(table, keys, results.find(reader, keys))
        return self._answer(table, keys, find(reader, lookup, keys, self._unwritten(reader, lookup)))

    def _answer(self, table: Table, keys: Sequence[Any], found: Gathering) -> list[RecordChange]:
        """Store what these keys find; the records that freeze it."""
        changes: list[RecordChange] = []
        for key in keys:
            answer = found.answer(cache_key(key))
            table.store(key, answer, committed=not self._freeze)
            if self._freeze or self.unfrozen is not None:
                records = records_of(self._names, table.lookup, key, answer)
                if self._freeze:
                    changes += [Put(JOURNAL, record) for record in records]
                elif self.unfrozen is not None:
                    size = sum([len(raw_bson.encode(record)) for record in records])
                    self.unfrozen.setdefault(table.lookup, []).append(size)
        return changes

    def _is_all(self, table: Table) -> bool:
        """Whether nothing more is to be found than is known by now, or kept."""
        if table.lookup in self._results:
            return self._late is not Late.ANEW
        return table.whole and self._late is Late.KEPT

    def _unwritten(self, reader: Reader, lookup: Lookup) -> Unwritten:
        if lookup in self._own and lookup.key != "_id":
            return partial(self._not_written, reader)
        return lambda documents: documents  # as they were: the pass does not write them

    def _not_written(self, reader: Reader, documents: Sequence[Document]) -> list[Document]:
        """Those of the documents that the pass has not written."""
        marks = {self._names.mark(raw_bson.encode({"_id": d["_id"]})): d for d in documents}
        known = {r["_id"] for r in reader.find(JOURNAL, {"_id": {"$in": list(marks)}}, fields=["_id"])}
        return [document for mark, document in marks.items() if mark not in known]
