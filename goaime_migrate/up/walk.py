"""A pass: one walk over one collection for one or several versions, batch by batch.

A batch reads, transforms and then changes documents, journal and cursor together. The cursor moves only with the
work, and only while the partition still carries this run's fence.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import (
    PROGRESS,
    Changes,
    Collision,
    Filter,
    GuardFailed,
    Move,
    Put,
    Reader,
    Sweep,
    SweepRefused,
)
from goaime_migrate.events import BatchCommitted
from goaime_migrate.journal import reconcile, segments
from goaime_migrate.journal.segments import Entry, Kind, Known, Segment
from goaime_migrate.ledger import PassRecord
from goaime_migrate.results import Document
from goaime_migrate.run.pacing import BATCH_BYTES, LARGEST, LARGEST_NARROW, Pacing
from goaime_migrate.run.partitions import Partition
from goaime_migrate.run.run import Run, contended
from goaime_migrate.transform import projection
from goaime_migrate.transform.chain import BatchResult, Chain
from goaime_migrate.transform.probe import combined

_SELDOM = 10
"""If more than one document in so many has to be read as a whole after all, all are."""


class Meter:
    """How many documents each partition has examined, told as one number whenever one of them changes."""

    def __init__(self, runner: Run, record: PassRecord) -> None:
        self._runner = runner
        self._record = record
        self._examined: dict[str, int] = {}

    def start(self, partitions: Iterable[Partition] = ()) -> None:
        """Begin anew, with what these have examined so far."""
        self._examined = {partition.id: partition.tally.examined for partition in partitions}

    def moved(self, partition: str, examined: int) -> None:
        """This is how far a partition has come."""
        self._examined[partition] = examined
        done = sum(self._examined.values())
        self._runner.emit(BatchCommitted(self._record.versions, done, self._record.total))


@dataclass
class Walk:
    """A pass being walked by this process."""

    runner: Run
    record: PassRecord
    chain: Chain
    where: Filter | None
    fields: Sequence[str] | None = None
    """The fields that are carried, None where documents are read as a whole: each batch may do either."""
    revisits: bool = False
    """Whether documents may be met that the pass has already written: after a canary, and in the tail."""

    def __post_init__(self) -> None:
        largest = LARGEST if self.fields is None else LARGEST_NARROW
        self.pacing = Pacing(self.runner.options.batch_size or largest)
        self.sweeps = self.runner.backend.capabilities.deltas
        """Whether batches that the server can compute by itself are one update each."""
        self.meter = Meter(self.runner, self.record)
        self.examined = 0

    def beside(self, runner: Run) -> Walk:
        """The same walk for another thread, which paces its own batches."""
        return replace(self, runner=runner, chain=self.chain.beside())

    def partition(self, partition: Partition) -> Partition:
        """Walk to the end of a partition that only this process walks in. Raises as `through` does."""
        return self.through(self.adopted(partition))

    def through(self, partition: Partition) -> Partition:
        """Walk from the cursor to the end. Raises MigrationFailed, Interrupted, LeaseLost with all before recorded."""
        while not partition.done:
            self.runner.check()
            partition = self._batch(partition)
            self.meter.moved(partition.id, partition.tally.examined)
            self.runner.worked(self.examined)
        return partition

    def adopted(self, partition: Partition) -> Partition:
        """Take up a partition, new or as an earlier run left it, and record whose transactions it will hold."""
        session = self.runner.backend.session_id()
        fence = self.runner.lease.fence
        stored = self.runner.backend.find(PROGRESS, {"_id": partition.id})
        if not stored:
            self.runner.record(Put(PROGRESS, partition.record(fence, session)))
            return partition
        if session is not None:
            self._move(partition.id, {"fence": fence}, {"lsids": [*stored[0]["lsids"], session]})
        return self.reread(partition)

    def _move(self, identity: str, condition: Mapping[str, Any], values: Document) -> None:
        self.runner.move(Move(PROGRESS, {"_id": identity, **condition}, values))

    def reread(self, partition: Partition) -> Partition:
        """The partition as it is recorded now. Raises LeaseLost."""
        record = self.runner.partition(partition.id)
        return Partition.read(record, [version for version, _, _ in self.record.steps])

    def _batch(self, partition: Partition) -> Partition:
        """One batch: the partition afterwards, whether it was this call or a lost reply that moved it."""
        attempt = _Batch(self, partition, self.pacing.size)
        try:
            committed = self.runner.transact(attempt.work)
        except GuardFailed:
            moved = self.reread(partition)
            if moved.seq == partition.seq:
                raise self.runner.fenced() from None
            return moved
        except SweepRefused:
            self.sweeps = False  # written one by one, the document will be named
            return partition
        except Collision as error:
            if not self.pacing.collided():
                raise contended(self.record.versions[-1], attempt.last, error, "up") from error
            return partition
        if committed.missed:
            return partition
        self.committed()
        self.examined = attempt.examined
        if attempt.misfits * _SELDOM > attempt.examined:
            self.fields = None
        self.pacing.took(time.monotonic() - attempt.started, attempt.examined)
        return attempt.next

    def committed(self) -> None:
        """A batch has been committed."""
        self.chain.tables.commit()

    def closed(self, partition: Partition) -> Partition:
        """Record that nothing is left to do in a partition."""
        position = {"fence": self.runner.lease.fence, "seq": partition.seq}
        self._move(partition.id, position, {"done": True})
        return replace(partition, done=True)


class _Batch:
    """One batch of a walk, as often as it has to be tried."""

    def __init__(self, walk: Walk, partition: Partition, size: int) -> None:
        self._walk = walk
        self._partition = partition
        self._size = size
        self.next = partition
        self.started = 0.0
        """When it was last tried, by the monotonic clock."""
        self.examined = 0
        self.last: bytes | None = None
        self.misfits = 0
        """Documents that had to be read as a whole after all."""

    def work(self, reader: Reader) -> Changes:
        """Read, transform, and say what to change."""
        walk, before = self._walk, self._partition
        self.started = time.monotonic()
        walk.chain.tables.rollback()
        earlier = self._interrupted(reader)
        documents, upto = self._read(reader, earlier)
        self.examined = len(documents)
        seen = self._seen(reader, documents)
        todo, kept, left = self._sort_out(documents, earlier, seen.entries)
        result = self._transformed(reader, todo)
        entries = [c.entry() for c in result.changed]
        unchanged = [*result.unchanged, *left, *self._strangers(reader, upto)]
        segment = Segment(
            before.pass_id,
            before.kind,
            before.number,
            before.seq + 1,
            before.cursor,
            upto,
            (*kept, *entries),
            tuple(unchanged),
            len(walk.chain.steps),
        )
        tally = before.tally.copy()
        tally.add(result.counted_anew(seen) if walk.revisits else result.tally)
        tally.examined += len(kept)
        done = upto == before.upto
        self.next = replace(before, cursor=upto, seq=before.seq + 1, done=done, tally=tally)
        guard = {"_id": before.id, "fence": walk.runner.lease.fence, "seq": before.seq}
        sweep = None if kept or left else self._sweep(result, upto)
        return Changes(
            first=[*result.frozen, *segment.puts()],
            collection=walk.record.collection,
            writes=() if sweep else [c.write() for c in result.changed],
            sweep=sweep,
            last=(Move(PROGRESS, guard, self.next.position()),),
        )

    def _transformed(self, reader: Reader, documents: Sequence[bytes]) -> BatchResult:
        """The batch after the chain. Where carrying some fields is not enough, the documents are read as a whole."""
        walk = self._walk
        result = walk.chain.run(reader, documents, walk.fields)
        if walk.fields is None:
            return result
        step = walk.chain.steps[0]
        narrowed = (projection.narrowed(c, step, walk.fields) for c in result.changed)
        fitting = [changed for changed in narrowed if changed is not None]
        kept = {changed.id for changed in fitting}
        others = [changed.id for changed in result.changed if changed.id not in kept]
        self.misfits = len(others)
        if others:
            whole = walk.chain.run(reader, reader.by_ids(walk.record.collection, others))
            fitting += whole.changed
            result.frozen.extend(whole.frozen)
        return replace(result, changed=fitting)

    def _sweep(self, result: BatchResult, upto: bytes | None) -> Sweep | None:
        """The batch as one update, where the server can make the very same of it."""
        walk = self._walk
        if not (walk.sweeps and result.stages and result.changed):
            return None
        documents = len(result.changed) + (0 if result.where else len(result.unchanged))
        where = combined(walk.where, result.where)
        return Sweep(self._partition.cursor, upto, where, result.stages, documents)

    def _interrupted(self, reader: Reader) -> Segment | None:
        """The journal of this very batch, from a run that was cut off between it and the cursor.

        Only without transactions can there be one.
        """
        if self._walk.runner.backend.capabilities.transactions:
            return None
        before = self._partition
        return segments.read(reader, Segment(before.pass_id, before.kind, before.number, before.seq + 1).key)

    def _read(self, reader: Reader, earlier: Segment | None) -> tuple[list[bytes], bytes | None]:
        """The documents of the batch and the `_id` up to which they were examined."""
        before, collection = self._partition, self._walk.record.collection
        if earlier is not None:
            where = self._walk.where
            return reader.documents(
                collection, after=before.cursor, upto=earlier.upto, where=where
            ), earlier.upto
        documents = reader.documents(
            collection,
            after=before.cursor,
            upto=before.upto,
            where=self._walk.where,
            limit=self._size,
            max_bytes=BATCH_BYTES,
            fields=self._walk.fields,
        )
        self.last = raw_bson.id_of(documents[-1]) if documents else None
        full = len(documents) >= self._size or sum(map(len, documents)) >= BATCH_BYTES
        return documents, self.last if full else before.upto

    def _seen(self, reader: Reader, documents: Sequence[bytes]) -> Known:
        """What a canary has done with the documents before."""
        if not self._walk.revisits:
            return Known()
        return segments.known(reader, self._walk.record.id, [raw_bson.id_of(d) for d in documents])

    def _sort_out(
        self, documents: list[bytes], earlier: Segment | None, seen: Mapping[bytes, Entry]
    ) -> tuple[list[bytes], list[Entry], list[bytes]]:
        """Documents to transform; entries to keep as they are; ids of documents that are already migrated."""
        known = {} if earlier is None else {entry.id: entry for entry in earlier.entries}
        if not known and not seen:
            return documents, [], []
        todo, kept, left = [], [], []
        for document in documents:
            identity = raw_bson.id_of(document)
            entry = known.get(identity) or seen.get(identity)
            verdict = reconcile.forward(document, entry, settled=bool(self._walk.record.settled))
            if verdict is reconcile.Forward.TRANSFORM:
                todo.append(document)
            elif identity in known:
                kept.append(known[identity])
            else:
                left.append(identity)
        read = {raw_bson.id_of(document) for document in documents}
        kept += [entry for identity, entry in known.items() if identity not in read]  # `where` is past them
        return todo, kept, left

    def _strangers(self, reader: Reader, upto: bytes | None) -> list[bytes]:
        """Ids in the range that `where` left out, so that `reverse=` will know them from documents born later.

        A canary has nothing to say of those that are none of its own.
        """
        walk = self._walk
        if not walk.where or not walk.record.complete or self._partition.kind is not Kind.SCAN:
            return []
        others = reader.documents(
            walk.record.collection,
            after=self._partition.cursor,
            upto=upto,
            where={"$nor": [walk.where]},
            fields=(),
        )
        return [raw_bson.id_of(document) for document in others]
