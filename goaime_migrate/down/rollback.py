"""Segments of a journal, taken back one after the other under one progress record.

In one unit of work a segment's documents are restored and the segment is stored anew at the lower level: what a
segment says is always true of its documents, so that a restore that was cut off goes on, and a later `down` (or `up`)
is exact again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import (
    PROGRESS,
    Changes,
    Collision,
    GuardFailed,
    Move,
    Reader,
    RecordChange,
)
from goaime_migrate.down.decisions import Decisions, Outcome, lowered
from goaime_migrate.errors import DuplicateKey
from goaime_migrate.journal import segments
from goaime_migrate.ledger import FORMAT, PassRecord
from goaime_migrate.results import Document
from goaime_migrate.run import pacing
from goaime_migrate.run.run import Run, contended


@dataclass(frozen=True)
class Place:
    """How far a strand has come: within the segment `key`, the last `offset` entries are done."""

    seq: int = 0
    key: str | None = None
    offset: int = 0
    since: Any = None
    """The cluster time before the first of it, from which on others' writes are watched."""
    documents: int = 0
    """How many have been seen to, by all runs."""

    @classmethod
    def read(cls, record: Document) -> Place:
        """The place from a stored progress record."""
        return cls(record["seq"], record["key"], record["offset"], record["since"], record["documents"])


def progress_record(
    identity: str, pass_id: str, fence: int, place: Place, lsids: Iterable[Document]
) -> Document:
    """The progress record of a strand: it carries the fence for every unit of work."""
    return {
        "_id": identity,
        "kind": "partition",
        "format": FORMAT,
        "pass": pass_id,
        "walk": "down",
        "fence": fence,
        "done": False,
        "lsids": list(lsids),
        **vars(place),
    }


@dataclass
class Rollback:
    """Takes segments back. `id` is that of its progress record."""

    runner: Run
    record: PassRecord
    target: int
    judge: Decisions
    versions: tuple[str, ...]
    id: str
    final: bool = True
    """Whether what a unique index refuses stays as it is, a conflict; else DuplicateKey is raised."""

    def through(self, keys: Iterable[str], place: Place, told: Callable[[Attempt], None]) -> Place:
        """Take back one segment after the other. Raises Interrupted, LeaseLost, Conflicts with all before recorded."""
        for key in keys:
            while True:
                self.runner.check()
                attempt = self._some(key, place)
                place = attempt.next
                told(attempt)
                self.runner.worked(attempt.documents)
                if place.key != key:
                    break
        return place

    def _some(self, key: str, place: Place) -> Attempt:
        """Take a segment back, or as much of it as can be without colliding with the application."""
        size: int | None = None
        tries = 0
        refused: dict[bytes, tuple[str, ...]] = {}
        while True:
            attempt = Attempt(self, key, place, size, refused)
            try:
                missed = self.runner.transact(attempt.work).missed
            except GuardFailed:
                if self.runner.partition(self.id)["seq"] == place.seq:
                    raise self.runner.fenced() from None
                return attempt
            except DuplicateKey as error:
                identity = attempt.identity(error)
                if not self.final or identity is None or identity in refused:
                    raise
                refused[identity] = () if error.field is None else (error.field.partition(".")[0],)
                continue
            except Collision as error:
                size = max(1, attempt.documents // 2)
                tries += attempt.documents <= 1
                if tries >= pacing.PATIENCE:
                    raise contended(self.versions[-1], None, error, "down") from error
                continue
            if not missed:
                return attempt


class Attempt:
    """One unit of work of a strand: `size` entries of a segment, or all that are left of it; the last come first."""

    def __init__(
        self,
        strand: Rollback,
        key: str,
        place: Place,
        size: int | None,
        refused: Mapping[bytes, tuple[str, ...]],
    ) -> None:
        self._strand = strand
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
        wanted = raw_bson.encode({"_id": error.id})
        return next((i for i in self._ids if raw_bson.encode({"_id": raw_bson.id_value(i)}) == wanted), None)

    def report(self) -> Document:
        """What it has done, for the record and for other processes."""
        return {"seq": self.next.seq, "documents": self.documents, "outcome": self.outcome.record()}

    def work(self, reader: Reader) -> Changes:
        """Read a segment and its documents, and say what to change."""
        strand, place = self._strand, self._place
        segment = segments.read(reader, self._key)
        if segment is None or segment.level <= strand.target:
            self.next = replace(place, seq=place.seq + 1)
            return Changes(last=(self._move(),))
        stop = len(segment.entries) - (place.offset if place.key == self._key else 0)
        start = 0 if self._size is None else max(0, stop - self._size)
        entries, whole = segment.entries[start:stop], strand.judge.targets(reader, segment.entries)
        writes, self.outcome = strand.judge.documents(reader, entries, whole[start:stop], self._refused)
        self.documents = stop - start
        self.next = replace(self.next, documents=place.documents + self.documents)
        self._ids = [entry.id for entry in entries]
        puts: list[RecordChange] = []
        if start == 0:
            puts = lowered(segment, strand.target, whole).puts()
        else:
            self.next = replace(self.next, key=self._key, offset=len(segment.entries) - start)
        return Changes(
            collection=strand.record.collection,
            writes=writes[::-1],
            last=(*puts, self._move()),
            bypass_validation=True,
        )

    def _move(self) -> Move:
        """The place, and what was done on the way to it: whoever had no answer finds it there."""
        strand = self._strand
        guard = {"_id": strand.id, "fence": strand.runner.lease.fence, "seq": self._place.seq}
        return Move(PROGRESS, guard, vars(self.next) | {"last": self.report()})
