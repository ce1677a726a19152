"""From what rules say to findings: rule, severity, location, and what the file allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from goaime_migrate.errors import (
    MigrateError,
    MissingCapability,
    MissingPrivilege,
    OperationFailed,
    UsageError,
)
from goaime_migrate.results import Finding, Severity
from goaime_migrate.rules.registry import Rule, Said, Subject
from goaime_migrate.rules.source import File

_UNASKED = (MissingCapability, MissingPrivilege, OperationFailed, UsageError)
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.NOTE)


class Location(NamedTuple):
    """Where what a rule says belongs."""

    file: File | None = None
    version: str | None = None
    collection: str | None = None
    line: int | None = None


def ask(
    rules: Iterable[Rule[Subject]], subject: Subject, location_of: Callable[[Said], Location]
) -> Iterator[Finding]:
    """What the rules say of a subject."""
    for rule in rules:
        try:
            for said in rule.ask(subject):
                yield _finding(rule, said, location_of(said))
        except _UNASKED as error:
            yield _finding(rule, _unasked(error), location_of(_unasked(error)))


def _unasked(error: MigrateError) -> Said:
    """A rule that this database, or this user, does not answer says so, and the others go on."""
    return Said(
        f"it cannot be told here: {error.message}",
        str(error.hint) or "plan it on a server, as the user who will run it",
        severity=Severity.NOTE,
    )


def _finding(rule: Rule[Any], said: Said, location: Location) -> Finding:
    found = Finding(
        rule=rule.name,
        severity=said.severity or rule.severity,
        version=location.version,
        collection=said.collection or location.collection,
        message=said.message,
        evidence=said.evidence,
        remedy=said.remedy,
        file=None if location.file is None else location.file.shown,
        line=said.line or location.line,
    )
    reason = "" if location.file is None else location.file.allows(rule.name)
    if not reason or found.severity is Severity.NOTE:
        return found
    return replace(found, severity=Severity.NOTE, message=f"{found.message} (allowed: {reason})")


def worst_first(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors, then warnings, then notes; each once, in the order in which they came."""
    unique: list[Finding] = []
    for each in found:
        if each not in unique:
            unique.append(each)
    return tuple(sorted(unique, key=lambda finding: _ORDER.index(finding.severity)))
