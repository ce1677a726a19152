"""Taking a pass back, from its journal, to the level where only its first `target` steps are in effect.

Segments are taken in the reverse of the order in which they were written. In one unit of work a segment's documents
are restored and the segment is stored anew at the lower level: what a segment says is always true of its documents,
so that a restore that was cut off goes on, and a later `down` (or `up`) is exact again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

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
    Write,
)
from goaime_migrate.engine import born, journal
from goaime_migrate.engine.chain import Chain
from goaime_migrate.engine.journal import Entry, Kind, Segment, digest
from goaime_migrate.engine.reconcile import Found, Restored, backward
from goaime_migrate.engine.runner import Runner
from goaime_migrate.errors import Conflicts, Contended, DuplicateKey, MigrationFailed
from goaime_migrate.events import BatchCommitted
from goaime_migrate.ledger import FORMAT, PassRecord
from goaime_migrate.results import Conflict, Counts, DownPreview, OnConflict

_PATIENCE = 30
"""How often a single document is tried before the run gives up."""


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

    def documents(
        self,
        reader: Reader,
        entries: Sequence[Entry],
        targets: Sequence[Entry | None],
        refused: Mapping[bytes, tuple[str, ...]] = {},
    ) -> tuple[list[Write], Outcome]:
        """What to write to take these documents back, and how they were found.

        `refused`: ids that a unique index does not let go back, with its fields.
        """
        found = reader.by_ids(self._record.collection, [entry.id for entry in entries])
        current = {raw.id_of(document): document for document in found}
        writes: list[Write] = []
        outcome = Outcome()
        for entry, target in zip(entries, targets, strict=True):
            if entry.id in current:
                restored = self._restored(current[entry.id], entry, target)
                if entry.id in refused:
                    restored = Restored(Found.CONFLICT, current[entry.id], refused[entry.id])
                self._note(entry, restored, outcome)
                if restored.document != current[entry.id]:
                    writes.append(Write(entry.id, current[entry.id], restored.document))
        return writes, outcome

    def targets(self, reader: Reader, entries: Sequence[Entry]) -> list[Entry | None]:
        """For each entry the one that leads from where its document is to go; None where a replay does not come out."""
        if self._replay is None:
            return list(entries)
        staying, whole = self._replay
        before = _replayed(staying, reader, [entry.before for entry in entries])
        after = _replayed(whole, reader, [entry.before for entry in entries])
        return [_leading(entry, b, a) for entry, b, a in zip(entries, before, after, strict=True)]

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


def _leading(entry: Entry, before: bytes | None, after: bytes | None) -> Entry | None:
    """The entry between two replayed states, if the later one is what the journal has the hash of."""
    if before is None or after is None or digest(after) != entry.after_hash:
        return None
    return Entry.of(before, after)


def _replayed(chain: Chain, reader: Reader, documents: Sequence[bytes]) -> list[bytes | None]:
    """The documents after the chain; None for one that it refuses today."""
    if not chain.steps:
        return list(documents)
    try:
        changed = {c.id: c.after for c in chain.run(reader, documents).changed}
    except MigrationFailed:
        if len(documents) == 1:
            return [None]
        half = len(documents) // 2
        return [*_replayed(chain, reader, documents[:half]), *_replayed(chain, reader, documents[half:])]
    return [changed.get(raw.id_of(document), document) for document in documents]


def lowered(segment: Segment, target: int, targets: Sequence[Entry | None]) -> Segment:
    """The segment once its documents are at the target level."""
    if target == 0:
        return replace(segment, level=0)
    kept: list[Entry] = []
    plain: list[bytes] = []
    for entry, leading in zip(segment.entries, targets, strict=True):
        if leading is None:
            kept.append(entry)
        elif leading.before != entry.before:
            kept.append(Entry.of(entry.before, leading.before))
        else:
            plain.append(entry.id)
    return replace(segment, level=target, entries=tuple(kept), unchanged=(*segment.unchanged, *plain))


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
        total = Outcome()
        place = self._adopt()
        done = 0
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
        if self.reverse is not None:
            total.born = born.Reversal(
                self.runner, self.record, self.reverse, self.target, self._id, place.seq
            ).run()
        else:
            total.born = born.count(self.runner.backend, self.record)
        return total

    @cached_property
    def total(self) -> int:
        """How many documents the journal holds."""
        return journal.count(self.runner.backend, self.record.id)

    def _adopt(self) -> _Place:
        """The restore's own progress record: it carries the fence for every unit of work."""
        session = self.runner.backend.session_id()
        stored = self.runner.backend.find(PROGRESS, {"_id": self._id})
        place = (
            _Place(stored[0]["seq"], stored[0]["key"], stored[0]["offset"]) if stored else _Place(0, None, 0)
        )
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
                    "lsids": [] if session is None else [session],
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
                if tries >= _PATIENCE:
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
        self.next = _Place(place.seq + 1, None, 0)
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
