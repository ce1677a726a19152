"""Documents that were born after `up`: those that the journal has never seen.

They have no before-image. Where the transform has a `reverse=` they are taken back with it, else they are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from goaime_migrate.backends import raw
from goaime_migrate.backends.base import PROGRESS, Changes, Collision, GuardFailed, Move, Reader
from goaime_migrate.engine import journal, pacing, reconcile
from goaime_migrate.engine.chain import Chain
from goaime_migrate.engine.journal import Entry, Kind, Segment
from goaime_migrate.engine.reconcile import Forward
from goaime_migrate.engine.runner import Runner, contended
from goaime_migrate.ledger import PassRecord

_BATCH = 500


def count(reader: Reader, record: PassRecord) -> int:
    """How many documents were born since; 0 where a filter makes that impossible to tell."""
    return sum(map(len, _strangers(reader, record))) if record.reverse or not record.filtered else 0


def _strangers(reader: Reader, record: PassRecord) -> Iterator[list[bytes]]:
    """Ids that the journal does not know, in the order of the collection.

    What an unfinished pass has not come to yet is not born: it is as it always was.
    """
    indexed = any(journal.keys(reader, record.id, kind) for kind in (Kind.CANARY, Kind.TAIL, Kind.BORN))
    cursor: bytes | None = None
    beyond = [None] if record.finished else []
    for key in [*journal.keys(reader, record.id, Kind.SCAN), *beyond]:
        segment = None if key is None else journal.read(reader, key)
        known = set() if segment is None else {*(e.id for e in segment.entries), *segment.unchanged}
        upto = None if segment is None else segment.upto
        after = cursor if segment is None else segment.after  # between two segments nobody has been yet
        for ids in _ids(reader, record.collection, after, upto):
            strangers = [i for i in ids if i not in known]
            if strangers and indexed:
                seen = journal.entries_of(reader, record.id, strangers)
                strangers = [i for i in strangers if i not in seen]
            yield strangers
        if upto is None:
            return
        cursor = upto


def _ids(reader: Reader, collection: str, after: bytes | None, upto: bytes | None) -> Iterator[list[bytes]]:
    while True:
        found = reader.documents(collection, after=after, upto=upto, limit=_BATCH, fields=())
        yield [raw.id_of(document) for document in found]
        if len(found) < _BATCH:
            return
        after = raw.id_of(found[-1])


@dataclass
class Reversal:
    """Taking born documents back with `reverse=`, a batch at a time.

    Each batch is journaled with its result, so that no document is reversed twice by a run that was cut off.
    """

    runner: Runner
    record: PassRecord
    chain: Chain
    target: int
    progress: str
    seq: int

    def run(self) -> int:
        """How many were taken back."""
        total = self._interrupted()
        for strangers in _strangers(self.runner.backend, self.record):
            if strangers:
                total += self._batch(strangers)
        return total

    def _interrupted(self) -> int:
        """Finish what a run has journaled and may not have written: without transactions, it was cut off in between."""
        backend = self.runner.backend
        last = journal.keys(backend, self.record.id, Kind.BORN)[-1:]
        segment = journal.read(backend, last[0]) if last and not backend.capabilities.transactions else None
        return 0 if segment is None else self._batch([entry.id for entry in segment.entries], segment)

    def _batch(self, ids: list[bytes], segment: Segment | None = None) -> int:
        missed: Sequence[bytes] = ()
        tries = 0
        while True:
            self.runner.check()
            new = Segment(self.record.id, Kind.BORN, 0, self.seq + 1, level=self.target)
            attempt = _Attempt(self, ids, segment or new, missed)
            try:
                missed = self.runner.transact(attempt.work).missed
            except GuardFailed:
                if self.runner.partition(self.progress)["seq"] == self.seq:
                    raise self.runner.fenced() from None
                missed = ()
            except Collision as error:
                if len(ids) > 1:
                    half = len(ids) // 2
                    return self._batch(ids[:half]) + self._batch(ids[half:])
                tries += 1
                if tries >= pacing.PATIENCE:
                    raise contended(self.record.versions[-1], ids[0], error, "down") from error
                continue
            if not missed:
                self.seq += 1
                return attempt.documents


class _Attempt:
    """One batch of a reversal. `missed`: what the attempt before has not written, for others' writes."""

    def __init__(
        self, reversal: Reversal, ids: list[bytes], segment: Segment, missed: Sequence[bytes]
    ) -> None:
        self._reversal = reversal
        self._ids = ids
        self._segment = segment
        self._missed = frozenset(missed)
        self.documents = 0

    def work(self, reader: Reader) -> Changes:
        """Read the documents, reverse them, and say what to change."""
        this = self._reversal
        earlier = journal.read(reader, self._segment.key)
        done = {} if earlier is None else {entry.id: entry for entry in earlier.entries}
        this.chain.tables.rollback()
        found = reader.by_ids(this.record.collection, self._ids)
        todo = [d for d in found if self._is_due(d, done.get(raw.id_of(d)))]
        result = this.chain.run(reader, todo)
        self.documents = len(found)
        entries = {**done, **{c.id: c.entry() for c in result.changed}}
        segment = replace(self._segment, entries=tuple(entries.values()))
        guard = {"_id": this.progress, "fence": this.runner.lease.fence, "seq": this.seq}
        return Changes(
            first=[*result.frozen, *segment.puts()],
            collection=this.record.collection,
            writes=[c.write() for c in result.changed],
            last=(Move(PROGRESS, guard, {"seq": this.seq + 1}),),
            bypass_validation=True,
        )

    def _is_due(self, document: bytes, entry: Entry | None) -> bool:
        """Whether a document is still to be reversed: never one that may have been."""
        verdict = reconcile.forward(document, entry, settled=False)
        missed = entry is not None and entry.id in self._missed
        return verdict is Forward.TRANSFORM or (missed and verdict is Forward.CONFLICT)
