"""What `doctor` returns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from goaime_migrate.errors import MigrateError


class CheckStatus(StrEnum):
    """How a check came out; `unknown` where this user may not see what it takes."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: CheckStatus
    message: str
    remedy: str = ""
    """What to do, down to the command to type; empty where nothing has to be done."""


@dataclass(frozen=True)
class DoctorResult:
    """All that was looked at, in the order of the looking."""

    checks: tuple[Check, ...]
    error: MigrateError | None = None
    """Why there is no more, where the database, its records or the files could not be read."""
