"""Taking a pass back, from its journal, to the level where only its first `target` steps are in effect.

Segments are taken in the reverse of the order in which they were written (see `strand`). Those of a parted scan are
shared by several processes: the segments of two partitions have no document in common.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from goaime_migrate.backends.ports import JOURNAL, PROGRESS, Move, Put, Reader
from goaime_migrate.down.decisions import Decisions, Outcome
from goaime_migrate.down.inserted import Inserted, Reversal, ReverseChain
from goaime_migrate.down.late_writes import LateWrites
from goaime_migrate.down.rollback import Attempt, Place, Rollback, progress_record
from goaime_migrate.events import BatchCommitted
from goaime_migrate.journal import segments
from goaime_migrate.journal.segments import Kind, Segment
from goaime_migrate.ledger import PassRecord, put_pass
from goaime_migrate.results import Document
from goaime_migrate.run import collector
from goaime_migrate.run.collector import Collector
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import Alone, Pool, Report, Share

_STAGES = (Kind.TAIL, Kind.SCAN, Kind.CANARY)


def segment_keys(reader: Reader, pass_id: str) -> list[str]:
    """The keys of a pass's segments in the order in which they are taken back: that of `up`, backwards.

    So a unique index that let every document forward lets it back again.
    """
    return [key for kind in _STAGES for key in reversed(segments.keys(reader, pass_id, kind))]


def parts(reader: Reader, record: PassRecord) -> list[int]:
    """The numbers of the scan's partitions that have a journal, in the order in which they are taken back."""
    found = {int(key.split("/")[-3]) for key in segments.keys(reader, record.id, Kind.SCAN)}
    return sorted(found, reverse=True)


def seen_to(reader: Reader, pass_id: str) -> int:
    """How many documents of a pass all runs of its way down have seen to."""
    strands = reader.find(PROGRESS, {"pass": pass_id, "walk": "down"})
    return sum(Place.read(record).documents for record in strands)


@dataclass
class Restore:
    """A pass being taken back by this process, or by several."""

    runner: Run
    record: PassRecord
    target: int
    judge: Decisions
    versions: tuple[str, ...]
    way: ReverseChain = field(default_factory=ReverseChain)
    crew: Pool = field(default_factory=Alone)

    def __post_init__(self) -> None:
        self.outcome = Outcome()
        """What this run has done so far; an error leaves it as it stands."""
        self.births: Inserted | None = None
        """What had been born since, once that is known."""
        self._done = 0
        self._total: int | None = None
        self._watching: Collector | None = None

    @property
    def _id(self) -> str:
        return f"{self.record.id}#down"

    def run(self) -> None:
        """Restore all documents. Raises Interrupted, LeaseLost, Conflicts with all before recorded."""
        place = self._adopt()
        rewind = ParallelRollback(self)
        left = rewind.begin() if self.record.bounds else []
        if not self.record.bounds:
            self._watch()
        try:
            place = self._stages(place, rewind, left)
            if self.target == 0:
                seq = LateWrites(self.runner, self.record, self._id, place.seq, self._watching).run()
                place = replace(place, seq=seq)
        finally:
            if self._watching is not None:
                self._watching.stop()
        self.births = Reversal(self.runner, self.record, self.way, self.target, self._id, place.seq).run()

    def _stages(self, place: Place, rewind: ParallelRollback, left: Sequence[int]) -> Place:
        """Take back what the tail, the scan and the canary have written."""

        def told(attempt: Attempt) -> None:
            self.outcome.add(attempt.outcome)
            self.progressed(attempt.documents)

        for kind in _STAGES:
            if kind is Kind.SCAN and self.record.bounds:
                try:
                    self.crew.share(rewind, left)
                finally:
                    self.outcome.add(rewind.outcome)
            else:
                keys = reversed(segments.keys(self.runner.backend, self.record.id, kind))
                place = self.strand(self._id).through(keys, place, told)
        return place

    def strand(self, identity: str, *, final: bool = True) -> Rollback:
        """What takes back segments under the progress record with this `_id`."""
        return Rollback(self.runner, self.record, self.target, self.judge, self.versions, identity, final)

    def progressed(self, documents: int) -> None:
        """So many more documents have been seen to."""
        self._done += documents
        self.runner.emit(BatchCommitted(self.versions, self._done, self._total))

    def enrol(self, sessions: Sequence[Document]) -> None:
        """Others will write in these sessions: record them, and watch what everybody else writes. Raises LeaseLost."""
        left = {"pass": self.record.id, "walk": "down", "done": False}
        records = self.runner.backend.find(PROGRESS, left)
        self.runner.record(*(Put(PROGRESS, d | {"lsids": [*d["lsids"], *sessions]}) for d in records))
        self._watch()

    def _watch(self) -> None:
        """Collect what others write, from where this restore has begun: all of its own sessions are known."""
        record = self.runner.partition(self._id)
        sessions = [dict(s) for s in record["lsids"]]
        self._watching = collector.started(
            self.runner, self.record.collection, self._id, record["since"], sessions
        )

    def _adopt(self) -> Place:
        """The restore's own progress record, with this run's fence and session."""
        backend = self.runner.backend
        stored = backend.find(PROGRESS, {"_id": self._id})
        place = Place.read(stored[0]) if stored else Place(since=backend.operation_time())
        lsids = [*(stored[0]["lsids"] if stored else []), *self.runner.sessions]
        fence = self.runner.lease.fence
        self._done = seen_to(backend, self.record.id)
        self._total = stored[0]["total"] if stored else None
        if self._total is None:
            self._total = segments.count(backend, self.record.id)
        fields = progress_record(self._id, self.record.id, fence, place, lsids)
        self.runner.record(Put(PROGRESS, fields | {"total": self._total}))
        return place


class ParallelRollback:
    """The partitions of a scan, taken back; as work that several processes share."""

    def __init__(self, restore: Restore, told: Report | None = None) -> None:
        self._restore = restore
        self._told = told or self.heard
        self._outcomes: defaultdict[int, Outcome] = defaultdict(Outcome)
        self._seqs: dict[int, int] = {}

    @property
    def runner(self) -> Run:
        return self._restore.runner

    @property
    def outcome(self) -> Outcome:
        """What has been done by all, in the order of one worker alone."""
        total = Outcome()
        for number in sorted(self._outcomes, reverse=True):
            total.add(self._outcomes[number])
        return total

    def _id(self, number: int) -> str:
        return f"{self._restore.record.id}#down/{number:04d}"

    def begin(self) -> list[int]:
        """Record every partition that is left, with this run's fence and session; their numbers."""
        runner, record = self.runner, self._restore.record
        known = {d["_id"]: d for d in runner.backend.find(PROGRESS, {"pass": record.id, "walk": "down"})}
        puts: list[Put] = []
        for number in parts(runner.backend, record):
            stored = known.get(self._id(number))
            if stored is not None and stored["done"]:
                continue
            place = Place() if stored is None else Place.read(stored)
            lsids = [*(stored["lsids"] if stored else []), *runner.sessions]
            fields = progress_record(self._id(number), record.id, runner.lease.fence, place, lsids)
            puts.append(Put(PROGRESS, fields))
            self._seqs[number] = place.seq
        runner.record(*puts)
        return list(self._seqs)

    def beside(self, runner: Run, report: Report) -> ParallelRollback:
        restore = self._restore
        other = Restore(runner, restore.record, restore.target, restore.judge, restore.versions)
        return ParallelRollback(other, report)

    def enrol(self, sessions: Sequence[Document]) -> None:
        self._restore.enrol(sessions)

    @property
    def side_by_side(self) -> bool:
        return True

    def spec(self) -> Document:
        restore = self._restore
        return {
            "kind": "rewind",
            "pass": put_pass(restore.record).document,
            "target": restore.target,
            "versions": list(restore.versions),
            "on_conflict": str(restore.judge.on_conflict),
        }

    def do(self, share: Share) -> None:
        identity = self._id(share.number)
        place = Place.read(self.runner.partition(identity))
        strand = self._restore.strand(identity, final=share.in_turn)
        place = strand.through(
            self._keys(share.number), place, lambda a: self._told(share.number, a.report())
        )
        guard = {"_id": identity, "fence": self.runner.lease.fence, "seq": place.seq}
        self.runner.move(Move(PROGRESS, guard, {"done": True}))

    def _keys(self, number: int) -> list[str]:
        """The keys of a partition's segments, the last first."""
        prefix = Segment(self._restore.record.id, Kind.SCAN, number, 0).key.removesuffix("00000000/")
        between = {"_id": {"$gte": prefix, "$lt": prefix + "\uffff"}}
        found = self.runner.backend.find(JOURNAL, between, sort=[("_id", -1)], fields=["_id"])
        return [record["_id"][:-3] for record in found if record["_id"].endswith("/000")]

    def heard(self, number: int, report: Document) -> None:
        self._seqs[number] = report["seq"]
        self._outcomes[number].add(Outcome.read(report["outcome"]))
        self._restore.progressed(report["documents"])

    def taken_over(self, number: int) -> None:
        """The last unit of work may have been committed without a report: then it is in the record."""
        record = self.runner.partition(self._id(number))
        if record["seq"] > self._seqs[number]:
            self.heard(number, record["last"])
