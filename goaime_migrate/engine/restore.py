"""Taking a pass back, from its journal, to the level where only its first `target` steps are in effect.

Segments are taken in the reverse of the order in which they were written. In one unit of work a segment's documents
are restored and the segment is stored anew at the lower level: what a segment says is always true of its documents,
so that a restore that was cut off goes on, and a later `down` (or `up`) is exact again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from goaime_migrate.backends import raw
from goaime_migrate.backends.base import PROGRESS, Changes, Collision, GuardFailed, Move, Put, Reader, Write
from goaime_migrate.engine import born, journal
from goaime_migrate.engine.chain import Chain
from goaime_migrate.engine.journal import Entry, Kind, Segment
from goaime_migrate.engine.reconcile import Found, Restored, backward
from goaime_migrate.engine.runner import Runner
from goaime_migrate.errors import Conflicts, Contended, MigrationFailed
from goaime_migrate.events import BatchCommitted
from goaime_migrate.ledger import FORMAT, PassRecord
from goaime_migrate.results import Conflict, Counts, DownPreview, OnConflict


@dataclass
class Outcome:
    """What taking back did, or would do, to the documents of the journal."""

    exact: int = 0
    merged: int = 0
    already: int = 0
    born: int = 0
    conflicts: list[Conflict] = field(default_factory=list)

    def counts(self) -> Counts:
        """As the counts of a result."""
        changed = self.exact + self.merged
        conflicts = len(self.conflicts)
        return Counts(changed + self.already + conflicts, changed, self.already, conflicts)

    def preview(self) -> DownPreview:
        """As the forecast of `plan --down`."""
        return DownPreview(self.exact + self.already, self.merged, len(self.conflicts), self.born)

    def add(self, other: Outcome) -> None:
        """Count what another outcome has counted."""
        self.exact += other.exact
        self.merged += other.merged
        self.already += other.already
        self.born += other.born
        self.conflicts += other.conflicts


class Judge:
    """Decides for each document of a segment what it becomes. Reads only.

    `replay` is None when the whole pass is taken back; else the chain of the steps that stay in effect and that of
    all steps that are: the first on a before-image gives what the document becomes, the second must give the very
    bytes that the journal has the hash of.
    """

    def __init__(
        self, record: PassRecord, version: str, on_conflict: OnConflict, replay: tuple[Chain, Chain] | None
    ) -> None:
        self._record = record
        self._version = version
        self._on_conflict = on_conflict
        self._replay = replay

    def segment(
        self, reader: Reader, segment: Segment
    ) -> tuple[list[Write], list[Entry], list[bytes], Outcome]:
        """Documents to write; the entries, and the ids without one, of the segment at its new level; the counts."""
        current = {
            raw.id_of(d): d
            for d in reader.by_ids(self._record.collection, [entry.id for entry in segment.entries])
        }
        writes: list[Write] = []
        kept: list[Entry] = []
        plain: list[bytes] = []
        outcome = Outcome()
        for entry, target in self._targets(reader, segment):
            if target is None:
                kept.append(entry)
            elif target.before != entry.before:
                kept.append(Entry.of(entry.before, target.before))
            else:
                plain.append(entry.id)
            if entry.id in current:
                restored = self._restored(current[entry.id], entry, target)
                self._note(entry, restored, outcome)
                if restored.document != current[entry.id]:
                    writes.append(Write(entry.id, current[entry.id], restored.document))
        return writes, kept, plain, outcome

    def _targets(self, reader: Reader, segment: Segment) -> Iterator[tuple[Entry, Entry | None]]:
        """Each entry, with the entry that leads from where it is to go; None where replaying does not come out."""
        if self._replay is None:
            for entry in segment.entries:
                yield entry, entry
            return
        staying, whole = self._replay
        for entry in segment.entries:
            try:
                before = _result(staying, reader, entry.before)
                after = _result(whole, reader, entry.before)
            except MigrationFailed:
                yield entry, None
                continue
            replayed = Entry.of(before, after)
            yield entry, replayed if replayed.after_hash == entry.after_hash else None

    def _restored(self, current: bytes, entry: Entry, target: Entry | None) -> Restored:
        if target is None:
            return Restored(Found.CONFLICT, current, tuple(entry.fields))
        return backward(current, target, self._on_conflict)

    def _note(self, entry: Entry, restored: Restored, outcome: Outcome) -> None:
        match restored.found:
            case Found.EXACT:
                outcome.exact += 1
            case Found.MERGED:
                outcome.merged += 1
            case Found.ALREADY:
                outcome.already += 1
            case Found.CONFLICT:
                identity = raw.id_value(entry.id)
                outcome.conflicts.append(
                    Conflict(self._version, self._record.collection, identity, restored.fields)
                )
                if self._on_conflict is OnConflict.STOP:
                    raise Conflicts(
                        f"the application has changed {', '.join(restored.fields) or 'the document'} since `up`",
                        version=self._version,
                        id=identity,
                        field=restored.fields[0] if restored.fields else None,
                        hint="goaime-migrate down --on-conflict keep (or restore)",
                    )


def _result(chain: Chain, reader: Reader, document: bytes) -> bytes:
    changed = chain.run(reader, [document]).changed if chain.steps else []
    return changed[0].after if changed else document


def segment_keys(reader: Reader, pass_id: str) -> list[str]:
    """The keys of a pass's segments in the order in which they are taken back."""
    tail, scan, canary = (journal.keys(reader, pass_id, kind) for kind in (Kind.TAIL, Kind.SCAN, Kind.CANARY))
    return [*reversed(tail), *scan, *reversed(canary)]


def preview(reader: Reader, record: PassRecord, judge: Judge) -> Outcome:
    """What `restore` would do; nothing is written."""
    total = Outcome()
    for key in segment_keys(reader, record.id):
        segment = journal.read(reader, key)
        if segment is not None:
            total.add(judge.segment(reader, segment)[3])
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
        total = Outcome()
        seq = self._adopt()
        keys = segment_keys(self.runner.backend, self.record.id)
        done = 0
        for key in keys:
            self.runner.check()
            outcome, documents = self._segment(key, seq)
            seq += 1
            done += documents
            total.add(outcome)
            self.runner.emit(BatchCommitted(self.versions, done, None))
        if self.reverse is not None:
            total.born = born.Reversal(
                self.runner, self.record, self.reverse, self.target, self._id, seq
            ).run()
        else:
            total.born = born.count(self.runner.backend, self.record)
        return total

    def _adopt(self) -> int:
        """The restore's own progress record: it carries the fence for every unit of work."""
        session = self.runner.backend.session_id()
        stored = self.runner.backend.find(PROGRESS, {"_id": self._id})
        seq = stored[0]["seq"] if stored else 0
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
                    "seq": seq,
                    "done": False,
                    "tally": {"examined": 0},
                    "lsids": [] if session is None else [session],
                },
            )
        )
        return int(seq)

    def _segment(self, key: str, seq: int) -> tuple[Outcome, int]:
        """Take one segment back; tries again as long as its documents keep changing."""
        tries = 0
        while True:
            attempt = _Attempt(self, key, seq)
            try:
                missed = self.runner.transact(attempt.work).missed
            except GuardFailed:
                if self.runner.partition(self._id)["seq"] == seq:
                    raise self.runner.fenced() from None
                return attempt.outcome, attempt.documents
            except Collision as error:
                tries += 1
                if tries >= 10:
                    raise Contended(
                        f"the application keeps writing the same documents: {error}",
                        version=self.versions[-1],
                        hint="try again at a quieter moment: goaime-migrate down",
                    ) from error
                time.sleep(0.05 * tries)
                continue
            if not missed:
                return attempt.outcome, attempt.documents


class _Attempt:
    """One unit of work of a restore."""

    def __init__(self, restore: Restore, key: str, seq: int) -> None:
        self._restore = restore
        self._key = key
        self._seq = seq
        self.outcome = Outcome()
        self.documents = 0

    def work(self, reader: Reader) -> Changes:
        """Read a segment and its documents, and say what to change."""
        restore = self._restore
        move = Move(
            PROGRESS,
            {"_id": restore._id, "fence": restore.runner.lease.fence, "seq": self._seq},
            {"seq": self._seq + 1},
        )
        segment = journal.read(reader, self._key)
        if segment is None or segment.level <= restore.target:
            return Changes(last=(move,))
        writes, kept, plain, self.outcome = restore.judge.segment(reader, segment)
        self.documents = len(segment.entries)
        lowered = segment.at_level(restore.target, kept if restore.target else segment.entries)
        if plain and restore.target:
            lowered = replace(lowered, unchanged=(*segment.unchanged, *plain))
        return Changes(
            collection=restore.record.collection,
            writes=writes,
            last=(*lowered.puts(), move),
            bypass_validation=True,
        )
