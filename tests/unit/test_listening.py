"""What is told of a command: that it begins, and how it ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from goaime_migrate import Migrator
from goaime_migrate.cli.commands import COMMANDS
from goaime_migrate.errors import Interrupted, LockHeld, MigrateError
from goaime_migrate.events import CommandFinished, CommandStarted, Event
from goaime_migrate.migrator.listening import Teller, command
from goaime_migrate.migrator.sources import Sources
from goaime_migrate.results import Direction
from tests.unit.command_line import planned, ran

WITHOUT_A_DATABASE = {"init", "new", "explain"}


class Facade:
    """A facade with one command."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self._listener = Teller(self.told.append)
        self._sources = cast("Sources", SimpleNamespace(database="shop"))

    @command
    def do_(self, result: Any) -> Any:
        """Give it back, or raise it."""
        if isinstance(result, BaseException):
            raise result
        return result


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_A_DATABASE))
def test_every_command_is_told(name: str) -> None:
    method = getattr(Migrator, name, None) or getattr(Migrator, f"{name}_")
    assert hasattr(method, "__wrapped__")


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (None, None),
        (ran(Direction.UP), None),
        (ran(Direction.UP, LockHeld("held")), LockHeld.code),
        (planned(refused=LockHeld("held")), LockHeld.code),
    ],
    ids=["nothing", "done", "failed", "refused"],
)
def test_the_error_of_a_result_is_told(result: Any, code: str | None) -> None:
    facade = Facade()
    assert facade.do_(result) is result
    begin, end = facade.told
    assert begin == CommandStarted("do")
    assert isinstance(end, CommandFinished)
    assert (end.command, end.database, end.error) == ("do", "shop", code)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (LockHeld("held"), LockHeld.code),
        (KeyboardInterrupt(), Interrupted.code),
        (ValueError("a bug"), MigrateError.code),
    ],
    ids=str,
)
def test_what_is_raised_is_told_and_raised(raised: BaseException, code: str) -> None:
    facade = Facade()
    with pytest.raises(type(raised)) as caught:
        facade.do_(raised)
    assert caught.value is raised
    assert isinstance(facade.told[-1], CommandFinished)
    assert facade.told[-1].error == code
