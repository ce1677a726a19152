"""The collection that a pass has made for what it inserts: it comes with the pass, and goes with it."""

from __future__ import annotations

from goaime_migrate.ledger import PassRecord
from goaime_migrate.run.run import Run


def create(run: Run, record: PassRecord) -> None:
    """Make it, unless it is there: within a transaction older servers make none."""
    if record.created and not record.committed and record.writes not in run.backend.collections():
        run.lease.renew()
        run.backend.create_collection(record.writes, {})


def drop(run: Run, record: PassRecord) -> None:
    """Drop it, unless others have put something there, or nothing was made."""
    there = record.created and record.writes in run.backend.collections()
    if there and not run.backend.count(record.writes, {}, limit=1):
        run.lease.renew()
        run.backend.drop_collection(record.writes)
