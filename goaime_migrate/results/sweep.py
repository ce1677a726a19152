"""What `sweep` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from goaime_migrate.errors import MigrateError
from goaime_migrate.results.words import Counts, Key


@dataclass(frozen=True)
class SweptDocuments:
    """What a version has come to in a collection, or would. `matched`: documents that were looked at, and match."""

    version: str
    collection: str
    matched: int
    changed: int
    """Documents in an old shape that it has changed;"""
    conflicts: int
    """and those that are left, since it cannot be told whether they are old."""

    @property
    def documents(self) -> Counts:
        """The same as it is counted of a run: what was looked at again, since it was written once more, counts again."""
        matched = max(self.matched, self.changed + self.conflicts)
        return Counts(matched, self.changed, matched - self.changed - self.conflicts, self.conflicts)


@dataclass(frozen=True)
class SweepResult:
    """What became of documents that were written in an old shape, an entry for each version."""

    swept: tuple[SweptDocuments, ...]
    remaining: int
    """How many documents are in an old shape still: all of them where nothing was to be done, in a dry run."""
    error: MigrateError | None = None
    dry_run: Annotated[bool, Key(hidden=True)] = False
