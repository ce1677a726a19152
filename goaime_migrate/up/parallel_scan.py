"""The scan of a pass as work that several processes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from goaime_migrate.backends.ports import PROGRESS, Put
from goaime_migrate.journal.segments import Kind
from goaime_migrate.ledger import PassRecord, put_pass
from goaime_migrate.results import Document
from goaime_migrate.run import partitions
from goaime_migrate.run.partitions import number_of, partition_id
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import Report, Share
from goaime_migrate.up.walk import Meter, Walk


def enrol(runner: Run, record: PassRecord, sessions: Sequence[Document]) -> None:
    """Record every partition that is left with the fence and the sessions in which it may be written from now on.

    A worker's session is in every record before it opens a transaction: so whoever takes the pass over can end what
    it leaves open, and the feed of others' writes leaves its writes out. Raises LeaseLost.
    """
    found = runner.backend.find(PROGRESS, {"pass": record.id, "kind": "partition", "walk": str(Kind.SCAN)})
    stored, fence = {document["_id"]: document for document in found}, runner.lease.fence
    puts: list[Put] = []
    for part in partitions.partitions(record):
        document = stored.get(part.id) or part.record(fence, None)
        if not document["done"]:
            lsids = [*document["lsids"], *sessions]
            puts.append(Put(PROGRESS, document | {"fence": fence, "lsids": lsids}))
    runner.record(*puts)


class Reporter(Meter):
    """The meter of one who knows only how far its own partitions have come."""

    def __init__(self, runner: Run, record: PassRecord, report: Report) -> None:
        super().__init__(runner, record)
        self._report = report

    def moved(self, partition: str, examined: int) -> None:
        self._report(number_of(partition), {"examined": examined})


@dataclass
class ParallelScan:
    """Partitions of a pass, walked forward. `enrolled` is called when it is known who will write."""

    walk: Walk
    enrolled: Callable[[], None] = lambda: None

    @property
    def runner(self) -> Run:
        return self.walk.runner

    @property
    def side_by_side(self) -> bool:
        """Not where both would look the same documents up, and freeze them: they would collide in these records."""
        return self.walk.chain.tables.whole

    def spec(self) -> Document:
        record = replace(self.walk.record, canary=None)
        return {"kind": "scan", "pass": put_pass(record).document, "revisits": self.walk.revisits}

    def beside(self, runner: Run, report: Report) -> ParallelScan:
        walk = self.walk.beside(runner)
        walk.meter = Reporter(runner, walk.record, report)
        return ParallelScan(walk)

    def enrol(self, sessions: Sequence[Document]) -> None:
        enrol(self.runner, self.walk.record, sessions)
        self.enrolled()

    def do(self, share: Share) -> None:
        part = partitions.partitions(self.walk.record)[share.number]
        self.walk.through(self.walk.reread(part))

    def heard(self, number: int, report: Document) -> None:
        self.walk.meter.moved(partition_id(self.walk.record.id, Kind.SCAN, number), report["examined"])

    def taken_over(self, number: int) -> None:
        """Nothing is missing: the counts are in the record."""
