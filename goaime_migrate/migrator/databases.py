"""The same migrations over several databases of one server, or of one dump."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from goaime_migrate.config import SERVERS_OWN, Settings, is_pattern
from goaime_migrate.config.copies import place_names
from goaime_migrate.errors import Interrupted, MigrateError, ServerUnreachable, UsageError
from goaime_migrate.events import CommandFinished, CommandStarted, DatabaseStarted, Event, Listener, silent
from goaime_migrate.migrator import Migrator
from goaime_migrate.migrator.sources import Sources
from goaime_migrate.results.databases import DatabaseResult, DatabasesResult

if TYPE_CHECKING:
    from goaime_migrate.backends.connect import Deployment

T = TypeVar("T")
_SHOWN = 10
"""Names of databases that a hint lists."""


class Databases:
    """One project's migrations and several databases, one after the other, over one pool of connections.

    The settings name them: `databases` holds names and patterns. Use it as a context manager.
    """

    def __init__(self, settings: Settings, listener: Listener = silent) -> None:
        self._settings = settings
        self._listener = listener
        self._common = Sources(settings, listener)
        self._signal: int | None = None
        self._now: Migrator | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the server."""
        self._common.close()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The databases in the order in which they are named, what a pattern matches by name.

        A name stands for itself, whether there is such a database or not. Raises UsageError where a pattern matches
        none, and where nothing is named.
        """
        named = self._settings.databases or tuple(filter(None, [self._settings.database]))
        if not named:
            raise UsageError("no databases are named", hint="say which: databases=('tenant_*',)")
        there = _there(self._common.deployment) if any(map(is_pattern, named)) else []
        return tuple(dict.fromkeys(name for each in named for name in _matching(each, there)))

    def interrupt(self, signum: int = 0) -> None:
        """Ask the run that is at work to stop after its batch; no other database is begun.

        `signum`: as `Migrator` has it.
        """
        self._signal = signum
        if self._now is not None:
            self._now.interrupt(signum)

    @property
    def function(self) -> str:
        """The user's function that is running, as `Migrator` has it."""
        return "" if self._now is None else self._now.function

    def each(
        self, work: Callable[[Migrator], T], *, first: str | None = None, fail_fast: bool = False
    ) -> DatabasesResult[T]:
        """Do this in each of them. What fails in one, with an error raised or in its result, stops no other.

        It does where `fail_fast` says so, where the run was interrupted and where no server answers. `first` has its
        turn before all others, and if it fails none of them is begun. Raises UsageError.
        """
        order = self._order(first)
        done: list[DatabaseResult[T]] = []
        for number, name in enumerate(order, start=1):
            found = self._in_one(name, number, len(order), work)
            done.append(found)
            if found.error is not None and (
                fail_fast or name == first or isinstance(found.error, Interrupted | ServerUnreachable)
            ):
                break
        return DatabasesResult(tuple(done), tuple(order[len(done) :]))

    def _order(self, first: str | None) -> Sequence[str]:
        if first is None:
            return self.names
        if first not in self.names:
            raise UsageError(
                f"{first} is none of the databases", hint=f"they are {_list(self.names)}: take one of them"
            )
        return (first, *(name for name in self.names if name != first))

    def _in_one(self, name: str, number: int, total: int, work: Callable[[Migrator], T]) -> DatabaseResult[T]:
        if self._signal is not None:
            error = Interrupted.by(
                self._signal, "stopped by {} before it was begun", "the same command goes on there"
            )
            return DatabaseResult(name, None, error)
        settings = self._settings.at(database=name, databases=())
        begun = False

        def listen(event: Event) -> None:
            nonlocal begun
            if not (begun or isinstance(event, CommandStarted | CommandFinished)):
                begun = True
                self._listener(DatabaseStarted(name, number, total))
            self._listener(event)

        try:
            with Migrator(settings, listen, common=self._common) as self._now:
                result = work(self._now)
        except MigrateError as error:
            return DatabaseResult(name, None, error)
        finally:
            self._now = None
        return DatabaseResult(name, result, _error_of(result))


def _error_of(result: Any) -> MigrateError | None:
    """Why it failed, where the result of a command says so."""
    found = getattr(result, "error", None) or getattr(result, "refused", None)
    return found if isinstance(found, MigrateError) else None


def _there(place: Deployment) -> list[str]:
    """All databases by name, but the server's own, and the copies of others that `rehearse` works on."""
    names = place.names()
    copies = {copy for name in names for copy in place_names(name)}
    return sorted(set(names) - copies - set(SERVERS_OWN))


def _matching(named: str, there: Sequence[str]) -> Sequence[str]:
    """The databases that are meant. Raises UsageError."""
    if not is_pattern(named):
        return [named]
    found = [name for name in there if name == named or fnmatchcase(name, named)]
    if not found:
        raise UsageError(
            f"no database matches {named}",
            hint=f"there is {_list(there)}" if there else "there is no database yet: name the ones to make",
        )
    return found


def _list(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
