"""What the page of `history --html` is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from goaime_migrate.results.history import HistoryEntry
from goaime_migrate.results.status import StatusResult
from goaime_migrate.results.words import Document, Value, WarningCount


class Effect(StrEnum):
    """What a pass has done with a document."""

    CHANGED = "changed"
    INSERTED = "inserted"
    DELETED = "deleted"


@dataclass(frozen=True)
class JournaledChange:
    """One document that a pass has written, by its journal. Fields are in the order in which they are stored."""

    id: Value
    kind: Effect
    before: Document | None
    after: Document | None
    """None where it was deleted, or where it is not `known`."""
    known: bool = True
    """Whether what the pass wrote can be told for certain: it is still there, or a later pass has kept it."""
    whole: bool = True
    """Whether both are whole documents; else they are the fields that were changed."""


@dataclass(frozen=True)
class PassReport:
    """One walk over a collection, which several versions may share."""

    versions: tuple[str, ...]
    collection: str
    """The one that it writes."""
    documents: int
    """Those in the journal: what was changed, inserted and deleted."""
    journal_bytes: int
    samples: tuple[JournaledChange, ...] = ()
    unread: str = ""
    """Why there are no samples, where the journal cannot be read."""


@dataclass(frozen=True)
class VersionReport:
    """What is recorded of a version, beside what `status` tells."""

    version: str
    operations: tuple[str, ...]
    warnings: tuple[WarningCount, ...]
    started_at: datetime | None
    who: str
    host: str
    ci_url: str
    git_commit: str
    pruned: bool
    """Whether its journal was deleted, so that it cannot be taken back any more."""


@dataclass(frozen=True)
class ReportResult:
    """Where a database stands, how it came there, and a few documents that were changed on the way."""

    at: datetime
    """By the server's clock."""
    status: StatusResult
    history: tuple[HistoryEntry, ...]
    """Oldest first."""
    versions: tuple[VersionReport, ...]
    """Those that are not pending, ascending."""
    passes: tuple[PassReport, ...]
    """In the order of their versions."""
