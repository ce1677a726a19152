"""What `rehearse` returns."""

from __future__ import annotations

from dataclasses import dataclass

from goaime_migrate.errors import MigrateError
from goaime_migrate.results.predicted import Predicted


@dataclass(frozen=True)
class RehearsalCheck:
    """One thing that has to hold; `detail` is the evidence, or how much was looked at."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class RehearsalResult:
    """What became of the pending versions on a copy. The database itself was only read."""

    versions: tuple[str, ...]
    documents: int
    """How many were copied."""
    checks: tuple[RehearsalCheck, ...]
    predicted: Predicted
    """Of `up` on the whole database, where the versions could be applied to the copy."""
    error: MigrateError | None = None
    where: str = ""
    """Where the copy was; empty where none was made."""
    notes: tuple[str, ...] = ()
    """What was not copied, or was copied as a whole, and why."""
    message: str = ""
    """Why there was nothing to rehearse."""
