"""The tail of a pass: what others wrote while it walked, looked at again until nothing is left behind.

The ids that were collected are reconciled with the journal, in batches like any other. Where history was lost, or
there are no change streams, the whole collection is swept until a sweep finds next to nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from bson import Timestamp

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import PROGRESS, Changes, Reader
from goaime_migrate.backends.ports.change_stream import HistoryLost
from goaime_migrate.errors import Conflicts, Contended
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.journal import reconcile, segments
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.index import Locator
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import Known, Segment
from goaime_migrate.ledger import PassRecord
from goaime_migrate.run import collector, reading
from goaime_migrate.run.checkpoint import Result, Try, Unit, adopt, close, commit_all
from goaime_migrate.run.collector import Collector
from goaime_migrate.run.pacing import LARGEST, Pacing
from goaime_migrate.run.partitions import Partition, Range, new_partition
from goaime_migrate.transform.chain import BatchResult
from goaime_migrate.up.batch import still_kept
from goaime_migrate.up.walk import Walk

_SWEEPS = 20
Conflict = tuple[bytes, tuple[str, ...]]
"""The raw `_id` of a document, and the fields that both have changed."""


class TailFound(NamedTuple):
    """What a batch of the tail has found: how many documents had to be written, and which must not be."""

    written: int
    conflicts: Sequence[Conflict]


TailPlan = Callable[[Reader, Partition, Sequence[bytes], Try], Unit[Range, TailFound]]


@dataclass
class Tail:
    """The last part of a pass."""

    walk: Walk
    reconciliation: type[Reconciliation]
    collector: Collector | None = None

    @property
    def _record(self) -> PassRecord:
        return self.walk.record

    def start(self) -> None:
        """Begin to collect, from where the pass has begun. Called when every session that may write is recorded."""
        self.collector = collector.start(
            self.walk.run, self._record.collection, self._record.id, self._record.since, self._sessions()
        )

    def _sessions(self) -> list[Any]:
        """Every session that this pass has ever written in, this run's own included."""
        backend = self.walk.run.backend
        parts = backend.find(PROGRESS, {"pass": self._record.id, "kind": "partition"})
        return [s for part in parts for s in part["lsids"]] + self.walk.run.sessions

    @property
    def watched(self) -> Timestamp | None:
        """The cluster time up to which everything that others wrote has been seen to; None where that is not known."""
        collecting = self.collector
        if collecting is None or collecting.caught_up is None or isinstance(collecting.failure, HistoryLost):
            return None
        return collecting.caught_up.at

    def stop(self) -> None:
        """Stop collecting, whatever has happened."""
        if self.collector is not None:
            self.collector.stop()

    def finish(self) -> None:
        """Migrate what was written behind the walk. Raises Conflicts, CollectionChanged and what a walk raises."""
        run = self.walk.run
        if not run.backend.capabilities.leases and not self.walk.revisits:
            return  # nobody else can have written
        (partition,) = adopt(run, [new_partition(self._record, Kind.TAIL)], run.sessions)
        work = self.reconciliation(self.walk, partition)
        try:
            work.follow(self.collector)
        finally:
            self.stop()
        work.refuse_conflicts()
        close(run, work.at)


class Reconciliation:
    """What was written behind the walk, held against the journal; `at` is how far that has come."""

    def __init__(self, walk: Walk, at: Partition) -> None:
        self._walk = walk
        self._locator = Locator(walk.run.backend, walk.record.id)
        self._conflicts: list[Conflict] = []
        self.at = at

    def follow(self, collecting: Collector | None) -> None:
        """Reconcile everything that has been written up to now, or sweep where that is not known."""
        try:
            if collecting is None:
                raise collector.HistoryGone
            if self._walk.record.restored:
                self._sweep_until_clean()
            for ids in collecting.rounds(self._walk.run):
                self._reconcile(ids)
        except collector.HistoryGone:
            self._sweep_until_clean()

    def _sweep_until_clean(self) -> None:
        """Look at every document until a whole sweep has next to nothing to do.

        What is written after the last sweep's beginning counts as inserted since the migration.
        """
        record = self._walk.record
        for _ in range(_SWEEPS):
            written = 0
            for ids in self._everything():
                written += self._reconcile(ids)
            if written <= LARGEST:
                return
        raise Contended(
            "the application writes faster than the collection can be looked at again",
            version=record.versions[-1],
            hint=Hint("try again at a quieter moment: {}", UP),
        )

    def _everything(self) -> Iterator[list[bytes]]:
        """The ids of all documents, some at a time."""
        walk = self._walk
        for batch in reading.batches(walk.run.backend, walk.record.collection, walk.where):
            yield [raw_bson.id_of(document) for document in batch]

    def _reconcile(self, ids: Iterable[bytes]) -> int:
        """How many documents had to be written. Neighbours go together: they share segments of the journal."""
        ordered = sorted(ids, key=id_key)
        return sum(
            self._batches(ordered[start : start + LARGEST]) for start in range(0, len(ordered), LARGEST)
        )

    def _batches(self, ids: Sequence[bytes]) -> int:
        walk, written = self._walk, 0
        pace, version = Pacing(LARGEST, LARGEST), walk.record.versions[-1]
        for done in commit_all(walk.run, self.at, ids, self._plan(ids), pace, version):
            if done.replied:
                walk.chain.tables.commit()
            self.at = done.next
            self._conflicts += done.found.conflicts
            written += done.found.written
        return written

    def _plan(self, ids: Sequence[bytes]) -> TailPlan:
        """What to do about these documents."""
        return TailBatch(self._walk, self._locator.scanned(ids)).plan

    def refuse_conflicts(self) -> None:
        """Raise Conflicts, if there are any."""
        if self._conflicts:
            raise self._refusal(self._conflicts)

    def _refusal(self, conflicts: Sequence[Conflict]) -> Conflicts:
        identity, fields = conflicts[0]
        return Conflicts(
            f"the application has changed {len(conflicts)} documents in fields that the migration had written, "
            "and the transform cannot be applied twice",
            version=self._walk.record.versions[-1],
            id=raw_bson.id_value(identity),
            field=fields[0] if fields else None,
            hint=Hint("put these documents right, then: {}; or take it back: {}", UP, DOWN),
        )


class TailBatch:
    """Documents of the tail, with what the scan `knew` of them."""

    def __init__(self, walk: Walk, known: Known) -> None:
        self._walk = walk
        self._known = known

    def run(self, reader: Reader, documents: Sequence[bytes]) -> BatchResult:
        """What becomes of documents that are to be looked at again."""
        return self._walk.chain.run(reader, documents)

    def known_of(self, _: Reader, __: BatchResult) -> Known:
        """What the scan has done with the documents of a result."""
        return self._known

    def plan(
        self, reader: Reader, before: Partition, ids: Sequence[bytes], this: Try
    ) -> Unit[Range, TailFound]:
        """Read the documents, hold them against the journal, and say what to change."""
        walk = self._walk
        walk.chain.tables.rollback()
        segment = Segment(before.pass_id, Kind.TAIL, 0, before.seq + 1, level=len(walk.chain.steps))
        earlier = segments.read(reader, segment.key)
        kept = [] if earlier is None else still_kept(earlier.entries, this.missed)
        later = segments.entries_of(reader, before.pass_id, ids)
        entries = {**self._known.entries, **later, **{entry.id: entry for entry in kept}}
        todo, conflicts = self._classify(reader.by_ids(walk.record.collection, ids, walk.where), entries)
        result = self.run(reader, todo)
        known = self.known_of(reader, result)
        fresh = tuple(c.entry() for c in result.changed)
        counts = before.position.counts.copy()
        counts.add(result.count_new(Known({**known.entries, **entries}, known.unchanged)))
        again = {entry.id for entry in fresh if entry.comes_or_goes}
        entries_now = (*(entry for entry in kept if entry.id not in again), *fresh)
        at = replace(before.position, counts=counts)
        records = replace(segment, entries=entries_now).puts() if entries_now else []
        moved = before.next(at.with_segment(len(entries_now), records) if entries_now else at)
        changes = Changes(
            first=[*result.frozen, *records],
            collection=walk.record.collection,
            writes=[c.write() for c in result.changed],
        )
        return Unit(changes, Result(moved, TailFound(len(result.changed), conflicts), len(ids), ids[0]))

    def _classify(
        self, documents: Iterable[bytes], entries: dict[bytes, Entry]
    ) -> tuple[list[bytes], list[Conflict]]:
        """Documents to transform, and those in conflict."""
        todo: list[bytes] = []
        conflicts: list[Conflict] = []
        for document in documents:
            entry = entries.get(raw_bson.id_of(document))
            verdict = reconcile.forward(document, entry, settled=bool(self._walk.record.settled))
            if verdict is reconcile.Forward.TRANSFORM:
                todo.append(document)
            elif verdict is reconcile.Forward.CONFLICT and entry is not None:
                conflicts.append((entry.id, tuple(entry.fields)))
        return todo, conflicts
