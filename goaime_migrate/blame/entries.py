"""What the journals say of one document, the oldest first."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from goaime_migrate.backends.ports import Reader
from goaime_migrate.journal import audit
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.index import holding
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.same_id import SameId
from goaime_migrate.journal.segments import Segment
from goaime_migrate.ledger import PassRecord
from goaime_migrate.results import ChangeKind

_KINDS = {
    Kind.CANARY: ChangeKind.CANARY,
    Kind.SCAN: ChangeKind.UP,
    Kind.TAIL: ChangeKind.TAIL,
    Kind.INSERTED: ChangeKind.DOWN,
}


@dataclass(frozen=True)
class Edit:
    """One entry of a document: what the steps of a pass have done to it in one batch."""

    record: PassRecord
    kind: ChangeKind
    entry: Entry
    level: int
    """How many steps of the pass are in effect in it."""

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that have done it together."""
        steps = self.record.steps[: self.level] or self.record.steps
        return tuple(dict.fromkeys(version for version, _, _ in steps))


@dataclass(frozen=True)
class Findings:
    """What one pass has kept of a document."""

    edits: tuple[Edit, ...] = ()
    examined: bool = False
    """Whether it has met the document at all; it may have left it alone."""
    erased: bool = False
    """Whether something was kept and is not any more."""


def findings(reader: Reader, record: PassRecord, ids: SameId) -> Findings:
    """What the journal of a pass has of a document; `ids`: what its `_id` may be.

    All of the journal is looked at once; few segments are unpacked. Raises JournalIncomplete, DamagedRecord.
    """
    audit.require_whole(reader, record)
    found = [s for s in holding(reader, record.id, ids) if s.kind is not Kind.LEFT]
    return Findings(
        tuple(edit for segment in found for edit in _edits(record, segment, ids)),
        examined=any(segment.knows(ids) for segment in found),
        erased=any(segment.has_erased(ids) for segment in found),
    )


def _edits(record: PassRecord, segment: Segment, ids: Collection[bytes]) -> Iterator[Edit]:
    """What has been taken back since is none."""
    kind = _KINDS.get(segment.kind) or ChangeKind(segment.kind.partition("-")[2])
    for entry in segment.entries:
        if entry.id in ids and (segment.level or kind is ChangeKind.DOWN):
            yield Edit(record, kind, entry, segment.level)
