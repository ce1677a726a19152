"""A pass from its opening to its end: probe, canary, scan, tail."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import (
    PROGRESS,
    Catalogue,
    CollectionInfo,
    CollectionReader,
    Filter,
    Reader,
)
from goaime_migrate.errors import (
    CollectionChanged,
    MigrateError,
    MigrationFailed,
    MissingCapability,
    NotPure,
    UndeclaredField,
)
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.journal.segments import Kind
from goaime_migrate.ledger import PassRecord, passes
from goaime_migrate.run import partitions
from goaime_migrate.run.checkpoint import adopt
from goaime_migrate.run.origin import pin
from goaime_migrate.run.pacing import BATCH_BYTES, FIRST
from goaime_migrate.run.partitions import new_partition
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import Pool
from goaime_migrate.transform import projection
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.lookups import joined
from goaime_migrate.transform.pipeline import chain_of
from goaime_migrate.transform.probe import check_declared_fields, combined, require_filters
from goaime_migrate.transform.step import Step
from goaime_migrate.up import parallel_scan
from goaime_migrate.up.tail import Tail
from goaime_migrate.up.walk import Walk

_LARGE = 1_000
"""From so many documents on it pays to read small looked-up collections as a whole beforehand."""
_KINDS = {
    "view": "a view has no documents of its own",
    "timeseries": "time-series documents cannot be replaced",
}


def open_pass(
    run: Run, steps: Sequence[Step], pins: Sequence[tuple[str, int, str]], canary: Filter | None
) -> PassRecord:
    """A new pass, pinned as the collection is now. Reads only.

    Raises UndeclaredField, MissingCapability, Interrupted, LeaseLost, and what `require_filters` does.
    """
    backend, collection, where = run.backend, steps[0].collection, steps[0].where
    require_capable(backend, collection)
    require_lookups(backend, steps)
    require_filters(backend, steps, canary)
    identity = f"{pins[0][0]}-{pins[-1][0]}-{uuid.uuid4().hex[:8]}"
    record = PassRecord(
        id=identity,
        collection=collection,
        steps=tuple(pins),
        level=len(pins),
        finished=False,
        settled=_is_settled(backend, steps, combined(where, canary)),
        total=backend.count(collection, where),
        upper=backend.last_id(collection),
        canary=None if canary is None else raw_bson.encode(dict(canary)),
        filtered=where is not None,
        reverses=(reverses := tuple(step.reverse is not None for step in steps)),
        complete=any(reverses) or where is None,
        started_at=(now := backend.now()),
        run_at=now,
        since=backend.operation_time(),
        bounds=partitions.bounds(backend, collection, run.check),
    )
    return pin(record, backend.origin())


def matches(backend: CollectionReader, steps: Sequence[Step], canary: Filter) -> bool:
    """Whether a canary has any document to try. What is wrong with the filter itself is for `open_pass` to say."""
    with suppress(MigrateError):
        require_filters(backend, steps, canary)
        return backend.count(steps[0].collection, combined(steps[0].where, canary), limit=1) > 0
    return True


def require_capable(backend: Catalogue, collection: str) -> None:
    """Refuse a collection whose documents cannot be replaced one by one. Raises MissingCapability."""
    info = backend.collections().get(collection)
    if info is None:
        return
    reason = _KINDS.get(info.kind)
    if info.options.get("capped"):
        reason = "documents of a capped collection cannot grow"
    if info.options.get("collation", {}).get("locale", "simple") != "simple":
        reason = "its collation orders _ids in a way of its own"
    if reason:
        raise MissingCapability(
            f"{collection} cannot be migrated: {reason}",
            hint="migrate the collection behind it, or copy it to an ordinary one in a plain up(db)",
        )


def require_lookups(backend: Catalogue, steps: Sequence[Step]) -> None:
    """Refuse to look into a view of the collection that is written: what it shows changes with every batch.

    Raises MissingCapability.
    """
    lookups = [lookup for step in steps for lookup in step.looked_up.values()]
    looked_up = {lookup.collection for lookup in lookups if lookup.pipeline is None}
    if not looked_up - {steps[0].collection}:
        return
    known = backend.collections()
    for name in sorted(looked_up):
        if steps[0].collection in _seen_through(known, name):
            raise MissingCapability(
                f"the lookup into {name!r} sees {steps[0].collection!r}, which the same pass writes, through a view",
                version=steps[0].version,
                hint=f"look into {steps[0].collection!r} itself: that gives the state before the pass",
            )


def _seen_through(known: Mapping[str, CollectionInfo], name: str) -> set[str]:
    """The collections that a view shows documents of, through other views too; none for what is no view."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        info = known.get(waiting.pop())
        if info is not None and info.kind == "view":
            below = {info.options["viewOn"], *joined(info.options.get("pipeline", ()))} - seen
            seen |= below
            waiting += below
    return seen


def _is_settled(backend: CollectionReader, steps: Sequence[Step], where: Filter | None) -> bool:
    """Whether applying the chain to its own results changes nothing, on the first documents of the collection.

    On the way, steps that declare `fields` are held to it. Documents that cannot be migrated are left to the walk.
    """
    if any(step.pipeline for step in steps):
        return False
    documents = backend.documents(steps[0].collection, where=where, limit=FIRST, max_bytes=BATCH_BYTES)
    chain = chain_of("probe", steps, began=backend.now(), freeze=False)
    try:
        results = check_declared_fields(chain, backend, documents)
        return not chain.run(backend, results).changed
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


@dataclass
class Pass:
    """A pass being walked by this run."""

    run: Run
    record: PassRecord
    steps: Sequence[Step]
    pool: Pool
    before: PassCounts | None = None
    """What earlier runs have done."""

    def walk(self, *, canary_only: bool) -> PassCounts:
        """Walk to the end; what this run did. Raises MigrationFailed, Interrupted, LeaseLost."""
        identity, self.before = self._identity(), self.counts()
        walk = walk_of(self.run, self.record, self.steps)
        total = self.record.total or 0
        if self.record.committed:
            walk.chain.tables.thaw_whole(self.run.backend)
            walk.chain.tables.require_results()
        else:
            walk.chain.tables.freeze_results(self.run.backend, self.run.record)
        if not self.record.committed and total >= _LARGE:
            self.run.record(*walk.chain.tables.freeze_small(self.run.backend, total))
        tail = Tail(walk)
        if self.record.bounds and not canary_only:
            adopt(self.run, partitions.left(self.run.backend, self.record), self.run.sessions)
        else:
            tail.start()
        try:
            self._stages(walk, tail, canary_only=canary_only)
        finally:
            tail.stop()
        if identity is not None and self._identity() != identity:
            raise CollectionChanged(
                "the collection was dropped, renamed or replaced while it was being migrated",
                version=self.record.versions[-1],
                hint=Hint("bring the collection back, then: {}; or: {}", UP, DOWN),
            )
        return self.by_this_run(self.counts())

    def _identity(self) -> bytes | None:
        info = self.run.backend.collections().get(self.record.collection)
        return None if info is None else info.uuid

    def _stages(self, walk: Walk, tail: Tail, *, canary_only: bool) -> None:
        canary: Filter | None = raw_bson.decode(self.record.canary) if self.record.canary else None
        where = walk.where
        if canary is not None:
            walk.where = combined(where, canary)
            walk.alone(new_partition(self.record, Kind.CANARY, upto=self.record.upper))
        if canary_only:
            return
        walk.where, walk.revisits = where, canary is not None
        walk.progress.start()
        if self.record.bounds:
            self._scan_together(walk, tail)
        else:
            walk.alone(new_partition(self.record, Kind.SCAN))
        tail.finish()

    def _scan_together(self, walk: Walk, tail: Tail) -> None:
        """Walk the partitions that are left, together with others.

        The feed of what applications write leaves out what workers write: it opens when their sessions are known. It
        begins where the pass has begun, whenever that is.
        """
        known = partitions.stored(self.run.backend, self.record)
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


def finish(backend: Reader, record: PassRecord) -> PassRecord:
    """The pass after its walk, with what its partitions have put into the journal."""
    return replace(record, finished=True, committed=True, written=passes.written(backend, record))
