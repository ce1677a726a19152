"""The tail of a pass: what others wrote while it walked, looked at again until nothing is left behind.

The ids that were collected are reconciled with the journal, in batches like any other. Where history was lost, or
there are no change streams, the whole collection is swept until a sweep finds next to nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import PROGRESS, Changes, Collision, GuardFailed, Move, Reader
from goaime_migrate.errors import Conflicts, Contended
from goaime_migrate.journal import reconcile, segments
from goaime_migrate.journal.index import Locator
from goaime_migrate.journal.segments import Entry, Kind, Known, Segment
from goaime_migrate.ledger import PassRecord
from goaime_migrate.run import collector, pacing, reading
from goaime_migrate.run.collector import Collector
from goaime_migrate.run.partitions import Partition, new_partition
from goaime_migrate.run.run import contended
from goaime_migrate.up.walk import Walk

_SWEEPS = 20


@dataclass
class Tail:
    """The last part of a pass."""

    walk: Walk
    collector: Collector | None = None
    _locator: Locator | None = None
    _conflicts: list[tuple[bytes, tuple[str, ...]]] = field(default_factory=list)
    _tail: Partition | None = None

    @property
    def _record(self) -> PassRecord:
        return self.walk.record

    def start(self) -> None:
        """Begin to collect, from where the pass has begun. Called when every session that may write is recorded."""
        self.collector = collector.started(
            self.walk.runner, self._record.collection, self._record.id, self._record.since, self._sessions()
        )

    def _sessions(self) -> list[Any]:
        """Every session that this pass has ever written in, this run's own included."""
        backend = self.walk.runner.backend
        parts = backend.find(PROGRESS, {"pass": self._record.id, "kind": "partition"})
        return [s for part in parts for s in part["lsids"]] + self.walk.runner.sessions

    def stop(self) -> None:
        """Stop collecting, whatever has happened."""
        if self.collector is not None:
            self.collector.stop()

    def finish(self) -> None:
        """Migrate what was written behind the walk. Raises Conflicts, CollectionChanged and what a walk raises."""
        backend = self.walk.runner.backend
        if not backend.capabilities.leases and not self.walk.revisits:
            return  # nobody else can have written
        self._tail = self.walk.adopted(new_partition(self._record, Kind.TAIL))
        self._locator = Locator(backend, self._record.id)
        try:
            self._drain()
        finally:
            self.stop()
        self._refuse_conflicts()
        self._tail = self.walk.closed(self._tail)

    def _drain(self) -> None:
        try:
            if self.collector is None:
                raise collector.HistoryGone
            for ids in self.collector.rounds(self.walk.runner):
                self._reconcile(ids)
        except collector.HistoryGone:
            self._sweep_until_clean()

    def _sweep_until_clean(self) -> None:
        """Look at every document until a whole sweep has next to nothing to do.

        What is written after the last sweep's beginning counts as born after the migration.
        """
        for _ in range(_SWEEPS):
            written = 0
            for batch in reading.batches(self.walk.runner.backend, self._record.collection, self.walk.where):
                written += self._reconcile([raw_bson.id_of(document) for document in batch])
            if written <= pacing.LARGEST:
                return
        raise Contended(
            "the application writes faster than the collection can be looked at again",
            version=self._record.versions[-1],
            hint="try again at a quieter moment: goaime-migrate up",
        )

    # one batch

    def _reconcile(self, ids: Iterable[bytes]) -> int:
        """How many documents had to be written. Neighbours go together: they share segments of the journal."""
        ordered = sorted(ids, key=id_key)
        return sum(
            self._batch(ordered[start : start + pacing.LARGEST])
            for start in range(0, len(ordered), pacing.LARGEST)
        )

    def _batch(self, ids: Sequence[bytes]) -> int:
        runner, collisions = self.walk.runner, 0
        assert self._locator is not None
        known = self._locator.scanned(ids)
        while True:
            runner.check()
            assert self._tail is not None
            attempt = _Attempt(self.walk, self._tail, known, ids)
            try:
                committed = runner.transact(attempt.work)
            except GuardFailed:
                moved = self.walk.reread(self._tail)
                if moved.seq == self._tail.seq:
                    raise runner.fenced() from None
                self._tail = moved
                return len(ids)
            except Collision as error:
                collisions += 1
                if len(ids) > 1:
                    half = len(ids) // 2
                    return self._batch(ids[:half]) + self._batch(ids[half:])
                if collisions > pacing.PATIENCE:
                    raise contended(self._record.versions[-1], ids[0], error, "up") from error
                continue
            if not committed.missed:
                self.walk.committed()
                self._tail = attempt.next
                self._conflicts += attempt.conflicts
                return attempt.written

    def _refuse_conflicts(self) -> None:
        if self._conflicts:
            identity, fields = self._conflicts[0]
            raise Conflicts(
                f"the application has changed {len(self._conflicts)} documents in fields that the migration had written, "
                "and the transform cannot be applied twice",
                version=self._record.versions[-1],
                id=raw_bson.id_value(identity),
                field=fields[0] if fields else None,
                hint="put these documents right, then: goaime-migrate up; or take it back: goaime-migrate down",
            )


class _Attempt:
    """One batch of the tail, as often as it has to be tried."""

    def __init__(self, walk: Walk, tail: Partition, known: Known, ids: Sequence[bytes]) -> None:
        self._walk = walk
        self._before = tail
        self._known = known
        self._ids = ids
        self.next = tail
        self.written = 0
        self.conflicts: list[tuple[bytes, tuple[str, ...]]] = []

    def work(self, reader: Reader) -> Changes:
        """Read the documents, hold them against the journal, and say what to change."""
        walk, before = self._walk, self._before
        walk.chain.tables.rollback()
        segment = Segment(before.pass_id, Kind.TAIL, 0, before.seq + 1, level=len(walk.chain.steps))
        earlier = segments.read(reader, segment.key)
        kept = () if earlier is None else earlier.entries
        later = segments.entries_of(reader, before.pass_id, self._ids)
        entries = {**self._known.entries, **later, **{entry.id: entry for entry in kept}}
        documents = reader.by_ids(walk.record.collection, self._ids, walk.where)
        result = walk.chain.run(reader, list(self._to_transform(documents, entries)))
        self.written = len(result.changed)
        fresh = tuple(c.entry() for c in result.changed)
        tally = before.tally.copy()
        tally.add(result.counted_anew(Known(entries, self._known.unchanged)))
        self.next = replace(before, seq=before.seq + 1, tally=tally)
        guard = {"_id": before.id, "fence": walk.runner.lease.fence, "seq": before.seq}
        journaled = replace(segment, entries=(*kept, *fresh))
        return Changes(
            first=[*result.frozen, *(journaled.puts() if journaled.entries else [])],
            collection=walk.record.collection,
            writes=[c.write() for c in result.changed],
            last=(Move(PROGRESS, guard, self.next.position()),),
        )

    def _to_transform(self, documents: Iterable[bytes], entries: dict[bytes, Entry]) -> Iterator[bytes]:
        self.conflicts = []
        for document in documents:
            entry = entries.get(raw_bson.id_of(document))
            verdict = reconcile.forward(document, entry, settled=bool(self._walk.record.settled))
            if verdict is reconcile.Forward.TRANSFORM:
                yield document
            elif verdict is reconcile.Forward.CONFLICT and entry is not None:
                self.conflicts.append((entry.id, tuple(entry.fields)))
