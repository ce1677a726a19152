"""What `lint` says: the rules for files, asked of each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from goaime_migrate.errors import LintProblems, Problem
from goaime_migrate.migration import Migration
from goaime_migrate.results import Finding, Severity
from goaime_migrate.rules.findings import Location, ask, worst_first
from goaime_migrate.rules.registry import FILES
from goaime_migrate.rules.source import File


def lint(
    migrations: Sequence[Migration], unloaded: Collection[str] = (), after: int = 0
) -> tuple[Finding, ...]:
    """What rules say of files that load, beside the versions of those that do not.

    The files up to and including the version `after` are spared.
    """
    versions = {m.version for m in migrations} | set(unloaded)
    files = [File(m, versions, tuple(migrations)) for m in migrations if int(m.version) > after]
    return worst_first(finding for file in files for finding in of_file(file))


def of_file(file: File) -> Iterator[Finding]:
    """What rules say of one file."""
    return ask(FILES.all, file, lambda _: Location(file, file.migration.version))


def problems(findings: Sequence[Finding]) -> tuple[Problem, ...]:
    """The findings that `lint` fails with, in the short form that problems of files have."""
    return tuple(
        Problem(LintProblems.code, found.version, f"{_place(found)}{found.message}", found.remedy)
        for found in findings
        if found.severity is not Severity.NOTE
    )


def _place(found: Finding) -> str:
    name = (found.file or "").rpartition("/")[2]
    if not name or found.message.startswith(name):
        return ""
    return f"{name}: " if found.line is None else f"{name}, line {found.line}: "
