"""What a command works on: one database, or several one after the other.

A command says what it does with one. `each` does that, and gives its outcome, or that of all: so no command knows how
many there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from goaime_migrate import errors
from goaime_migrate.cli import argv as words
from goaime_migrate.cli.commands import COMMANDS, function_of
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.outcome import Outcome

if TYPE_CHECKING:
    from goaime_migrate.config import Settings
    from goaime_migrate.migrator import Migrator

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


def names_several(argv: Sequence[str]) -> bool:
    """Whether a command line is about several databases, also where nothing has come of it."""
    command = next(iter(argv), "")
    if command not in COMMANDS or "fail_fast" not in signature(function_of(command)).parameters:
        return False
    from goaime_migrate import config

    files, envs, uris = (
        words.values_of(argv, "--config", "-c"),
        words.values_of(argv, "--env"),
        words.values_of(argv, "--uri"),
    )
    return config.names_several(
        config=Path(files[-1]) if files else None,
        env=envs[-1] if envs else None,
        overrides={
            "uri": uris[-1] if uris else None,
            "database": words.values_of(argv, "--database") or None,
        },
        cwd=Path.cwd(),
        environ=os.environ,
    )


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
    from goaime_migrate.cli.several import Several
    from goaime_migrate.events import silent
    from goaime_migrate.migrator.databases import Databases

    with run.listener(progress) as listener, Databases(settings, listener or silent) as databases:
        yield Several(run.command, databases, first, fail_fast)
