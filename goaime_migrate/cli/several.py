"""What a command says of several databases: a line for each, and one outcome for all."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from goaime_migrate import errors
from goaime_migrate.cli.outcome import Ended, Outcome
from goaime_migrate.cli.scope import One, Running
from goaime_migrate.cli.signals import interruption
from goaime_migrate.render.databases import Row, databases
from goaime_migrate.render.style import Style
from goaime_migrate.results.databases import DatabaseResult, DatabasesResult

if TYPE_CHECKING:
    from goaime_migrate.migrator import Migrator
    from goaime_migrate.migrator.databases import Databases

_UNWRAPPED = Style(width=1_000)


class Several:
    """Several: a line for each, and the error of the first that failed."""

    several = True

    def __init__(self, command: str, databases: Databases, first: str | None, fail_fast: bool) -> None:
        self._command = command
        self._databases = databases
        self.at_work: Running = databases
        self._first = first
        self._fail_fast = fail_fast

    def each(self, one: One) -> Outcome:
        """Do this with every one of them. Raises Ended where a signal has stopped it: what comes next is not done."""
        stopped: list[KeyboardInterrupt] = []

        def unless_stopped(migrator: Migrator) -> Outcome:
            try:
                return one(migrator)
            except KeyboardInterrupt as error:
                stopped.append(error)
                raise interruption(error, self._command) from error

        outcome = self._each(unless_stopped)
        if stopped:
            raise Ended(outcome)
        return outcome

    def _each(self, one: One) -> Outcome:
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
    rows = []
    for each in found:
        text = each.result.text(style) if each.result and style.verbose else ""
        evidence = each.result.evidence if each.result else ""
        rows.append(Row(each.database, _brief(each.result), text, each.error, evidence))
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
