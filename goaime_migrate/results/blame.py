"""What `blame` returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from goaime_migrate.results.words import ABSENT, Absent, Document, Key, Value


class ChangeKind(StrEnum):
    """What a version was doing when it wrote a document."""

    UP = "up"
    CANARY = "canary"
    TAIL = "tail"
    SWEEP = "sweep"
    DOWN = "down"


@dataclass(frozen=True)
class FieldChange:
    """A top-level field before and after a change."""

    field: str
    before: Annotated[Any, Key(extended=True, optional=True)] = ABSENT
    """Absent where there was no such field,"""
    after: Annotated[Any, Key(extended=True, optional=True)] = ABSENT
    """or there is none, or what was written is not known any more."""
    note: Annotated[str | Absent, Key(optional=True)] = ABSENT
    """Why what was written is not known; else absent."""


@dataclass(frozen=True)
class BlamedChange:
    """What one version has done to the document at one time."""

    version: str
    at: datetime | None
    who: str
    kind: ChangeKind
    fields: tuple[FieldChange, ...]
    note: Annotated[str | Absent, Key(optional=True)] = ABSENT
    """What the fields do not say: that the document was inserted or deleted, or that only their order was changed."""


@dataclass(frozen=True)
class BlameResult:
    """What versions have done to one document, in the order in which they did it. Nothing was written."""

    collection: str
    id: Value
    changes: tuple[BlamedChange, ...]
    notes: tuple[str, ...] = ()
    """What is not known: journals that were pruned, functions that keep none."""


@dataclass(frozen=True)
class AsOfResult:
    """One document as it was before a version. Nothing was written."""

    collection: str
    id: Value
    version: str
    document: Annotated[Document | None, Key(extended=True)]
    """None where there was none."""
    notes: Annotated[tuple[str, ...], Key(hidden=True)] = ()
    """What may have changed it besides: functions that keep no journal."""
