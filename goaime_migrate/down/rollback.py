"""Segments of a journal, taken back one after the other under one checkpoint.

In one unit of work a segment's documents are restored and the segment is stored anew at the lower level: what a
segment says is always true of its documents, so that a restore that was cut off goes on, and a later `down` (or `up`)
is exact again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import PROGRESS, Changes, Reader
from goaime_migrate.backends.record_codec import document_of, record_of
from goaime_migrate.backends.record_fields import COUNT, TEXT, optional, reading, require_kinds
from goaime_migrate.down.decisions import Decisions, Outcome, last_words, lower
from goaime_migrate.down.overruled import Older, Overruled, find_marked
from goaime_migrate.errors import DuplicateKey
from goaime_migrate.journal import segments
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.segments import Segment
from goaime_migrate.ledger import PassRecord
from goaime_migrate.results import Counts, Document
from goaime_migrate.run.checkpoint import DOWN, Checkpoint, Result, Try, Unit, commit
from goaime_migrate.run.pacing import WHOLE, Pacing
from goaime_migrate.run.run import Run
from goaime_migrate.transform.counts import PassCounts


@dataclass(frozen=True)
class JournalPosition:
    """How far a way back has come in the journal: within the segment `key`, the last `offset` entries are done."""

    since: Any
    """The cluster time before the first of it, from which on others' writes are watched."""
    total: int | None
    """How many documents the journal had when it began,"""
    documents: int = 0
    """and how many have been seen to, by all runs."""
    key: str | None = None
    offset: int = 0
    last: Document | None = None
    """What the last unit of work has done: whoever had no answer finds it there."""
    counts: Counts | None = field(default_factory=Counts)
    """What all runs have done to them; None where an earlier release has begun, which did not count it."""
    told: PassCounts = field(default_factory=lambda: PassCounts(()))
    """What all runs have to warn of."""

    def record(self) -> Document:
        """As it is stored."""
        counts = None if self.counts is None else document_of(self.counts)
        return {**vars(self), "counts": counts, "told": self.told.record()}

    def read(self, record: Document) -> JournalPosition:
        """From what is stored."""
        return JournalPosition(
            since=record["since"],
            total=self.total if record.get("total") is None else record["total"],
            documents=record["documents"],
            key=record["key"],
            offset=record["offset"],
            last=record.get("last"),
            counts=None if record.get("counts") is None else record_of(Counts, record["counts"]),
            told=PassCounts.read((), record["told"]) if "told" in record else PassCounts(()),
        )


WayBack = Checkpoint[JournalPosition]


def way_back(pass_id: str, since: Any, total: int | None) -> WayBack:
    """That of a pass of which nothing has been taken back yet."""
    return Checkpoint(f"{pass_id}#down", pass_id, DOWN, JournalPosition(since, total))


def offsets(reader: Reader, pass_id: str) -> dict[str, int]:
    """How many entries have been taken back of the segments that an earlier `down` was cut off in, by their keys.

    Releases that shared a way back among processes have left a record for each partition that was begun.
    """
    found: dict[str, int] = {}
    for record in reader.find(PROGRESS, {"pass": pass_id, "walk": DOWN}):
        with reading(PROGRESS, record["_id"]):
            require_kinds(record, {"key": optional(TEXT), "offset": COUNT})
        if record["key"] is not None:
            found[record["key"]] = max(record["offset"], found.get(record["key"], 0))
    return found


def documents_seen(reader: Reader, pass_id: str) -> int:
    """How many documents of a pass all runs of its way down have seen to."""
    return sum(record["documents"] for record in reader.find(PROGRESS, {"pass": pass_id, "walk": DOWN}))


@dataclass
class Rollback:
    """Takes segments back. `begun`: how many entries of some of them had been taken back before."""

    run: Run
    record: PassRecord
    target: int
    decisions: Decisions
    versions: tuple[str, ...]
    begun: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def overruled(self) -> Overruled:
        """What is not applied."""
        return Overruled(self.run.backend, self.record.id, self.decisions.targets)

    def through(self, keys: Iterable[str], at: WayBack, tell: Callable[[Outcome, int], None]) -> WayBack:
        """Take back one segment after the other. Raises Interrupted, LeaseLost, Conflicts with all before recorded."""
        for key in keys:
            while True:
                done = self._portion(key, at)
                at = done.next
                tell(done.found, done.documents)
                if at.position.key != key:
                    break
        return at

    def _portion(self, key: str, at: WayBack) -> Result[JournalPosition, Outcome]:
        """Take a segment back, or as much of it as can be without colliding with the application."""
        refused: dict[bytes, tuple[str, ...]] = {}
        portion, pace = _Portion(self, key, at, refused), Pacing(WHOLE, WHOLE)
        while True:
            try:
                return commit(self.run, at, portion.plan, pace, self.versions[-1])
            except DuplicateKey as error:
                identity = portion.identity(error)
                if identity is None or identity in refused:
                    raise
                refused[identity] = () if error.field is None else (error.field.partition(".")[0],)


class _Portion:
    """The next entries of a segment that are to be taken back; the last come first."""

    def __init__(
        self, rollback: Rollback, key: str, at: WayBack, refused: Mapping[bytes, tuple[str, ...]]
    ) -> None:
        self._rollback = rollback
        self._key = key
        self._at = at
        self._refused = refused
        self._ids: Sequence[bytes] = ()

    def identity(self, error: DuplicateKey) -> bytes | None:
        """The raw `_id` of the document that an error is about."""
        wanted = raw_bson.encode({"_id": error.id})
        return next((i for i in self._ids if raw_bson.encode({"_id": raw_bson.id_value(i)}) == wanted), None)

    def plan(self, reader: Reader, this: Try) -> Unit[JournalPosition, Outcome]:
        """Read a segment and its documents, and say what to change."""
        rollback = self._rollback
        segment = segments.read(reader, self._key)
        if segment is None or segment.level <= rollback.target:
            return self._unit(Changes(), (), Outcome(), offset=None)
        stop = len(segment.entries) - self._offset
        start = max(0, stop - this.size)
        entries, whole = segment.entries[start:stop], rollback.decisions.targets(reader, segment.entries)
        self._ids = [entry.id for entry in entries]
        due = last_words(reader, self._key, entries, whole[start:stop])
        older = self._older(reader, [entry.id for entry in due[0]])
        writes, outcome = rollback.decisions.documents(reader, *due, self._refused, older)
        if not start:  # nothing of the segment is left then
            outcome.add(Outcome.without(segment.erased))
            outcome.add(self._left_alone(reader, segment))
        changes = Changes(
            collection=rollback.record.writes,
            writes=writes[::-1],
            last=() if start else lower(segment, rollback.target, whole).replacement(),
            bypass_validation=True,
        )
        return self._unit(changes, entries, outcome, len(segment.entries) - start if start else None)

    def _left_alone(self, reader: Reader, segment: Segment) -> Outcome:
        older = self._older(reader, find_marked(reader, segment))
        there = reader.by_ids(self._rollback.record.writes, list(older)) if older else ()
        return self._rollback.decisions.left_alone(reader, there, older)

    def _older(self, reader: Reader, ids: Sequence[bytes]) -> Older:
        return self._rollback.overruled.by(reader, self._key, ids, partial(segments.read, reader))

    @property
    def _offset(self) -> int:
        position = self._at.position
        return position.offset if position.key == self._key else self._rollback.begun.get(self._key, 0)

    def _unit(
        self, changes: Changes, entries: Sequence[Entry], outcome: Outcome, offset: int | None
    ) -> Unit[JournalPosition, Outcome]:
        """`offset`: how many entries are done then; None where nothing of the segment is left."""
        position, documents = self._at.position, len(entries)
        moved = self._at.next(
            replace(
                position,
                key=None if offset is None else self._key,
                offset=offset or 0,
                documents=position.documents + documents,
                counts=None if position.counts is None else position.counts + outcome.counts(),
                told=position.told.plus(outcome.told),
                last={"seq": self._at.seq + 1, "documents": documents, "outcome": outcome.record()},
            )
        )
        name = entries[0].id if entries else None
        return Unit(changes, Result(moved, outcome, documents, name))
