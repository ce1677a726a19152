"""What `status` and `wait` return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from goaime_migrate.errors import Problem
from goaime_migrate.results.words import Counts, State


@dataclass(frozen=True)
class Progress:
    """How far an unfinished version has come. `rate` in documents a second, `eta_s` seconds, or None if unknown."""

    done: int
    total: int | None
    rate: float | None
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
    documents: Counts | None
    warnings: int
    progress: Progress | None
    checksum: str | None


@dataclass(frozen=True)
class LockStatus:
    """Who holds the lease. `live`: it has not expired yet, by the server's clock, and its holder is not gone.

    `gone`: its holder was a process of this very host that is no more; the next run takes the lease over at once.
    """

    owner: str
    who: str
    host: str
    pid: int
    fence: int
    acquired_at: datetime | None
    expires_at: datetime | None
    live: bool
    gone: bool = False


@dataclass(frozen=True)
class StatusResult:
    """Every version with its state."""

    database: str
    server: str
    mode: str
    current: str | None
    head: str | None
    pending: tuple[str, ...]
    problems: tuple[Problem, ...]
    lock: LockStatus | None
    versions: tuple[VersionStatus, ...]
    warnings: tuple[Problem, ...] = ()
    """What stops nothing, and ought to be known."""
