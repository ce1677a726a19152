"""Checking promises again: every document of a collection against `model=` and `check=`.

Most documents keep theirs, which is found out in the quickest way there is: by one look for all steps at a document of
which no more was fetched than they look at. Only where that finds fault is a document judged promise by promise, each
with a decoded document of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import CollectionReader, Reader
from goaime_migrate.events import silent
from goaime_migrate.journal import segments
from goaime_migrate.journal.kinds import WRITTEN
from goaime_migrate.ledger import PassRecord
from goaime_migrate.memory import without_collection
from goaime_migrate.results import VerifyFailure
from goaime_migrate.run.pacing import BATCH_BYTES, Pacing
from goaime_migrate.run.progress import ReadProgress
from goaime_migrate.run.reading import batches
from goaime_migrate.transform.frozen_lookups import FrozenLookups
from goaime_migrate.transform.lookups import Lookup
from goaime_migrate.transform.projection import looked_at
from goaime_migrate.transform.step import Step, broken_promises

MOST = 1_000
"""Failures that are listed; from then on documents are only counted."""
_JUDGED = 100
"""Documents that were fetched in part are fetched whole by so many."""
_FEW = 50
"""Documents that tell whether it pays to fetch them in part."""
_TWICE = 8
"""How many fields of a document may stand twice: no driver writes one."""

_Finding = TypeVar("_Finding")


def migrated_batches(
    backend: CollectionReader, collection: str, pass_id: str, sample: int | None
) -> Iterator[list[bytes]]:
    """The documents that a pass with a filter has written: its promises are about no others."""
    for kind in reversed(WRITTEN):
        for key in segments.keys(backend, pass_id, kind):
            segment = segments.read(backend, key)
            if segment is not None and (sample is None or sample > 0):
                ids = [entry.id for entry in segment.entries][:sample]
                yield backend.by_ids(collection, ids)
                sample = None if sample is None else sample - len(ids)


class Auditor:
    """Holds documents against the promises of some steps on their collection.

    `passes` are those in which the steps were applied: what they have looked up in their own collection is asked for
    there, as it was before them, and it is `Now()` when they began. All other lookups are read anew, `now`.
    """

    def __init__(self, steps: Sequence[Step], passes: Sequence[PassRecord | None], now: datetime) -> None:
        anew = FrozenLookups("verify", _lookups(steps), freeze=False, began=now)
        frozen = [
            anew if known is None else _frozen(step, known) for step, known in zip(steps, passes, strict=True)
        ]
        self._tables = [anew, *(each for each in frozen if each is not anew)]
        self._promises = [
            (step, _arguments(step, own, anew)) for step, own in zip(steps, frozen, strict=True)
        ]
        self.checked = 0
        self.failures: list[VerifyFailure] = []

    def whole(
        self,
        backend: CollectionReader,
        collection: str,
        sample: int | None,
        looking: ReadProgress | None = None,
    ) -> None:
        """Check all documents of a collection, or a sample of them."""
        looking, pacing = looking or ReadProgress(silent, (), ""), Pacing()
        if sample is not None:
            drawn = backend.sample(collection, sample)
            looking.total = len(drawn)
            for part in looking.parts(drawn, pacing):
                self.batch(backend, part)
            return
        looking.total = backend.count(collection)
        fields = self._fields() if backend.capabilities.deltas else None
        if fields is not None and not _is_less(backend, collection, fields):
            fields = None
        for batch in batches(backend, collection, fields=fields):
            for part in looking.parts(batch, pacing):
                self.batch(backend, part, None if fields is None else collection)

    def batch(self, reader: Reader, documents: Sequence[bytes], trimmed: str | None = None) -> None:
        """Check some documents, whole ones unless the collection is named that they are fetched from again."""
        self.checked += len(documents)
        if self._promises and not self._enough:
            with without_collection():
                kept = self._settled(reader, documents, self._keeps)
            broken = [d for d, fine in zip(documents, kept, strict=True) if not fine]
            if trimmed is None:
                self._judge(reader, broken)
            else:
                self._fetch_and_judge(reader, trimmed, [*map(raw_bson.id_of, broken)])

    def _fields(self) -> tuple[str, ...] | None:
        """The fields that decide whether a document keeps every promise; None where all of them may.

        A server looks no further once it has found as many fields as it was asked for, also where one stands twice
        and Python gets the last: it is asked for some more, which are nowhere.
        """
        seen = set[str]()
        for step, _ in self._promises:
            fields = None if step.model is None or step.check is not None else looked_at(step.model)
            if fields is None:
                return None
            seen |= fields
        return (*sorted(seen), *(f" {n}" for n in range(_TWICE)))

    @property
    def _enough(self) -> bool:
        return len(self.failures) >= MOST

    def _fetch_and_judge(self, reader: Reader, collection: str, ids: Sequence[bytes]) -> None:
        for start in range(0, len(ids), _JUDGED):
            some = ids[start : start + _JUDGED]
            found = {raw_bson.id_of(document): document for document in reader.by_ids(collection, some)}
            self._judge(reader, [found[i] for i in some if i in found])

    def _judge(self, reader: Reader, documents: Sequence[bytes]) -> None:
        for found in self._settled(reader, documents, self._broken):
            if not self._enough:
                self.failures += found

    def _settled(
        self, reader: Reader, documents: Sequence[bytes], look: Callable[[bytes], _Finding]
    ) -> list[_Finding]:
        """What a look at each document finds, with the lookups loaded that it asks for."""
        findings: dict[int, _Finding] = {}
        waiting: Sequence[int] = range(len(documents))
        for tables in self._tables:
            tables.trim()
        while waiting:
            deferred = []
            for slot in waiting:
                for tables in self._tables:
                    tables.misses.clear()
                findings[slot] = look(documents[slot])
                if any(tables.misses for tables in self._tables):
                    deferred.append(slot)
            for tables in self._tables if deferred else ():
                tables.load(reader)
            waiting = deferred
        return [findings[slot] for slot in range(len(documents))]

    def _keeps(self, document: bytes) -> bool:
        """Whether the document keeps every promise, as far as one decoded document for all of them tells."""
        decoded = raw_bson.decode_any(document)
        return not any(
            True for step, arguments in self._promises for _ in broken_promises(step, decoded, arguments)
        )

    def _broken(self, document: bytes) -> list[VerifyFailure]:
        identity: Any = raw_bson.id_value(raw_bson.id_of(document))
        return [
            VerifyFailure(step.version, step.collection, identity, name, reason)
            for step, arguments in self._promises
            for name, reason in broken_promises(step, raw_bson.decode_any(document), arguments)
        ]


def _lookups(steps: Sequence[Step]) -> list[Lookup]:
    return [lookup for step in steps for lookup in step.looked_up.values()]


def _frozen(step: Step, known: PassRecord) -> FrozenLookups:
    return FrozenLookups(known.id, _lookups([step]), writes=step.collection, began=known.started_at)


def _arguments(step: Step, own: FrozenLookups, anew: FrozenLookups) -> dict[str, Any]:
    """What the functions of a step are given: looked up by the pass in its own collection, else anew."""
    elsewhere = {n: anew[v] for n, v in step.looked_up.items() if v.collection != step.collection}
    return own.arguments(step) | elsewhere


def _is_less(reader: Reader, collection: str, fields: Sequence[str]) -> bool:
    """Whether these fields are less than half of a few documents: a server takes longer to take most of one apart."""
    some = partial(reader.documents, collection, limit=_FEW, max_bytes=BATCH_BYTES)
    return 2 * sum(map(len, some(fields=fields))) < sum(map(len, some()))
