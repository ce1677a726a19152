"""The scan of a pass as work that several processes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from goaime_migrate.backends.ports import Capabilities
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.ledger import PassRecord, put_pass
from goaime_migrate.results import Document
from goaime_migrate.run import partitions
from goaime_migrate.run.checkpoint import adopt, reread
from goaime_migrate.run.partitions import number_of, partition_id
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import Report
from goaime_migrate.transform import projection
from goaime_migrate.transform.insertion import InsertStep
from goaime_migrate.transform.step import Step
from goaime_migrate.up.walk import ScanProgress, Walk

_CUTTING, _CARRYING = 20, 5
"""Partitions that keep a process busy no longer than it takes to start: where documents go or lose fields as they are,
and where some of their fields are carried."""


def shares(capabilities: Capabilities, steps: Sequence[Step], documents: int, partitions: int) -> int:
    """Among how many processes at most it pays to share these partitions of so many documents.

    A start is a second of a processor's time. A list is shared by the threads of this one alone: any other would have
    to make all of it first.
    """
    first, *more = steps
    if isinstance(first, InsertStep):
        return 1
    if not more and (first.removes or first.deletes):
        return max(1, partitions // _CUTTING)
    narrow = projection.carried(steps, capabilities, documents) is not None
    return max(1, partitions // _CARRYING) if narrow else partitions


class Reporter(ScanProgress):
    """The progress of one who knows only how far its own partitions have come."""

    def __init__(self, run: Run, record: PassRecord, tell: Report) -> None:
        super().__init__(run, record)
        self._tell = tell

    def report(self, partition: str, examined: int) -> None:
        """Also tells the run whose worker this is."""
        self._tell(number_of(partition), {"examined": examined})


@dataclass
class ParallelScan:
    """Partitions of a pass, walked forward. `enrolled` is called when it is known who will write."""

    walk: Walk
    enrolled: Callable[[], None] = lambda: None

    @property
    def run(self) -> Run:
        """The run that walks."""
        return self.walk.run

    @property
    def side_by_side(self) -> bool:
        """Not where both would look the same documents up, and freeze them: they would collide in these records."""
        return self.walk.chain.tables.whole

    def spec(self) -> Document:
        """The pass, and whether a canary was before it."""
        record = replace(self.walk.record, canary=None)
        return {"pass": put_pass(record).document, "revisits": self.walk.revisits}

    def beside(self, run: Run, report: Report) -> ParallelScan:
        """The same walk, with tables and a chain of its own."""
        walk = self.walk.beside(run)
        walk.progress = Reporter(run, walk.record, report)
        return ParallelScan(walk)

    def enrol(self, sessions: Sequence[Document]) -> None:
        """Their sessions are recorded before they write: the change stream leaves those out."""
        adopt(self.run, partitions.partitions_left(self.run.backend, self.walk.record), sessions)
        self.enrolled()

    def do(self, number: int) -> None:
        """Walk it from where its record is."""
        part = partitions.partitions(self.walk.record)[number]
        self.walk.through(reread(self.run, part))

    def hear(self, number: int, report: Document) -> None:
        """Show it as progress."""
        self.walk.progress.report(partition_id(self.walk.record.id, Kind.SCAN, number), report["examined"])
