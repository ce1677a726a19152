"""Documents that were born after `up`: those that the journal has never seen.

They have no before-image. The `reverse=` of the steps that are taken back takes them back, from the last step
downwards. A step without one is as far as it goes: the document stays in the shape of that step, and is counted. It is
also noted, in the journal of whatever is taken back next: no `reverse=` ever meets a shape that is not its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
from goaime_migrate.journal import reconcile, segments
from goaime_migrate.journal.reconcile import Forward
from goaime_migrate.journal.segments import Entry, Kind, Segment
from goaime_migrate.ledger import PassRecord
from goaime_migrate.run import pacing
from goaime_migrate.run.run import Run, contended
from goaime_migrate.transform.chain import Chain

_BATCH = 500
LISTED = (Kind.CANARY, Kind.TAIL, Kind.BORN, Kind.LEFT)
"""Those whose segments are found by the documents in them."""


@dataclass(frozen=True)
class Inserted:
    """How many documents were born since, and what becomes of them. `without_reverse`: versions that stop them."""

    taken_back: int = 0
    left: int = 0
    without_reverse: tuple[str, ...] = ()

    @classmethod
    def of(cls, documents: int, missing: str | None) -> Inserted:
        """So many documents; where a `reverse=` is missing they are left."""
        if missing is None or not documents:
            return cls(taken_back=documents)
        return cls(left=documents, without_reverse=(missing,))

    def __add__(self, other: Inserted) -> Inserted:
        versions = dict.fromkeys((*self.without_reverse, *other.without_reverse))
        return Inserted(self.taken_back + other.taken_back, self.left + other.left, tuple(versions))


class InsertedTotals:
    """The births that all passes of one way down have found, each document counted once.

    What was born after a pass was born after those below it too: the last pass over a collection has found them all.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Inserted] = {}

    def note(self, collection: str, found: Inserted | None) -> None:
        """What a pass has found; None where it could not tell."""
        if found is not None:
            before = self._latest.get(collection, Inserted())
            versions = dict.fromkeys((*before.without_reverse, *found.without_reverse))
            self._latest[collection] = replace(found, without_reverse=tuple(versions))

    def renamed(self, old: str, new: str) -> None:
        """A collection has been given another name."""
        if old in self._latest:
            self._latest[new] = self._latest.pop(old)

    @property
    def total(self) -> Inserted:
        """Over all collections."""
        return sum(self._latest.values(), Inserted())


@dataclass(frozen=True)
class ReverseChain:
    """How far documents that were born since can be taken back."""

    chain: Chain | None = None
    """The reverses to call, that of the last step first; None where there is none."""
    missing: str | None = None
    """The version of the step on the way that has no `reverse=`."""
    heir: str | None = None
    """The pass that has to know of those that are left, since it has reverses of its own."""


@dataclass
class Unjournaled:
    """Ids that no walk of a pass has seen."""

    fresh: list[bytes] = field(default_factory=list)
    done: list[bytes] = field(default_factory=list)
    """Those that a `down` which was cut off has taken back already."""
    left: dict[bytes, str] = field(default_factory=dict)
    """Those that an earlier `down` has left, with the version that has no `reverse=`."""

    def births(self, missing: str | None) -> Inserted:
        """The count of them."""
        total = Inserted.of(len(self.fresh) + len(self.done), missing)
        for version in self.left.values():
            total += Inserted.of(1, version)
        return total


def strangers(reader: Reader, record: PassRecord) -> Iterator[Unjournaled]:
    """What has been born since, in the order of the collection."""
    indexed = segments.holds(reader, record.id, LISTED)
    for ids in _unscanned(reader, record):
        yield sorted_out(reader, record.id, ids) if indexed and ids else Unjournaled(ids)


def sorted_out(reader: Reader, pass_id: str, ids: Sequence[bytes]) -> Unjournaled:
    """Those of these ids, which the scan has not seen, that nothing else has seen either."""
    found: defaultdict[Kind, dict[bytes, str | None]] = defaultdict(dict)
    for key in segments.holders(reader, pass_id, ids):
        segment = segments.read(reader, key)
        if segment is not None:
            for identity in segment.ids:  # the first to leave a document is what has stopped it
                found[segment.kind].setdefault(identity, segment.version)
    seen = found[Kind.CANARY] | found[Kind.TAIL]
    result = Unjournaled()
    for identity in ids:
        version = found[Kind.LEFT].get(identity)
        if version is not None:
            result.left[identity] = version
        elif identity in found[Kind.BORN]:
            result.done.append(identity)
        elif identity not in seen:
            result.fresh.append(identity)
    return result


def _unscanned(reader: Reader, record: PassRecord) -> Iterator[list[bytes]]:
    """Ids that the scan has not seen.

    What an unfinished pass has not come to yet is not born: it is as it always was.
    """
    cursor: bytes | None = None
    beyond = [None] if record.finished else []
    for key in [*segments.keys(reader, record.id, Kind.SCAN), *beyond]:
        segment = None if key is None else segments.read(reader, key)
        known = set() if segment is None else {*(e.id for e in segment.entries), *segment.unchanged}
        upto = None if segment is None else segment.upto
        after = cursor if segment is None else segment.after  # between two segments nobody has been yet
        for ids in _ids(reader, record.collection, after, upto):
            yield [i for i in ids if i not in known]
        if upto is None:
            return
        cursor = upto


def _ids(reader: Reader, collection: str, after: bytes | None, upto: bytes | None) -> Iterator[list[bytes]]:
    while True:
        found = reader.documents(collection, after=after, upto=upto, limit=_BATCH, fields=())
        yield [raw_bson.id_of(document) for document in found]
        if len(found) < _BATCH:
            return
        after = raw_bson.id_of(found[-1])


@dataclass
class Reversal:
    """Taking born documents back as far as their way goes, a batch at a time.

    Each batch is journaled with its result, so that no document is reversed twice by a run that was cut off.
    """

    runner: Run
    record: PassRecord
    way: ReverseChain
    target: int
    progress: str
    seq: int

    def run(self) -> Inserted | None:
        """How many there were; None where that cannot be told."""
        if not self.record.complete:
            return None
        backend = self.runner.backend
        self._notes = Notes(self.way.heir, backend)
        self._finish_interrupted()
        total = Inserted()
        for found in strangers(backend, self.record):
            total += found.births(self.way.missing)
            self._hand_on(found.left)
            if found.fresh:
                self._take_back(found.fresh)
        return total

    def _hand_on(self, left: Mapping[bytes, str]) -> None:
        """Let the next pass know what an earlier `down` has left; the pass itself knows."""
        if left and self.way.heir != self.record.id:
            self.runner.record(*self._notes.puts(left))

    def _take_back(self, ids: list[bytes]) -> None:
        if self.way.chain is not None:
            self._batch(ids)
        elif changes := self._notes.puts(self.stopped(ids)):
            self.runner.record(*changes)

    def stopped(self, ids: Iterable[bytes]) -> dict[bytes, str]:
        """Those of these ids that are left, with the version that stops them."""
        return {} if self.way.missing is None else dict.fromkeys(ids, self.way.missing)

    def noted(self, ids: Iterable[bytes]) -> list[RecordChange]:
        """The changes that note those of these ids that are left."""
        return self._notes.puts(self.stopped(ids))

    def _finish_interrupted(self) -> None:
        """Finish what a run has journaled and may not have written: without transactions, it was cut off in between."""
        backend = self.runner.backend
        last = segments.keys(backend, self.record.id, Kind.BORN)[-1:]
        segment = segments.read(backend, last[0]) if last and not backend.capabilities.transactions else None
        if segment is not None:
            self._batch([entry.id for entry in segment.entries], segment)

    def _batch(self, ids: list[bytes], segment: Segment | None = None) -> None:
        missed: Sequence[bytes] = ()
        tries = 0
        while True:
            self.runner.check()
            new = Segment(self.record.id, Kind.BORN, 0, self.seq + 1, level=self.target)
            attempt = _Attempt(self, ids, segment or new, missed)
            try:
                missed = self.runner.transact(attempt.work).missed
            except GuardFailed:
                if self.runner.partition(self.progress)["seq"] == self.seq:
                    raise self.runner.fenced() from None
                missed = ()
            except Collision as error:
                if len(ids) > 1:
                    half = len(ids) // 2
                    self._batch(ids[:half])
                    self._batch(ids[half:])
                    return
                tries += 1
                if tries >= pacing.PATIENCE:
                    raise contended(self.record.versions[-1], ids[0], error, "down") from error
                continue
            if not missed:
                self.seq += 1
                return


class Notes:
    """Tells the pass `heir`, if there is one, of documents that are left above it."""

    def __init__(self, heir: str | None, reader: Reader) -> None:
        self._heir = heir
        known = [] if heir is None else segments.keys(reader, heir, Kind.LEFT)
        self._seq = int(known[-1].split("/")[3]) if known else 0

    def puts(self, left: Mapping[bytes, str]) -> list[RecordChange]:
        """The changes that do; each call's are records of their own."""
        changes: list[RecordChange] = []
        for version in dict.fromkeys(left.values()) if self._heir is not None else ():
            assert self._heir is not None
            self._seq += 1
            ids = tuple(identity for identity, of in left.items() if of == version)
            note = Segment(self._heir, Kind.LEFT, 0, self._seq, unchanged=ids, version=version)
            changes += note.puts()
        return changes


class _Attempt:
    """One batch of a reversal. `missed`: what the attempt before has not written, for others' writes."""

    def __init__(
        self, reversal: Reversal, ids: list[bytes], segment: Segment, missed: Sequence[bytes]
    ) -> None:
        self._reversal = reversal
        self._ids = ids
        self._segment = segment
        self._missed = frozenset(missed)

    def work(self, reader: Reader) -> Changes:
        """Read the documents, reverse them, and say what to change."""
        this = self._reversal
        chain = this.way.chain
        assert chain is not None
        earlier = segments.read(reader, self._segment.key)
        done = {} if earlier is None else {entry.id: entry for entry in earlier.entries}
        chain.tables.rollback()
        found = reader.by_ids(this.record.collection, self._ids)
        todo = [d for d in found if self._is_due(d, done.get(raw_bson.id_of(d)))]
        result = chain.run(reader, todo)
        entries = {**done, **{c.id: c.entry() for c in result.changed}}
        segment = replace(self._segment, entries=tuple(entries.values()))
        guard = {"_id": this.progress, "fence": this.runner.lease.fence, "seq": this.seq}
        return Changes(
            first=[*result.frozen, *segment.puts(), *this.noted(map(raw_bson.id_of, found))],
            collection=this.record.collection,
            writes=[c.write() for c in result.changed],
            last=(Move(PROGRESS, guard, {"seq": this.seq + 1}),),
            bypass_validation=True,
        )

    def _is_due(self, document: bytes, entry: Entry | None) -> bool:
        """Whether a document is still to be reversed: never one that may have been."""
        verdict = reconcile.forward(document, entry, settled=False)
        missed = entry is not None and entry.id in self._missed
        return verdict is Forward.TRANSFORM or (missed and verdict is Forward.CONFLICT)
