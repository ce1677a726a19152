"""What has yet to be finished before a document can be erased: who goes on with it has to find what was planned."""

from __future__ import annotations

from collections.abc import Collection

from goaime_migrate.backends.ports import Reader
from goaime_migrate.errors import Refused
from goaime_migrate.errors.hint import DOWN, UP, Command, Hint
from goaime_migrate.journal.same_id import SameId
from goaime_migrate.ledger import Ledger, PassRecord
from goaime_migrate.planner.lineage import Lineage
from goaime_migrate.run import collector

_SWEEP = Command(("sweep",))


def require_finished(reader: Reader, ledger: Ledger, line: Lineage, ids: SameId) -> None:
    """Raises Refused where a pass has written and is unfinished, or anything unfinished has the document in its plan.

    A sweep need not look at a document that is there no more: that can be forgotten.
    """
    walks = [visit.record for visit in line.visits]
    planned = {record.id for record in walks if _has_planned(reader, record, ids)}
    for p in ledger.passes.values():
        if (not p.finished or p.target_level is not None) and (p.committed or p.id in planned):
            versions = ", ".join(p.versions)
            raise Refused(
                f"the pass of {versions} is unfinished: its journal is needed to go on or back",
                version=p.versions[-1],
                hint=Hint("finish it: {}, or: {}; then erase the document", UP, DOWN),
            )
    for record in walks if ids.documents(reader, line.today) else ():
        walk = collector.sweeping(record.id)
        if collector.has_left(reader, walk, ids):
            raise Refused(
                f"a sweep has left this document in an old shape, it is in {line.today} still, and the next one looks at "
                "it again",
                version=record.versions[-1],
                hint=Hint(
                    "delete the document from {}, or correct it and finish the sweep: {}; then erase it",
                    line.today,
                    _SWEEP,
                ),
            )
        if collector.has_collected(reader, walk, ids):
            raise Refused(
                f"a sweep of {record.collection} is unfinished: it has yet to look at this document",
                version=record.versions[-1],
                hint=Hint("finish it: {}, or delete the document from {}; then erase it", _SWEEP, line.today),
            )


def _has_planned(reader: Reader, record: PassRecord, ids: Collection[bytes]) -> bool:
    """Whether a pass that goes on would begin or end with the document, or look at it."""
    ends = any(end in ids for end in (*record.bounds, record.upper))
    return ends or collector.has_collected(reader, record.id, ids)
