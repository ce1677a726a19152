"""What every command returns. The names of the fields are the keys that ``--json`` prints.

Times are timezone-aware UTC datetimes, durations seconds, ids and documents plain decoded BSON values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from goaime_migrate.errors import MigrateError, Problem

Document = dict[str, Any]


class State(StrEnum):
    """Where a version stands. `pending` has no record; every other state is one in `schema_versions`."""

    PENDING = "pending"
    RUNNING = "running"
    PARTIAL = "partial"
    APPLIED = "applied"
    REVERTING = "reverting"
    FAILED = "failed"


class Direction(StrEnum):
    """Which way a plan goes."""

    UP = "up"
    DOWN = "down"


class OnConflict(StrEnum):
    """What `down` does where the application has changed the very field that it would take back."""

    KEEP = "keep"
    RESTORE = "restore"
    STOP = "stop"


@dataclass(frozen=True)
class Counts:
    """Documents of a version or a run. `matched` = `changed` + `unchanged` + `conflicts`."""

    matched: int = 0
    changed: int = 0
    unchanged: int = 0
    conflicts: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.matched + other.matched,
            self.changed + other.changed,
            self.unchanged + other.unchanged,
            self.conflicts + other.conflicts,
        )


@dataclass(frozen=True)
class WarningCount:
    """A text that a version's transforms warned with, how often, and a few `_id`s."""

    version: str
    message: str
    count: int
    examples: tuple[Any, ...]


@dataclass(frozen=True)
class Conflict:
    """A document that could not be taken back, or brought forward, whole; `fields` were left as they are."""

    version: str
    collection: str
    id: Any
    fields: tuple[str, ...]


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
    """Who holds the lease. `live` says whether it has not expired yet, by the server's clock."""

    owner: str
    who: str
    host: str
    pid: int
    fence: int
    acquired_at: datetime | None
    expires_at: datetime | None
    live: bool


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


@dataclass(frozen=True)
class RunResult:
    """What `up` or `down` did. A partial failure is a value: `failed` and `error` say where it stopped and why."""

    direction: Direction
    versions: tuple[str, ...]
    """Applied by `up`, or reverted by `down`, in the order in which they were finished."""
    failed: str | None
    error: MigrateError | None
    documents: Counts
    conflicts: tuple[Conflict, ...]
    warnings: tuple[WarningCount, ...]
    duration_s: float
    message: str = ""
    """One sentence for people where nothing had to be done."""
    born: int = 0
    """Documents that `down` found, that were inserted after `up`, and for which there is no `reverse=`."""


@dataclass(frozen=True)
class OperationPlan:
    """One operation of a step; counts are None where the operation does not work on documents."""

    text: str
    collection: str | None
    matched: int | None
    changed: int | None
    unchanged: int | None


@dataclass(frozen=True)
class Sample:
    """One document before and after."""

    id: Any
    before: Document
    after: Document


@dataclass(frozen=True)
class StepPlan:
    """What one version would do."""

    version: str
    name: str
    operations: tuple[OperationPlan, ...]
    samples: tuple[Sample, ...]
    irreversible: bool
    warnings: tuple[WarningCount, ...]
    notes: tuple[str, ...] = ()
    """Advice for people, for example that a sample shows no change at all."""


@dataclass(frozen=True)
class Predicted:
    """From a timed sample."""

    seconds: float
    journal_bytes: int
    oplog_bytes: int


@dataclass(frozen=True)
class DownPreview:
    """What `down` would find, over all documents of the journal."""

    exact: int = 0
    merged: int = 0
    conflicts: int = 0
    born: int = 0


@dataclass(frozen=True)
class PlanResult:
    """What `up` or `down` would do. Nothing was written."""

    direction: Direction
    target: str | None
    steps: tuple[StepPlan, ...]
    predicted: Predicted
    refused: MigrateError | None
    preview: DownPreview | None = None
    sampled: int | None = None
    """How many documents a collection the counts were extrapolated from, or None where all were read."""
    message: str = ""


@dataclass(frozen=True)
class VerifyFailure:
    """A document, or a statement about several, that breaks a promise."""

    version: str
    collection: str | None
    id: Any
    field: str | None
    reason: str


@dataclass(frozen=True)
class VerifyResult:
    """How many documents were checked, and what failed; `superseded` versions were covered by newer promises."""

    checked: int
    failures: tuple[VerifyFailure, ...]
    versions: tuple[str, ...] = ()
    superseded: tuple[str, ...] = ()


@dataclass(frozen=True)
class HistoryEntry:
    """One event of the log."""

    at: datetime
    version: str | None
    action: str
    result: str
    duration_s: float | None
    who: str
    host: str
    tool: str


@dataclass(frozen=True)
class NewResult:
    """The file that `new` wrote."""

    version: str
    path: str


@dataclass(frozen=True)
class InitResult:
    """The files that `init` wrote; those that were there already are left alone."""

    created: tuple[str, ...]
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnlockResult:
    """The lease as it was, and whether it was ended."""

    lock: LockStatus | None
    ended: bool


@dataclass(frozen=True)
class LintResult:
    """Problems in the files alone."""

    checked: int
    problems: tuple[Problem, ...] = field(default=())


@dataclass(frozen=True)
class StampResult:
    """The versions that `stamp` recorded as applied without running them, and those whose record it removed."""

    recorded: tuple[str, ...]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class RepairResult:
    """The edited files that `repair` accepted, and the versions of removed files whose records it dropped."""

    accepted: tuple[str, ...]
    dropped: tuple[str, ...]
