"""One collection while it is swept: what is looked at, and the units of work in which documents are brought forward."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from bson import Timestamp

from goaime_migrate import ledger
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import PROGRESS, TAIL, Delete, Origin, Put, Reader
from goaime_migrate.errors import Contended, MigrationFailed
from goaime_migrate.errors.hint import Command, Hint
from goaime_migrate.events import BatchCommitted, Notice, StageFinished, StageStarted
from goaime_migrate.ledger import PassRecord
from goaime_migrate.run import collector, reading
from goaime_migrate.run.checkpoint import Result, Try, Unit, adopt, commit, reread
from goaime_migrate.run.collector import Collector, HistoryGone
from goaime_migrate.run.effects import AppliedChain
from goaime_migrate.run.origin import why_moved
from goaime_migrate.run.pacing import LARGEST, Pacing
from goaime_migrate.run.partitions import Partition, Range, sweeping_partition
from goaime_migrate.run.run import Run
from goaime_migrate.sweep.counts import SweepCounts
from goaime_migrate.sweep.deciding import Decider
from goaime_migrate.sweep.portion import Portion, Swept

_ALL = "every document"
_SCANS = 20
"""How often a collection is looked at as a whole, because history was lost meanwhile, before the sweep gives up."""


def passes_of(chain: AppliedChain) -> list[PassRecord]:
    """The passes of a chain, in order, each once."""
    return list({link.record.id: link.record for link in chain.links if link.record is not None}.values())


def reaches_from(chain: AppliedChain, origin: Origin) -> Timestamp | None:
    """The cluster time from which on what was written is to be looked at; None where all of it is.

    Of a database that was restored since, the old one's time says nothing.
    """
    passes, name = passes_of(chain), chain.applied.collection
    times = [None if why_moved(record, origin, name) else record.watched for record in passes]
    known = [time for time in times if time is not None]
    return min(known) if len(known) == len(times) else None


class CollectionSweep:
    """A collection that this run sweeps."""

    def __init__(self, run: Run, chain: AppliedChain, superseded: frozenset[str]) -> None:
        self._run = run
        self._chain = chain
        self._name = chain.applied.collection
        self._passes = passes_of(chain)
        self._last = self._passes[-1].id
        self._decider = Decider(run.backend, chain, superseded, run.backend.now())
        self._parts: dict[str, Partition] = {}
        self._collector: Collector | None = None
        self._since: Timestamp | None = None
        self._opened: Timestamp | None = None
        self._seen, self._began = 0, time.monotonic()
        self.counts = SweepCounts(chain)

    @property
    def followed(self) -> bool:
        """Whether what others write is told as it comes."""
        return self._collector is not None

    def start(self) -> None:
        """Begin to collect what others write. Every session in which this run may write is known by then."""
        fresh = [sweeping_partition(record) for record in self._passes]
        self._parts = {p.pass_id: p for p in adopt(self._run, fresh, self._run.sessions)}
        self._since = reaches_from(self._chain, self._run.backend.origin())
        self._opened = self._run.backend.operation_time()
        total = None if self._since else self._run.backend.count(self._name)
        self._run.emit(StageStarted("sweep", self.counts.versions, self._name, total))
        if self._since is not None:
            self._collect(self._since)
        if self._collector is None or self._since is None:
            self._since = None
            self._collect_from_now()
        looks = (
            f"what was written since {self._since.as_datetime():%Y-%m-%d %H:%M:%S} UTC"
            if self._since
            else _ALL
        )
        self._run.emit(Notice(f"{self._name}: {looks} is looked at"))

    def _collect(self, since: Timestamp | None) -> None:
        """What this sweep writes, or the one before it has written, is nothing to look at."""
        walk, sessions = collector.sweeping(self._last), list(self._parts[self._last].sessions)
        self._collector = collector.start(self._run, self._name, walk, since, sessions, self._opened)

    def _collect_from_now(self) -> None:
        """What was collected before is looked at anyhow, with all else.

        Until that is done nothing counts as seen: what is collected from now on does not follow on what was.
        """
        self.stop()
        unseen = [replace(record, watched=None) for record in self._passes if record.watched is not None]
        collected = Delete(TAIL, {"pass": collector.sweeping(self._last)})
        self._run.record(*map(ledger.put_pass, unseen), collected)
        self._collect(self._run.backend.operation_time())

    def stop(self) -> None:
        """Stop collecting, whatever has happened."""
        if self._collector is not None:
            self._collector.stop()

    def catch_up(self) -> None:
        """Look at everything that has been written up to now. Raises Interrupted, LeaseLost, Contended."""
        for _ in range(_SCANS):
            try:
                if self._since is None:
                    self._look_at_all()
                for ids in self._collector.rounds(self._run) if self._collector else ():
                    self._look_at(ids)
            except HistoryGone as gone:
                self._lost(gone)
            else:
                return
        raise Contended(
            f"history of {self._name} is lost faster than it can be looked at",
            version=self.counts.versions[-1],
            hint=Hint("try again at a quieter moment: {}", Command(("sweep",))),
        )

    def _lost(self, gone: HistoryGone) -> None:
        self._run.emit(Notice(f"{self._name}: {gone}; {_ALL} is looked at"))
        self._since = None
        self._collect_from_now()

    def follow(self) -> int:
        """Look at what has come since the last time; how many documents were brought forward.

        Without change streams everything is looked at again. Raises as `catch_up` does.
        """
        before = sum(self.counts.changed.values())
        try:
            if self._collector is None:
                self._look_at_all()
            else:
                self._look_at(self._collector.portion(self._run))
        except HistoryGone as gone:
            self._lost(gone)
            self.catch_up()
        return sum(self.counts.changed.values()) - before

    def note(self) -> None:
        """Record how far others' writes have been seen to: the next sweep begins there. Raises LeaseLost.

        What was collected beyond that stays. The next sweep reads on behind the last of it, and so misses nothing.
        While documents are left that could not be brought forward, no time counts as seen: not every sweep, nor what
        looks without sweeping, reads what is kept of them.
        """
        position = self._collector.caught_up if self._collector else None
        if position is None:
            return
        left = self.counts.left
        if not left:
            self._passes = [replace(record, watched=position.at) for record in self._passes]
        passes = [] if left else map(ledger.put_pass, self._passes)
        self._run.record(*passes, *collector.forget_seen(collector.sweeping(self._last), position, left))

    def close(self) -> None:
        """Record that it is over. Raises LeaseLost."""
        self.note()
        mine = tuple(self._run.sessions)
        over = [replace(part, done=True, sessions=mine) for part in self._parts.values()]
        self._run.record(*(Put(PROGRESS, part.record()) for part in over))
        changed = max(self.counts.changed.values(), default=0)
        took = time.monotonic() - self._began
        self._run.emit(StageFinished("sweep", self.counts.versions, self._name, self._seen, changed, took))

    # documents

    def _look_at_all(self) -> None:
        for batch in reading.batches(self._run.backend, self._name):
            self._sweep(batch)

    def _look_at(self, ids: Sequence[bytes]) -> None:
        ordered = sorted(ids, key=id_key)
        for start in range(0, len(ordered), LARGEST):
            self._sweep(self._run.backend.by_ids(self._name, ordered[start : start + LARGEST]))

    def _sweep(self, documents: Sequence[bytes]) -> None:
        """Bring forward those of these documents that are in an old shape."""
        self._run.check()
        effects = self._chain.effects(self._run.backend, documents)
        self.counts.look(effects)
        self._bring_forward([effect.id for effect in effects if effect.is_old])
        self._seen += len(documents)
        self._run.emit(BatchCommitted(self.counts.versions, self._seen, None))

    def _bring_forward(self, ids: Sequence[bytes]) -> None:
        """In units of work. What the database does not take of a document is noted, and the others go on."""
        pace = Pacing(self._run.options.batch_size or LARGEST, LARGEST)
        while ids:
            try:
                done = self._unit(ids, pace)
            except MigrationFailed as error:
                named = self._document_named(ids, error)
                self.counts.refuse(named, error)
                ids = [identity for identity in ids if identity != named]
            else:
                self.counts.decide(done.found.decided)
                ids = ids[done.documents :]

    def _unit(self, ids: Sequence[bytes], pace: Pacing) -> Result[Range, Swept]:
        at = self._parts[self._last]
        below = {name: part for name, part in self._parts.items() if name != self._last}
        portion = Portion(self._chain, self._decider, below)

        def plan(reader: Reader, this: Try) -> Unit[Range, Swept]:
            return portion.plan(reader, at, ids[: this.size], this)

        done = commit(self._run, at, plan, pace, self.counts.versions[-1])
        self._parts |= {**done.found.partitions, self._last: done.next}
        if done.replied:
            self._chain.commit()
        else:
            self._chain.rollback()
            self._parts = {name: reread(self._run, part) for name, part in self._parts.items()}
        return done

    def _document_named(self, ids: Sequence[bytes], error: MigrationFailed) -> bytes:
        """The document that an error is about. Raises the error where it is about none of these."""
        wanted = raw_bson.encode({"_id": error.id})
        for identity in ids:
            if error.id is not None and raw_bson.encode({"_id": raw_bson.id_value(identity)}) == wanted:
                return identity
        raise error
