"""What rules say of a migration: `lint` of its file, `plan` of what it would do to the data that are there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from goaime_migrate.results.words import Document, Key


class Severity(StrEnum):
    """How bad it is: an error would fail for certain or lose data; warnings and notes never stop a run."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """What one rule says, what it goes by, and what to do."""

    rule: str
    severity: Severity
    version: str | None
    collection: str | None
    message: str
    evidence: Annotated[Document, Key(extended=True, relaxed=True)]
    """Counts, examples and `_id`s by name, in relaxed Extended JSON."""
    remedy: str
    file: str | None
    line: int | None
