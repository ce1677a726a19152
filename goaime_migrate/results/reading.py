"""What `verify` and `lint` return."""

from __future__ import annotations

from dataclasses import dataclass

from goaime_migrate.errors import Problem
from goaime_migrate.results.findings import Finding
from goaime_migrate.results.words import Value


@dataclass(frozen=True)
class VerifyFailure:
    """A document, or a statement about several, that breaks a promise."""

    version: str
    collection: str | None
    id: Value
    field: str | None
    reason: str


@dataclass(frozen=True)
class Straggler:
    """Documents in an old shape: applied once more, the version would change them. `examples`: the `_id`s of a few."""

    version: str
    collection: str
    count: int
    examples: tuple[Value, ...]


@dataclass(frozen=True)
class UncheckedPromise:
    """A promise that this database cannot be asked about."""

    version: str
    collection: str
    reason: str


@dataclass(frozen=True)
class VerifyResult:
    """How many documents were checked, and what failed; `superseded` versions were covered by newer promises."""

    checked: int
    failures: tuple[VerifyFailure, ...]
    versions: tuple[str, ...] = ()
    superseded: tuple[str, ...] = ()
    promises: int = 0
    """How many promises were checked: `model=`, `check=`, `verify(db)`, validators that were set, and fixed points."""
    without_promise: tuple[str, ...] = ()
    """The applied versions that promise nothing, so that nothing is known of them."""
    unchecked: tuple[UncheckedPromise, ...] = ()
    """Promises that could not be checked here; they are not among those that were."""
    stragglers: tuple[Straggler, ...] = ()
    """Documents that the applied transforms would change again, though they leave their own results alone."""


@dataclass(frozen=True)
class LintResult:
    """Problems in the files alone."""

    checked: int
    problems: tuple[Problem, ...] = ()
    """What is wrong with files, and what rules warn of, without evidence."""
    findings: tuple[Finding, ...] = ()
    """What rules say of the files that load, the worst first."""
