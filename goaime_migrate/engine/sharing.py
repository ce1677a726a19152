"""The scan of a pass as work that several processes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from goaime_migrate.backends.base import PROGRESS, Move, Put, RecordChange
from goaime_migrate.engine import partitions
from goaime_migrate.engine.crew import Share
from goaime_migrate.engine.journal import Kind
from goaime_migrate.engine.partitions import partition_id
from goaime_migrate.engine.passes import Walk
from goaime_migrate.engine.runner import Runner
from goaime_migrate.ledger import PassRecord, put_pass
from goaime_migrate.results import Document


def enrol(runner: Runner, record: PassRecord, sessions: Sequence[Document]) -> None:
    """Record every partition that is left with the fence and the sessions in which it may be written from now on.

    All workers' sessions are in every record before any of them opens a transaction: so whoever takes the pass over
    can end what they leave open, and the feed of others' writes leaves theirs out. Raises LeaseLost.
    """
    own = runner.backend.session_id()
    mine = [*sessions, *([] if own is None else [own])]
    fence, known = runner.lease.fence, partitions.stored(runner.backend, record)
    lsids = {d["_id"]: d["lsids"] for d in runner.backend.find(PROGRESS, {"pass": record.id}) if "lsids" in d}
    changes: list[RecordChange] = []
    for part in partitions.left(runner.backend, record):
        if part.number in known:
            more = {"lsids": [*lsids[part.id], *mine]}
            changes.append(Move(PROGRESS, {"_id": part.id, "fence": fence}, more))
        else:
            changes.append(Put(PROGRESS, part.record(fence, None) | {"lsids": mine}))
    runner.record(*changes)


@dataclass
class Scan:
    """Partitions of a pass, walked forward."""

    walk: Walk

    @property
    def runner(self) -> Runner:
        return self.walk.runner

    def spec(self) -> Document:
        record = replace(self.walk.record, canary=None)
        return {"kind": "scan", "pass": put_pass(record).document, "revisits": self.walk.revisits}

    def do(self, share: Share) -> None:
        part = partitions.partitions(self.walk.record)[share.number]
        self.walk.through(self.walk.reread(part))

    def heard(self, number: int, report: Document) -> None:
        self.walk.meter.moved(partition_id(self.walk.record.id, Kind.SCAN, number), report["examined"])

    def taken_over(self, number: int) -> None:
        """Nothing is missing: the counts are in the record."""
