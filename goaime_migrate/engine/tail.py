"""The tail of a pass: what others wrote while it walked, looked at again until nothing is left behind.

A collector reads the change stream during the walk, since the walk itself may push the oplog round; it stores ids
and never acts. After the walk the ids are reconciled with the journal, in batches like any other. Where history was
lost, or there are no change streams, the whole collection is swept until a sweep finds nothing to do.
"""

from __future__ import annotations

import threading
import time
import uuid
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bson import Timestamp

from goaime_migrate.backends import raw
from goaime_migrate.backends.base import (
    JOURNAL,
    PROGRESS,
    TAIL,
    Changes,
    Collision,
    Delete,
    GuardFailed,
    Move,
    Reader,
)
from goaime_migrate.backends.base import Write as DocumentWrite
from goaime_migrate.backends.feed import CollectionGone, Feed, HistoryLost
from goaime_migrate.backends.ordering import id_key
from goaime_migrate.engine import journal, reconcile, scan
from goaime_migrate.engine.chain import BatchResult
from goaime_migrate.engine.journal import Entry, Kind, Segment
from goaime_migrate.engine.passes import Partition, Walk, new_partition
from goaime_migrate.engine.tally import Tally
from goaime_migrate.errors import CollectionChanged, Conflicts, Contended, MigrateError
from goaime_migrate.ledger import FORMAT, PassRecord
from goaime_migrate.lock import Lease

_BATCH = 500
_SHRINKING = 0.75
_PATIENCE = 30
"""How often a single document is tried before the run gives up."""
_SWEEPS = 20


class Collector(threading.Thread):
    """Reads the feed while the pass walks; stores what it reads."""

    def __init__(self, feed: Feed, lease: Lease, pass_id: str, since: Timestamp) -> None:
        super().__init__(name="tail", daemon=True)
        self._feed = feed
        self._lease = lease
        self._pass = pass_id
        self._run = uuid.uuid4().hex
        self._enough = threading.Event()
        self._lock = threading.Lock()
        self._ids: dict[bytes, None] = {}
        self._stored = 0
        self.at = since
        """The cluster time up to which everything has been collected."""
        self.failure: Exception | None = None

    def run(self) -> None:
        """Collect until told that it is enough."""
        try:
            while not self._enough.is_set():
                self._portion()
        except (HistoryLost, CollectionGone, MigrateError) as error:
            self.failure = error
        finally:
            self._feed.close()

    def _portion(self) -> None:
        portion = self._feed.read()
        self._lease.check()  # whoever was frozen too long leaves no record behind
        with self._lock:
            fresh = [i for i in portion.ids if i not in self._ids]
            self._ids |= dict.fromkeys(portion.ids)
        if fresh:
            self._stored += 1
            self._feed.store(
                {
                    "_id": f"{self._pass}/{self._run}/{self._stored:08d}",
                    "format": FORMAT,
                    "pass": self._pass,
                    "at": portion.at,
                    "token": portion.token,
                    "ids": b"".join(fresh),
                }
            )
        self.at = max(self.at, portion.at)

    def taken(self) -> list[bytes]:
        """The ids collected since the last call."""
        with self._lock:
            ids, self._ids = list(self._ids), {}
        return ids

    def stop(self) -> None:
        """Stop reading."""
        self._enough.set()
        if self.is_alive():
            self.join(timeout=10)


@dataclass
class Tail:
    """The last part of a pass."""

    walk: Walk
    collector: Collector | None = None
    _left_over: list[bytes] = field(default_factory=list)
    """What earlier runs of this pass have collected."""
    _uptos: list[tuple[Any, str]] = field(default_factory=list)
    _last: str | None = None
    _conflicts: list[tuple[bytes, tuple[str, ...]]] = field(default_factory=list)
    _tail: Partition | None = None
    until: Any = None
    """The cluster time up to which everything was migrated."""

    @property
    def _record(self) -> PassRecord:
        return self.walk.record

    def start(self) -> None:
        """Begin to collect. Called before the first document is read."""
        backend = self.walk.runner.backend
        if self._record.since is None:
            return
        stored = backend.find(
            TAIL, {"pass": self._record.id}, sort=[("at", -1)], limit=1, fields=["token", "at"]
        )
        token = stored[-1]["token"] if stored else None
        feed = backend.feed(self._record.collection, self._record.since, token, self._sessions())
        if feed is not None:
            self.collector = Collector(feed, self.walk.runner.lease, self._record.id, self._record.since)
            self.collector.start()

    def _sessions(self) -> list[Any]:
        """Every session that this pass has ever written in, this run's own included."""
        backend = self.walk.runner.backend
        parts = backend.find(PROGRESS, {"pass": self._record.id, "kind": "partition"})
        own = backend.session_id()
        return [s for part in parts for s in part["lsids"]] + ([] if own is None else [own])

    def stop(self) -> None:
        """Stop collecting, whatever has happened."""
        if self.collector is not None:
            self.collector.stop()

    def finish(self) -> None:
        """Migrate what was written behind the walk. Raises Conflicts, CollectionChanged and what a walk raises."""
        backend = self.walk.runner.backend
        if not backend.capabilities.leases:
            return  # nobody else can have written
        self._tail = self.walk.adopted(new_partition(self._record, Kind.TAIL))
        self._index()
        try:
            if self.collector is None:
                self._sweep_until_clean()
            else:
                self._drain(self.collector)
        finally:
            self.stop()
        self._refuse_conflicts()
        self._tail = self.walk.closed(self._tail)

    def _drain(self, collector: Collector) -> None:
        """Round after round: everything up to now, until a round is as small as one batch or rounds grow no smaller.

        What is written after the last round's beginning counts as born after the migration.
        """
        previous = None
        while True:
            if not self._caught_up(collector):
                self._sweep_until_clean()
                return
            ids = [*self._left_over, *collector.taken()]
            self._left_over = []
            self._reconcile(ids)
            if len(ids) <= _BATCH or (previous is not None and len(ids) > _SHRINKING * previous):
                return
            previous = len(ids)

    def _caught_up(self, collector: Collector) -> bool:
        """Wait until the collector has seen everything up to now; False where history was lost."""
        now = self.until = self.walk.runner.backend.operation_time()
        while collector.at < now and collector.failure is None:
            self.walk.runner.check()
            time.sleep(0.02)
        if isinstance(collector.failure, CollectionGone):
            raise CollectionChanged(
                f"{self._record.collection} was dropped or renamed while it was being migrated",
                version=self._record.versions[-1],
                hint="bring the collection back, then: goaime-migrate up; or: goaime-migrate down",
            )
        if isinstance(collector.failure, MigrateError):
            raise collector.failure
        return collector.failure is None

    def _sweep_until_clean(self) -> None:
        """Look at every document until a whole sweep has next to nothing to do.

        What is written after the last sweep's beginning counts as born after the migration.
        """
        for _ in range(_SWEEPS):
            written = 0
            for batch in scan.batches(self.walk.runner.backend, self._record.collection, self.walk.where):
                written += self._reconcile([raw.id_of(document) for document in batch])
            if written <= _BATCH:
                return
        raise Contended(
            "the application writes faster than the collection can be looked at again",
            version=self._record.versions[-1],
            hint="try again at a quieter moment: goaime-migrate up",
        )

    # one batch

    def _index(self) -> None:
        """Where each scanned range ends, in the order of `_id`s."""
        heads = self.walk.runner.backend.find(
            JOURNAL, journal.of_kind(self._record.id, Kind.SCAN), sort=[("_id", 1)], fields=["upto"]
        )
        self._uptos = [
            (id_key(bytes(head["upto"])), head["_id"][:-3]) for head in heads if head.get("upto") is not None
        ]
        self._last = next((h["_id"][:-3] for h in heads if "upto" in h and h["upto"] is None), None)

    def _key(self, identity: bytes) -> str | None:
        """The key of the segment in whose range an id lies; None beyond all ranges."""
        at = bisect_left(self._uptos, (id_key(identity), ""))
        return self._uptos[at][1] if at < len(self._uptos) else self._last

    def _reconcile(self, ids: Iterable[bytes]) -> int:
        """How many documents had to be written. Neighbours go together: they share segments of the journal."""
        ordered = sorted(ids, key=id_key)
        return sum(self._batch(ordered[start : start + _BATCH]) for start in range(0, len(ordered), _BATCH))

    def _scanned(self, ids: Sequence[bytes]) -> _Known:
        """What the walk did with these documents. Its segments do not change any more."""
        wanted = set(ids)
        known = _Known({}, set())
        for key in dict.fromkeys(map(self._key, ids)):
            segment = journal.read(self.walk.runner.backend, key) if key else None
            if segment is not None:
                known.entries.update((e.id, e) for e in segment.entries if e.id in wanted)
                known.unchanged.update(wanted.intersection(segment.unchanged))
        return known

    def _batch(self, ids: Sequence[bytes]) -> int:
        runner, collisions = self.walk.runner, 0
        known = self._scanned(ids)
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
                if collisions > _PATIENCE:
                    raise self.walk.contended(ids[0], error) from error
                continue
            if not committed.missed:
                self.walk.committed(attempt.tally)
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
                id=raw.id_value(identity),
                field=fields[0] if fields else None,
                hint="put these documents right, then: goaime-migrate up; or take it back: goaime-migrate down",
            )


@dataclass(frozen=True)
class _Known:
    """Journal entries by id, and the ids that were examined and left alone."""

    entries: dict[bytes, Entry]
    unchanged: set[bytes]


class _Attempt:
    """One batch of the tail, as often as it has to be tried."""

    def __init__(self, walk: Walk, tail: Partition, known: _Known, ids: Sequence[bytes]) -> None:
        self._walk = walk
        self._before = tail
        self._known = known
        self._ids = ids
        self.next = tail
        self.written = 0
        self.tally = tail.tally
        self.conflicts: list[tuple[bytes, tuple[str, ...]]] = []

    def work(self, reader: Reader) -> Changes:
        """Read the documents, hold them against the journal, and say what to change."""
        walk, before = self._walk, self._before
        walk.chain.tables.rollback()
        segment = Segment(before.pass_id, Kind.TAIL, 0, before.seq + 1, level=len(walk.chain.steps))
        earlier = journal.read(reader, segment.key)
        kept = () if earlier is None else earlier.entries
        later = journal.entries_of(reader, before.pass_id, self._ids)
        entries = {**self._known.entries, **later, **{entry.id: entry for entry in kept}}
        documents = reader.by_ids(walk.record.collection, self._ids, walk.where)
        result = walk.chain.run(reader, list(self._to_transform(documents, entries)))
        self.tally = _recounted(result, entries, self._known.unchanged)
        self.written = len(result.changed)
        fresh = tuple(Entry.of(c.before, c.after) for c in result.changed)
        tally = before.tally.copy()
        tally.add(self.tally)
        self.next = replace(before, seq=before.seq + 1, tally=tally)
        guard = {"_id": before.id, "fence": walk.runner.lease.fence, "seq": before.seq}
        journaled = replace(segment, entries=(*kept, *fresh))
        return Changes(
            first=[*result.frozen, *(journaled.puts() if journaled.entries else [])],
            collection=walk.record.collection,
            writes=[DocumentWrite(c.id, c.before, c.after) for c in result.changed],
            last=(Move(PROGRESS, guard, self.next.position()),),
        )

    def _to_transform(self, documents: Iterable[bytes], entries: dict[bytes, Entry]) -> Iterator[bytes]:
        self.conflicts = []
        for document in documents:
            entry = entries.get(raw.id_of(document))
            verdict = reconcile.forward(document, entry, settled=bool(self._walk.record.settled))
            if verdict is reconcile.Forward.TRANSFORM:
                yield document
            elif verdict is reconcile.Forward.CONFLICT and entry is not None:
                self.conflicts.append((entry.id, tuple(entry.fields)))


def _recounted(result: BatchResult, entries: Container[bytes], seen: Container[bytes]) -> Tally:
    """The counts of a batch of the tail, in which no document counts twice."""
    tally = Tally(result.tally.versions)
    tally.warnings = result.tally.warnings
    for changed in result.changed:
        if changed.id not in entries:
            tally.count(changed.touched)
            tally.examined -= changed.id in seen
    for identity in result.unchanged:
        tally.examined += identity not in entries and identity not in seen
    return tally


def forget(pass_id: str) -> Delete:
    """The change that removes what was collected for a pass."""
    return Delete(TAIL, {"pass": pass_id})
