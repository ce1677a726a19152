"""Taking a pass back, from its journal, to the level where only its first `target` steps are in effect.

Segments are taken in the reverse of the order in which they were written. In one unit of work a segment's documents
are restored and the segment is stored anew at the lower level: what a segment says is always true of its documents,
so that a restore that was cut off goes on, and a later `down` (or `up`) is exact again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from goaime_migrate.backends import raw
from goaime_migrate.backends.base import (
    PROGRESS,
    Changes,
    Collision,
    GuardFailed,
    Move,
    Put,
    Reader,
    RecordChange,
)
from goaime_migrate.engine import born, collector, journal, pacing
from goaime_migrate.engine.aftermath import Aftermath
from goaime_migrate.engine.chain import Chain
from goaime_migrate.engine.journal import Kind
from goaime_migrate.engine.judge import Judge, Outcome, lowered
from goaime_migrate.engine.runner import Runner
from goaime_migrate.errors import Contended, DuplicateKey
from goaime_migrate.events import BatchCommitted
from goaime_migrate.ledger import FORMAT, PassRecord
from goaime_migrate.results import Document


def segment_keys(reader: Reader, pass_id: str) -> list[str]:
    """The keys of a pass's segments in the order in which they are taken back: that of `up`, backwards.

    So a unique index that let every document forward lets it back again.
    """
    kinds = (Kind.TAIL, Kind.SCAN, Kind.CANARY)
    return [key for kind in kinds for key in reversed(journal.keys(reader, pass_id, kind))]


def preview(reader: Reader, record: PassRecord, judge: Judge) -> Outcome:
    """What `restore` would do; nothing is written."""
    total = Outcome()
    for key in segment_keys(reader, record.id):
        segment = journal.read(reader, key)
        if segment is not None:
            targets = judge.targets(reader, segment.entries)
            total.add(judge.documents(reader, segment.entries, targets)[1])
    total.born = born.count(reader, record)
    return total


@dataclass
class Restore:
    """A pass being taken back by this process."""

    runner: Runner
    record: PassRecord
    target: int
    judge: Judge
    versions: tuple[str, ...]
    reverse: Chain | None = None

    @property
    def _id(self) -> str:
        return f"{self.record.id}#down"

    def run(self) -> Outcome:
        """Restore all documents. Raises Interrupted, LeaseLost, Conflicts with all before recorded."""
        place = self._adopt()
        watching = collector.started(
            self.runner, self.record.collection, self._id, place.since, self._sessions()
        )
        try:
            total, place = self._segments(place)
            if self.target == 0:
                seq = Aftermath(self.runner, self.record, self._id, place.seq, watching).run()
                place = replace(place, seq=seq)
        finally:
            if watching is not None:
                watching.stop()
        if self.reverse is not None:
            total.born = born.Reversal(
                self.runner, self.record, self.reverse, self.target, self._id, place.seq
            ).run()
        else:
            total.born = born.count(self.runner.backend, self.record)
        return total

    def _segments(self, place: _Place) -> tuple[Outcome, _Place]:
        """Take back one segment after the other."""
        total, done = Outcome(), 0
        for key in segment_keys(self.runner.backend, self.record.id):
            while True:
                self.runner.check()
                attempt = self._some(key, place)
                place = attempt.next
                done += attempt.documents
                total.add(attempt.outcome)
                self.runner.emit(BatchCommitted(self.versions, done, self.total))
                self.runner.worked(attempt.documents)
                if place.key != key:
                    break
        return total, place

    def _sessions(self) -> list[Document]:
        """Every session in which this restore has ever written."""
        return [dict(s) for s in self.runner.partition(self._id)["lsids"]]

    @cached_property
    def total(self) -> int:
        """How many documents the journal holds."""
        return journal.count(self.runner.backend, self.record.id)

    def _adopt(self) -> _Place:
        """The restore's own progress record: it carries the fence for every unit of work."""
        backend = self.runner.backend
        session = backend.session_id()
        stored = backend.find(PROGRESS, {"_id": self._id})
        place = _Place(0, None, 0, backend.operation_time())
        if stored:
            place = _Place(*(stored[0][name] for name in ("seq", "key", "offset", "since")))
        earlier = stored[0]["lsids"] if stored else []
        self.runner.record(
            Put(
                PROGRESS,
                {
                    "_id": self._id,
                    "kind": "partition",
                    "format": FORMAT,
                    "pass": self.record.id,
                    "walk": "down",
                    "fence": self.runner.lease.fence,
                    "done": False,
                    "lsids": earlier if session is None else [*earlier, session],
                    **vars(place),
                },
            )
        )
        return place

    def _some(self, key: str, place: _Place) -> _Attempt:
        """Take a segment back, or as much of it as can be without colliding with the application."""
        size: int | None = None
        tries = 0
        refused: dict[bytes, tuple[str, ...]] = {}
        while True:
            attempt = _Attempt(self, key, place, size, refused)
            try:
                missed = self.runner.transact(attempt.work).missed
            except GuardFailed:
                if self.runner.partition(self._id)["seq"] == place.seq:
                    raise self.runner.fenced() from None
                return attempt
            except DuplicateKey as error:
                identity = attempt.identity(error)
                if identity is None or identity in refused:
                    raise
                refused[identity] = () if error.field is None else (error.field.partition(".")[0],)
                continue
            except Collision as error:
                size = max(1, attempt.documents // 2)
                tries += attempt.documents <= 1
                if tries >= pacing.PATIENCE:
                    raise self._contended(error) from error
                continue
            if not missed:
                return attempt

    def _contended(self, error: Collision) -> Contended:
        return Contended(
            f"the application keeps writing the same document: {error}",
            version=self.versions[-1],
            hint="try again at a quieter moment: goaime-migrate down",
        )


@dataclass(frozen=True)
class _Place:
    """How far a restore has come: within the segment `key`, the last `offset` entries are done."""

    seq: int
    key: str | None
    offset: int
    since: Any = None
    """The cluster time before the first of it, from which on others' writes are watched."""


class _Attempt:
    """One unit of work of a restore: `size` entries of a segment, or all that are left of it; the last come first."""

    def __init__(
        self,
        restore: Restore,
        key: str,
        place: _Place,
        size: int | None,
        refused: Mapping[bytes, tuple[str, ...]],
    ) -> None:
        self._restore = restore
        self._key = key
        self._place = place
        self._size = size
        self._refused = refused
        self._ids: list[bytes] = []
        self.next = replace(place, seq=place.seq + 1, key=None, offset=0)
        self.outcome = Outcome()
        self.documents = 0

    def identity(self, error: DuplicateKey) -> bytes | None:
        """The raw `_id` of the document that an error is about."""
        wanted = raw.encode({"_id": error.id})
        return next((i for i in self._ids if raw.encode({"_id": raw.id_value(i)}) == wanted), None)

    def work(self, reader: Reader) -> Changes:
        """Read a segment and its documents, and say what to change."""
        restore, place = self._restore, self._place
        segment = journal.read(reader, self._key)
        if segment is None or segment.level <= restore.target:
            self.next = replace(place, seq=place.seq + 1)
            return Changes(last=(self._move(),))
        stop = len(segment.entries) - (place.offset if place.key == self._key else 0)
        start = 0 if self._size is None else max(0, stop - self._size)
        entries, whole = segment.entries[start:stop], restore.judge.targets(reader, segment.entries)
        writes, self.outcome = restore.judge.documents(reader, entries, whole[start:stop], self._refused)
        self.documents = stop - start
        self._ids = [entry.id for entry in entries]
        puts: list[RecordChange] = []
        if start == 0:
            puts = lowered(segment, restore.target, whole).puts()
        else:
            self.next = replace(self.next, key=self._key, offset=len(segment.entries) - start)
        return Changes(
            collection=restore.record.collection,
            writes=writes[::-1],
            last=(*puts, self._move()),
            bypass_validation=True,
        )

    def _move(self) -> Move:
        restore = self._restore
        guard = {"_id": restore._id, "fence": restore.runner.lease.fence, "seq": self._place.seq}
        return Move(PROGRESS, guard, vars(self.next).copy())
