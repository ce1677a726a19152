"""What `status` and `wait` return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from goaime_migrate.errors import Problem
from goaime_migrate.results.holdup import Throttle, Waiting
from goaime_migrate.results.words import Counts, Key, Mode, State, VersionError


@dataclass(frozen=True)
class Progress:
    """How far an unfinished version has come, as far as it is known."""

    done: int
    total: int | None
    rate: float | None
    """Documents a second."""
    eta_s: float | None


@dataclass(frozen=True)
class VersionStatus:
    """One line of `status`."""

    version: str
    name: str
    description: str
    state: State
    applied_at: datetime | None
    duration_s: float | None
    documents: Annotated[Counts | None, Key(none=Counts())]
    warnings: int
    progress: Progress | None
    checksum: str | None
    error: VersionError | None = None
    journal_bytes: int = 0
    """What the journal of its passes takes, before the server compresses it; versions of one pass share it."""


@dataclass(frozen=True)
class LockStatus:
    """Who holds the lease."""

    owner: str
    who: str
    host: str
    pid: int
    fence: int
    acquired_at: datetime | None
    expires_at: datetime | None
    live: bool
    """It has not expired yet, by the server's clock, and its holder is not gone."""
    gone: Annotated[bool, Key(hidden=True)] = False
    """Its holder was a process of this very host that is no more; the next run takes the lease over at once."""
    throttle: Throttle | None = None
    """What its holder was told by `throttle`; it ends with the run."""


@dataclass(frozen=True)
class StatusWarning:
    """Something that stops nothing, and that somebody should know."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class StatusResult:
    """Every version with its state."""

    database: str
    server: str
    mode: Mode
    current: str | None
    head: str | None
    pending: tuple[str, ...]
    problems: tuple[Problem, ...]
    lock: LockStatus | None
    versions: tuple[VersionStatus, ...]
    waiting: Waiting | None = None
    warnings: tuple[StatusWarning, ...] = ()
    journal_bytes: int = 0
    """What the journals of all passes take together, before the server compresses them."""
