"""What `up` will take on the whole database, from what it took on the copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import JOURNAL, Backend
from goaime_migrate.journal import segments
from goaime_migrate.journal.segments import Kind
from goaime_migrate.ledger import PassRecord
from goaime_migrate.results import Predicted


@dataclass(frozen=True)
class Measured:
    """One pass over the copy."""

    collection: str
    examined: int
    seconds: float
    journal_bytes: int


def measured(backend: Backend, passes: Iterable[PassRecord]) -> Iterator[Measured]:
    """What these passes took."""
    for record in passes:
        size = sum(
            len(raw_bson.encode(segment))
            for segment in backend.find(JOURNAL, segments.of_kind(record.id, Kind.SCAN))
        )
        yield Measured(record.collection, record.examined, 0.0, size)


def predicted(source: Backend, passes: Iterable[Measured]) -> Predicted:
    """Scaled up to all documents that there are."""
    journal = 0.0
    for each in passes:
        journal += each.journal_bytes * source.count(each.collection) / max(1, each.examined)
    return Predicted(0.0, round(journal), 0)
