"""What a command that works on several databases returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from goaime_migrate.errors import MigrateError

T = TypeVar("T")


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
        first, others = self.failed[0], len(self.failed) - 1
        assert first.error is not None
        total = len(self.databases) + len(self.not_begun)
        message = f"{first.database}: {first.error.message}"
        if total > 1:
            message += f" ({others + 1} of {total} databases failed)"
        if self.not_begun:
            message += f"; not begun: {len(self.not_begun)}"
        said = type(first.error)(
            message,
            hint=first.error.hint,
            version=first.error.version,
            id=first.error.id,
            field=first.error.field,
            detail=first.error.detail,
        )
        said.exit_code = first.error.exit_code
        said.__cause__ = first.error
        return said
