"""What `plan` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

from goaime_migrate.errors import MigrateError
from goaime_migrate.results.findings import Finding
from goaime_migrate.results.predicted import Predicted
from goaime_migrate.results.words import Direction, Document, Key, Value, WarningCount


@dataclass(frozen=True)
class OperationPlan:
    """One operation of a step in words; counts that cannot be foreseen are left out."""

    text: str
    collection: str | None
    matched: int | None
    changed: int | None
    unchanged: int | None


@dataclass(frozen=True)
class Sample:
    """One document before and after; None where there is none."""

    id: Value
    before: Annotated[Document | None, Key(extended=True)]
    after: Annotated[Document | None, Key(extended=True)]


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
class DownPreview:
    """What `down` would find, over all documents of the journal."""

    exact: int = 0
    merged: int = 0
    conflicts: int = 0
    born: int = 0
    """Documents that were inserted since `up`."""
    left: int = 0
    """Those among them that would stay as they are."""
    without_reverse: tuple[str, ...] = ()
    """The versions whose missing `reverse=` would stop them."""
    erased: int = 0
    """Documents that were erased from the journal, and would stay as they are."""
    before_sweep: int = 0
    """Documents that would come back as they were before a sweep, which was after `up` had met them."""


@dataclass(frozen=True)
class PlanResult:
    """What `up` or `down` would do. Nothing was written."""

    direction: Direction
    target: str | None
    steps: tuple[StepPlan, ...]
    predicted: Predicted
    refused: MigrateError | None
    preview: DownPreview | None = None
    unforeseen: tuple[str, ...] = ()
    """Versions of which not everything can be foreseen; a rehearsal tells."""
    sampled: int | None = None
    """How many documents a collection the counts were extrapolated from, or None where all were read."""
    message: str = ""
    findings: tuple[Finding, ...] = ()
    """What rules say of it, the worst first."""

    @classmethod
    def unmade(cls, direction: Direction, target: str | None, refused: MigrateError) -> Self:
        """Where there is nothing to show but why it is refused."""
        return cls(direction, target, (), Predicted(0.0, 0, 0), refused)
