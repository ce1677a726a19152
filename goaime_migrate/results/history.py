"""What `history` returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from goaime_migrate.results.words import Counts, Key


@dataclass(frozen=True)
class HistoryError:
    """Why a run has not come to its end."""

    code: str
    message: str


@dataclass(frozen=True)
class PaceMark:
    """How many documents a run had seen to for a version, so many seconds after it had begun with it."""

    at: float
    done: int


@dataclass(frozen=True)
class Work:
    """What a run has done for a version: what the log keeps of it beside its end."""

    run: str
    """The run, by an id of its own: one may see to several versions."""
    documents: Counts | None = None
    """What the version has in all, or what was taken back of it; None where that is not known at this end."""
    warnings: int = 0
    pace: tuple[PaceMark, ...] = ()
    """A few marks at most, however long it took. The versions of one pass have the same ones."""


@dataclass(frozen=True)
class HistoryEntry:
    """One event of the log."""

    at: datetime
    version: str | None
    action: str
    result: str
    error: HistoryError | None
    duration_s: float | None
    who: str
    host: str
    tool: str
    work: Annotated[Work | None, Key(hidden=True)] = None
    """None where the release that wrote it kept nothing."""
