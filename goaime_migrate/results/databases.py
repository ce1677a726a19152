"""What a command that works on several databases returns."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Generic, TypeVar

from goaime_migrate.errors import MigrateError
from goaime_migrate.errors.hint import Hint

T = TypeVar("T")
_OF_FILES = ("init", "new", "lint", "explain")
"""Commands that are about no database."""


@dataclass(frozen=True)
class DatabaseResult(Generic[T]):
    """What came of one of them."""

    database: str
    result: T | None
    """None where it failed before there was one."""
    error: MigrateError | None = None


@dataclass(frozen=True)
class DatabasesResult(Generic[T]):
    """What came of each, in the order in which they had their turn."""

    databases: tuple[DatabaseResult[T], ...]
    not_begun: tuple[str, ...] = ()
    """Those whose turn did not come, since one before them has failed."""
    command: str = ""
    """What was done; it says what is printed for one that failed before there was a result."""

    @property
    def failed(self) -> tuple[DatabaseResult[T], ...]:
        """Those that have an error."""
        return tuple(each for each in self.databases if each.error is not None)

    @property
    def error(self) -> MigrateError | None:
        """The first error, which names its database and says how many more there are; None where all went well."""
        if not self.failed:
            return None
        name, first = self.failed[0].database, self.failed[0].error
        assert first is not None
        said = type(first)(
            f"{name}: {first.message} ({self._extent})",
            hint=self._next(_about(first.hint, name)),
            version=first.version,
            id=first.id,
            field=first.field,
            detail=first.detail,
        )
        said.exit_code = first.exit_code
        said.__cause__ = first
        return said

    def _next(self, hint: str) -> str:
        return (
            Hint("{}; then the same command again, for those that were not begun", hint)
            if self.not_begun
            else hint
        )

    @property
    def _extent(self) -> str:
        total = len(self.databases) + len(self.not_begun)
        left = f", {len(self.not_begun)} not begun" if self.not_begun else ""
        return f"{len(self.failed)} of {total} {'database' if total == 1 else 'databases'}{left}"


def _about(hint: str, database: str) -> str:
    """The advice with commands that are about this one database."""
    if isinstance(hint, Hint):
        for command in dict.fromkeys(hint.commands):
            if command.words[0] in _OF_FILES:
                continue
            hint = hint.instead(command, command.to("--database", shlex.quote(database)))
    return hint
