"""A pass from its opening to its end: probe, canary, scan, tail."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from bson import Timestamp

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import (
    PROGRESS,
    CollectionReader,
    Filter,
    Reader,
)
from goaime_migrate.errors import (
    CollectionChanged,
    MigrateError,
    MigrationFailed,
    NotPure,
    UndeclaredField,
)
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.ledger import PassRecord, passes
from goaime_migrate.run import created, partitions
from goaime_migrate.run.checkpoint import adopt
from goaime_migrate.run.origin import pin
from goaime_migrate.run.pacing import BATCH_BYTES, FIRST
from goaime_migrate.run.partitions import new_partition
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import Pool
from goaime_migrate.transform import projection
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.chains import chain_of
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.deduplication import Deduplication
from goaime_migrate.transform.derivation import Derivation
from goaime_migrate.transform.insertion import InsertStep, place_id
from goaime_migrate.transform.probe import check_declared_fields, combine, require_filters
from goaime_migrate.transform.step import Step
from goaime_migrate.up import parallel_scan
from goaime_migrate.up.capable import require_capable, require_lookups
from goaime_migrate.up.derived_tail import DerivedReconciliation
from goaime_migrate.up.duplicates_tail import DuplicatesReconciliation
from goaime_migrate.up.tail import Reconciliation, Tail
from goaime_migrate.up.walk import Walk
from goaime_migrate.up.whole import reads_all

_TOGETHER = 4
"""Records of what was worked out beforehand that are put in one go."""


def open_pass(
    run: Run, steps: Sequence[Step], pins: Sequence[tuple[str, int, str]], canary: Filter | None
) -> PassRecord:
    """A new pass, pinned as the collection is now. Reads only.

    Raises UndeclaredField, MissingCapability, Interrupted, LeaseLost, and what `require_filters` does.
    """
    backend, collection, where = run.backend, steps[0].collection, steps[0].where
    for name in dict.fromkeys((collection, steps[0].writes)):
        require_capable(backend, name)
    require_lookups(backend, steps)
    require_filters(backend, steps, canary)
    listed = steps[0].documents if isinstance(steps[0], InsertStep) else None
    now = backend.now()
    identity = f"{pins[0][0]}-{pins[-1][0]}-{uuid.uuid4().hex[:8]}"
    record = PassRecord(
        id=identity,
        collection=collection,
        steps=tuple(pins),
        level=len(pins),
        finished=False,
        settled=_is_settled(backend, steps, combine(where, canary), now),
        total=backend.count(collection, where) if listed is None else len(listed),
        upper=backend.last_id(collection) if listed is None else place_id(len(listed) - 1),
        canary=None if canary is None else raw_bson.encode(dict(canary)),
        filtered=where is not None,
        reverses=(reverses := tuple(step.reverse is not None for step in steps)),
        complete=any(reverses) or not (where or steps[0].deletes or steps[0].inserts),
        started_at=now,
        run_at=now,
        since=backend.operation_time() if listed is None else None,
        bounds=partitions.bounds(backend, steps, run.check),
        target=None if steps[0].writes == collection else steps[0].writes,
        created=steps[0].inserts and steps[0].writes not in backend.collections(),
    )
    return pin(record, backend.origin())


def matches(backend: CollectionReader, steps: Sequence[Step], canary: Filter) -> bool:
    """Whether a canary has any document to try. What is wrong with the filter itself is for `open_pass` to say."""
    with suppress(MigrateError):
        require_filters(backend, steps, canary)
        return backend.count(steps[0].collection, combine(steps[0].where, canary), limit=1) > 0
    return True


def _is_settled(
    backend: CollectionReader, steps: Sequence[Step], where: Filter | None, began: datetime
) -> bool:
    """Whether applying the chain to its own results changes nothing, on the first documents of the collection.

    On the way, steps that declare `fields` are held to it. Documents that cannot be migrated are left to the walk.
    """
    if any(step.pipeline or step.deletes or step.inserts for step in steps):
        return False
    documents = backend.documents(steps[0].collection, where=where, limit=FIRST, max_bytes=BATCH_BYTES)
    chain = chain_of("probe", steps, began=began, freeze=False)
    try:
        results = check_declared_fields(chain, backend, documents)
        again = chain.run(backend, results).changed  # by one step, perhaps, and back by the next
        return all(changed.before == changed.after for changed in again)
    except (UndeclaredField, NotPure):
        raise
    except MigrationFailed:
        return False


def walk_of(run: Run, record: PassRecord, steps: Sequence[Step]) -> Walk:
    """The walk over a pass, as each of its workers walks it."""
    fields = projection.carried(steps, run.backend.capabilities, record.total or 0)
    chain = chain_of(record.id, steps, began=record.started_at)
    chain.tables.bounded = True
    if any(step.looked_up for step in steps):
        chain.tables.note_collections(run.backend.collections())
    return Walk(run, record, chain, steps[0].where, fields)


def _reconciliation(chain: Chain) -> type[Reconciliation]:
    """What its tail does."""
    match chain:
        case Deduplication():
            return DuplicatesReconciliation
        case Derivation():
            return DerivedReconciliation
    return Reconciliation


@dataclass
class Pass:
    """A pass being walked by this run."""

    run: Run
    record: PassRecord
    steps: Sequence[Step]
    pool: Pool
    before: PassCounts | None = None
    """What earlier runs have done."""
    watched: Timestamp | None = None
    """The cluster time up to which it has seen to what others wrote, once it is at its end."""

    def walk(self, *, canary_only: bool) -> PassCounts:
        """Walk to the end; what all runs together have done. Raises MigrationFailed, Interrupted, LeaseLost."""
        created.create(self.run, self.record)
        identity, self.before = self._identity(), self.counts()
        walk = walk_of(self.run, self.record, self.steps)
        self._prepare(walk.chain)
        tail = Tail(walk, _reconciliation(walk.chain))
        if self.record.bounds and not canary_only:
            adopt(self.run, partitions.partitions_left(self.run.backend, self.record), self.run.sessions)
        else:
            tail.start()
        try:
            self._stages(walk, tail, canary_only=canary_only)
        finally:
            tail.stop()
        if any(was not in (None, now) for was, now in zip(identity, self._identity(), strict=True)):
            raise CollectionChanged(
                "a collection was dropped, renamed or replaced while it was being migrated",
                version=self.record.versions[-1],
                hint=Hint("bring the collection back, then: {}; or: {}", UP, DOWN),
            )
        return self.counts()

    def _prepare(self, chain: Chain) -> None:
        """What has to be known before the walk: worked out and kept with a new pass, of another what is kept."""
        tables, backend, total = chain.tables, self.run.backend, self.record.total or 0
        if self.record.committed:
            tables.thaw_whole(backend)
            tables.require_results()
            return
        if isinstance(chain, Deduplication):
            changes = chain.prepare(*reads_all(backend, chain.step))
            for start in range(0, len(changes), _TOGETHER):
                self.run.record(*changes[start : start + _TOGETHER])
        tables.freeze_results(backend, self.run.record)
        if whole := tables.freeze_small(backend, total):
            self.run.record(*whole)

    def _identity(self) -> list[bytes | None]:
        """What tells the collections that are read and written from others of their names."""
        known = self.run.backend.collections()
        names = dict.fromkeys((self.record.collection, self.record.writes))
        return [known[name].uuid if name in known else None for name in names]

    def _stages(self, walk: Walk, tail: Tail, *, canary_only: bool) -> None:
        canary: Filter | None = raw_bson.decode(self.record.canary) if self.record.canary else None
        where = walk.where
        if canary is not None:
            walk.where = combine(where, canary)
            walk.alone(new_partition(self.record, Kind.CANARY, upto=self.record.upper))
        if canary_only:
            return
        walk.where, walk.revisits = where, canary is not None
        walk.progress.start()
        if self.record.bounds:
            self._scan_together(walk, tail)
        else:
            walk.alone(new_partition(self.record, Kind.SCAN))
        if not isinstance(walk.chain.steps[0], InsertStep):  # what it has walked over nobody else can change
            tail.finish()
            self.watched = tail.watched

    def _scan_together(self, walk: Walk, tail: Tail) -> None:
        """Walk the partitions that are left, together with others.

        The stream of what applications write leaves out what workers write: it opens when their sessions are known. It
        begins where the pass has begun, whenever that is.
        """
        known = partitions.stored_partitions(self.run.backend, self.record)
        walk.progress.start(known)
        left = [partition.position.number for partition in known if not partition.done]
        self.pool.do(parallel_scan.ParallelScan(walk, tail.start), left)

    def by_this_run(self, counts: PassCounts) -> PassCounts:
        """What this run has done of what all together have."""
        return counts if self.before is None else counts.since(self.before)

    def counts(self) -> PassCounts:
        """What all runs together have done."""
        versions = [version for version, _, _ in self.record.steps]
        total = PassCounts(versions)
        walked = {"pass": self.record.id, "kind": "partition"}
        for record in self.run.backend.find(PROGRESS, walked, sort=[("_id", 1)]):
            total.add(PassCounts.read(versions, record["tally"]))
        return total


def finish(backend: Reader, record: PassRecord, watched: Timestamp | None) -> PassRecord:
    """The pass after its walk, with what its partitions have put into the journal."""
    written = passes.written(backend, record)
    return replace(record, finished=True, committed=True, written=written, watched=watched)
