"""What a command works on: one database, or several one after the other.

A command says what it does with one. `each` does that, and gives its outcome, or that of all: so no command knows how
many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from goaime_migrate import errors
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.render.style import Style
from goaime_migrate.results.databases import DatabaseResult, DatabasesResult

if TYPE_CHECKING:
    from goaime_migrate.config import Settings
    from goaime_migrate.migrator import Migrator
    from goaime_migrate.migrator.databases import Databases

_UNWRAPPED = Style(width=1_000)
One = Callable[["Migrator"], Outcome]


class Running(Protocol):
    """A run that may be at work."""

    def interrupt(self, signum: int) -> None:
        """Stop it after its batch."""

    @property
    def function(self) -> str:
        """The user's function that is running, if one is."""


class Scope(Protocol):
    """The database, or databases, of a command."""

    several: bool
    at_work: Running
    """What a signal is to stop."""

    def each(self, one: One) -> Outcome:
        """Do this with every one of them."""


class _Single:
    """One database: its outcome is the command's."""

    several = False

    def __init__(self, migrator: Migrator) -> None:
        self._migrator = migrator
        self.at_work: Running = migrator

    def each(self, one: One) -> Outcome:
        return one(self._migrator)


class _Several:
    """Several: a line for each, and the error of the first that failed."""

    several = True

    def __init__(self, command: str, databases: Databases, first: str | None, fail_fast: bool) -> None:
        self._command = command
        self._databases = databases
        self.at_work: Running = databases
        self._first = first
        self._fail_fast = fail_fast

    def each(self, one: One) -> Outcome:
        try:
            found = self._databases.each(one, first=self._first, fail_fast=self._fail_fast)
        except errors.MigrateError as error:  # nobody knows which databases there are
            return Outcome(DatabasesResult((), command=self._command), lambda _: "", error)
        values = tuple(
            DatabaseResult(each.database, each.result and each.result.result, each.error)
            for each in found.databases
        )
        return Outcome(
            DatabasesResult(values, found.not_begun, self._command),
            partial(_text, found.databases, found.not_begun),
            found.error,
            read=any(each.result is not None and each.result.read for each in found.databases),
        )


def _text(found: tuple[DatabaseResult[Outcome], ...], not_begun: tuple[str, ...], style: Style) -> str:
    from goaime_migrate.render.databases import Row, databases

    rows = []
    for each in found:
        text = each.result.text(style) if each.result and style.verbose else ""
        rows.append(Row(each.database, _brief(each.result), text, each.error))
    return databases(rows, not_begun, style)


def _brief(outcome: Outcome | None) -> str:
    """The line that stands for an outcome: its own, or the last of its text."""
    if outcome is None or outcome.brief:
        return outcome.brief if outcome else ""
    return next(
        (line.strip() for line in reversed(outcome.text(_UNWRAPPED).splitlines()) if line.strip()), ""
    )


def results_of(outcome: Outcome) -> list[Any]:
    """The result that each database has come to; those that have failed before there was one are left out."""
    if isinstance(outcome.result, DatabasesResult):
        return [each.result for each in outcome.result.databases if each.result is not None]
    return [outcome.result]


@contextmanager
def over(
    run: Invocation,
    settings: Settings,
    *,
    progress: bool = False,
    first: str | None = None,
    fail_fast: bool = False,
) -> Iterator[Scope]:
    """The databases that the settings name, open one at a time. Raises UsageError where `first` cannot be."""
    if not settings.databases:
        if first is not None:
            raise errors.UsageError(
                f"--first {first} says which of several databases comes first, and there is one",
                hint="name several: --database NAME --database NAME, or --database 'tenant_*'",
            )
        with run.migrator(settings, progress=progress) as migrator:
            yield _Single(migrator)
        return
    from goaime_migrate.events import silent
    from goaime_migrate.migrator.databases import Databases

    with run.listener(progress) as listener, Databases(settings, listener or silent) as databases:
        yield _Several(run.command, databases, first, fail_fast)
