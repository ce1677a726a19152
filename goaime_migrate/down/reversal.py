"""Documents that were inserted since `up`, taken back with `reverse=`.

They have no before-image. The `reverse=` of the steps that are taken back takes them back, from the last step
downwards. A step without one is as far as it goes: the document stays in the shape of that step, and is counted. It is
also noted, in the journal of whatever is taken back next: no `reverse=` ever meets a shape that is not its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Changes, Reader, RecordChange
from goaime_migrate.down.inserted import Inserted, ReverseChain, inserted_since
from goaime_migrate.down.rollback import JournalPosition, WayBack
from goaime_migrate.journal import reconcile, segments
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.reconcile import Forward
from goaime_migrate.journal.segments import Segment
from goaime_migrate.ledger import PassRecord
from goaime_migrate.run.checkpoint import Result, Try, Unit, commit_all
from goaime_migrate.run.pacing import LARGEST, Pacing
from goaime_migrate.run.run import Run
from goaime_migrate.transform.chain import Chain


@dataclass
class Reversal:
    """Taking inserted documents back as far as their reverses go, a batch at a time.

    Each batch is journaled with its result, so that no document is reversed twice by a run that was cut off.
    """

    run: Run
    record: PassRecord
    reverses: ReverseChain
    target: int
    at: WayBack

    def take_back(self) -> Inserted | None:
        """How many there were; None where that cannot be told."""
        if not self.record.complete:
            return None
        backend = self.run.backend
        self._notes = Notes(self.reverses.heir, backend)
        self._finish_interrupted()
        total = Inserted()
        for found in inserted_since(backend, self.record):
            total += found.count(self.reverses.missing)
            self._hand_on(found.left)
            self._reverse(found.fresh)
        return total

    def _hand_on(self, left: Mapping[bytes, str]) -> None:
        """Let the next pass know what an earlier `down` has left; the pass itself knows."""
        if left and self.reverses.heir != self.record.id:
            self.run.record(*self._notes.puts(left))

    def _reverse(self, ids: Sequence[bytes]) -> None:
        if self.reverses.chain is not None:
            self._batches(self.reverses.chain, ids)
        elif changes := self._puts_for(ids):
            self.run.record(*changes)

    def _puts_for(self, ids: Iterable[bytes]) -> list[RecordChange]:
        """The changes that note those of these ids that are left, with the version that stops them."""
        missing = self.reverses.missing
        return [] if missing is None else self._notes.puts(dict.fromkeys(ids, missing))

    def _finish_interrupted(self) -> None:
        """Finish what a run has journaled and may not have written: without transactions, it was cut off in between."""
        backend = self.run.backend
        last = segments.keys(backend, self.record.id, Kind.INSERTED)[-1:]
        segment = segments.read(backend, last[0]) if last and not backend.capabilities.transactions else None
        if segment is not None and self.reverses.chain is not None:
            self._batches(self.reverses.chain, [entry.id for entry in segment.entries], segment)

    def _batches(self, chain: Chain, ids: Sequence[bytes], segment: Segment | None = None) -> None:
        def plan(reader: Reader, at: WayBack, ids: Sequence[bytes], this: Try) -> Unit[JournalPosition, None]:
            new = Segment(self.record.id, Kind.INSERTED, 0, at.seq + 1, level=self.target)
            changes = self._changes(reader, chain, ids, segment or new, this.missed)
            return Unit(changes, Result(at.next(at.position), None, len(ids), ids[0]))

        pace, version = Pacing(LARGEST, LARGEST), self.record.versions[-1]
        for done in commit_all(self.run, self.at, ids, plan, pace, version):
            self.at = done.next

    def _changes(
        self, reader: Reader, chain: Chain, ids: Sequence[bytes], segment: Segment, missed: frozenset[bytes]
    ) -> Changes:
        """Read the documents, reverse them, and say what to change."""
        earlier = segments.read(reader, segment.key)
        done = {} if earlier is None else {entry.id: entry for entry in earlier.entries}
        chain.tables.rollback()
        found = reader.by_ids(self.record.collection, ids)
        todo = [d for d in found if _is_due(d, done.get(raw_bson.id_of(d)), missed)]
        result = chain.run(reader, todo)
        entries = {**done, **{c.id: c.entry() for c in result.changed}}
        journaled = replace(segment, entries=tuple(entries.values()))
        return Changes(
            first=[*result.frozen, *journaled.puts(), *self._puts_for(map(raw_bson.id_of, found))],
            collection=self.record.collection,
            writes=[c.write() for c in result.changed],
            bypass_validation=True,
        )


def _is_due(document: bytes, entry: Entry | None, missed: frozenset[bytes]) -> bool:
    """Whether a document is still to be reversed: never one that may have been.

    `missed`: what the try before has not written, for others' writes.
    """
    verdict = reconcile.forward(document, entry, settled=False)
    was_missed = entry is not None and entry.id in missed
    return verdict is Forward.TRANSFORM or (was_missed and verdict is Forward.CONFLICT)


class Notes:
    """Tells the pass `heir`, if there is one, of documents that are left above it."""

    def __init__(self, heir: str | None, reader: Reader) -> None:
        self._heir = heir
        known = [] if heir is None else segments.keys(reader, heir, Kind.LEFT)
        self._seq = int(known[-1].split("/")[3]) if known else 0

    def puts(self, left: Mapping[bytes, str]) -> list[RecordChange]:
        """The changes that do; each call's are records of their own."""
        changes: list[RecordChange] = []
        for version in dict.fromkeys(left.values()) if self._heir is not None else ():
            assert self._heir is not None
            self._seq += 1
            ids = tuple(identity for identity, of in left.items() if of == version)
            note = Segment(self._heir, Kind.LEFT, 0, self._seq, unchanged=ids, version=version)
            changes += note.puts()
        return changes
