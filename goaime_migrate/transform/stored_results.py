"""The results of lookups that have a pipeline: aggregated once, when the pass opens, and stored with it.

A few are stored and known as a whole. Many are stored one by one, each under every key that it is found by, so that
neither this process nor any worker has to hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any

from bson import Regex

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import JOURNAL, Put, Reader, RecordChange
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.errors import DamagedRecord, MissingCapability, OperationFailed
from goaime_migrate.errors.hint import DOWN, Hint
from goaime_migrate.journal.seal import seal, unseal
from goaime_migrate.results import Document
from goaime_migrate.transform.lookup_answers import Gathering, gather
from goaime_migrate.transform.lookup_names import part_of
from goaime_migrate.transform.lookup_reading import WHOLE, WHOLE_BYTES
from goaime_migrate.transform.lookup_table import Table, erased_error
from goaime_migrate.transform.lookups import cache_key, keys_of

_PORTION = 500
"""Results that are stored at once,"""
_PORTION_BYTES = 8 * 1024 * 1024
"""if they have no more bytes than this."""
_RANGES = 200
"""Keys that are asked for in one query."""
_ROW = "/row"
_ROOM = 16 * 1024
"""Bytes that a result may have beyond what a collection stores."""

Keep = Callable[..., None]
"""Stores records for good."""


class StoredResults:
    """What the pipeline of one lookup gives, for its table.

    `head` is in all of its records, `whole` is the `_id` of the one that is there once all are; `name` says how the
    `_id`s begin of what is found by a key.
    """

    def __init__(self, table: Table, head: Mapping[str, Any], whole: str, name: Callable[[Any], str]) -> None:
        self._table = table
        self._lookup = table.lookup
        self._head = head
        self._whole = whole
        self._name = name

    def freeze(self, reader: Reader, keep: Keep) -> None:
        """Run the pipeline, unless it has been, and have what it gives kept."""
        if self._table.whole or self._table.stored:
            return
        found = self._results(reader)
        taken, complete = _take(found)
        if complete:
            self._table.store_whole(map(raw_bson.decode_any, taken))
            keep(*_sealed({**self._head, "_id": self._whole}, b"".join(taken)))
            return
        self._store_rows(chain(taken, found), keep)
        keep(*_sealed({**self._head, "_id": self._whole, "stored": True}, b""))
        self._table.stored = True

    def load(self, reader: Reader, keys: Sequence[Any]) -> None:
        """Load what these keys find of what is kept, or else of what the pipeline gives as a whole.

        Not all of the keys may be known then: nothing is said of those that find nothing.
        """
        if self._table.stored:
            for key, documents in self._rows(reader, keys):
                self._answer([key], gather(self._lookup, documents))
            return
        taken, complete = _take(self._results(reader))
        if complete:
            self._table.store_whole(map(raw_bson.decode_any, taken))
        else:
            self._answer(keys, self.find(reader, keys))

    def find(self, reader: Reader, keys: Sequence[Any]) -> Gathering:
        """What the pipeline gives now for these keys. No document is found by a pattern."""
        asked = [key for key in keys if not isinstance(key, Regex)]
        return gather(self._lookup, map(raw_bson.decode_any, self._results(reader, asked)))

    def require(self, pass_id: str) -> None:
        """Refuse to run the pipeline anew in a pass that has written something. Raises DamagedRecord."""
        if not (self._table.whole or self._table.stored):
            raise DamagedRecord(
                f"what the lookup into {self._lookup.collection!r} has found is gone from the journal of {pass_id}",
                hint=Hint("{}", DOWN),
            )

    def _answer(self, keys: Sequence[Any], found: Gathering) -> None:
        for key in keys:
            self._table.store(key, found.answer(cache_key(key)), committed=True)

    def _results(self, reader: Reader, keys: Sequence[Any] | None = None) -> Iterator[bytes]:
        """All results; if there are `keys`, those that are found by one of them. Raises OperationFailed."""
        stages: list[Document] = list(self._lookup.pipeline or ())
        if keys is not None:
            stages.append({"$match": {self._lookup.key: {"$in": list(keys), "$exists": True}}})
        try:
            yield from reader.aggregate(self._lookup.collection, stages)
        except (OperationFailed, MissingCapability) as error:
            raise type(error)(
                f"the pipeline= of the lookup into {self._lookup.collection!r} fails: {error.message}",
                hint=error.hint or "correct the pipeline",
            ) from error

    def _store_rows(self, found: Iterable[bytes], keep: Keep) -> None:
        """Store results under each of their keys, a portion at a time."""
        records: list[RecordChange] = []
        size = 0
        for number, document in enumerate(found):
            for key in keys_of(raw_bson.decode_any(document), self._lookup.key):
                identity = f"{self._name(key)}{_ROW}{number:09d}"
                records += _sealed({**self._head, "_id": identity}, document)
                size += len(document)
            if len(records) >= _PORTION or size >= _PORTION_BYTES:
                keep(*records)
                records, size = [], 0
        if records:
            keep(*records)

    def _rows(self, reader: Reader, keys: Sequence[Any]) -> Iterator[tuple[Any, list[Document]]]:
        """The results that are stored under each of these keys, for those that there are any of."""
        for start in range(0, len(keys), _RANGES):
            some = {self._name(cache_key(key)): key for key in keys[start : start + _RANGES]}
            between = [{"_id": {"$gte": name + _ROW, "$lt": name + _ROW + "\uffff"}} for name in some]
            records = reader.find(JOURNAL, {"$or": between}, sort=[("_id", 1)])
            if any(record.get("erased") for record in records):
                raise erased_error(self._lookup.collection)
            for name, together in groupby(records, lambda record: str(record["_id"]).partition(_ROW)[0]):
                yield some.pop(name), list(_documents(together))


def _take(found: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """The first results, as many as are kept in memory, and whether these are all."""
    taken: list[bytes] = []
    size = 0
    for document in found:
        taken.append(document)
        size += len(document)
        if len(taken) > WHOLE or size > WHOLE_BYTES:
            return taken, False
    return taken, True


def _sealed(head: Document, payload: bytes) -> list[RecordChange]:
    return [Put(JOURNAL, record) for record in seal(head, payload, part_of(head["_id"]))]


def _documents(records: Iterable[Document]) -> Iterator[Document]:
    """The documents of records in their order; one that is large has several."""
    for _, together in groupby(records, lambda record: str(record["_id"]).split("/")[:4]):
        payload = list(together)
        with reading(JOURNAL, payload[0]["_id"]):
            yield raw_bson.decode_any(unseal(payload, raw_bson.MAX_DOCUMENT + _ROOM, single=True))
