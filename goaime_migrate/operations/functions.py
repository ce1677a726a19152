"""Plain `up(db)` and `down(db)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from goaime_migrate.backends.ports import Catalogue, UserDatabase
from goaime_migrate.errors import FunctionFailed, MigrateError
from goaime_migrate.errors.hint import Command, Hint
from goaime_migrate.operations.base import StateOperation
from goaime_migrate.results import Document


def _done(result: object) -> None:
    """Refuse what a function returns that has not done anything yet, as one does that a decorator has wrapped."""
    if inspect.isgenerator(result) or inspect.iscoroutine(result):
        result.close()
        raise TypeError(f"it returned a {type(result).__name__}, so that nothing was run")


class RunFunctions(StateOperation):
    """A user's own functions. They start again after a crash and must be idempotent."""

    def __init__(
        self, up: Callable[[Any], object], down: Callable[[Any], object] | None, source: str, version: str
    ) -> None:
        self.up = up
        self.down = down
        self.source = source
        self.version = version
        self.reversible = down is not None

    def describe(self) -> str:
        """Whether there is a way back."""
        return "run up(db)" + (", which has no down(db)" if self.down is None else "")

    def prepare(self, backend: Catalogue, version: str) -> Document:
        """Undone by the file's own `down(db)`."""
        return {"kind": "function"}

    def apply(self, backend: UserDatabase, undo: Document) -> None:
        """Run `up(db)`. Raises FunctionFailed."""
        self._run(backend, self.up, "up")

    def revert(self, backend: UserDatabase) -> None:
        """Run `down(db)`."""
        assert self.down is not None, "the planner refuses what has no way back"
        self._run(backend, self.down, "down")

    def _run(self, backend: UserDatabase, function: Callable[[Any], object], direction: str) -> None:
        try:
            with backend.functions(write=True) as database:
                _done(function(database))
        except (MigrateError, KeyboardInterrupt):
            raise
        except BaseException as error:
            from goaime_migrate.transform.step import own_lines

            kept = (
                "what it wrote before stays written"
                if backend.capabilities.server_code
                else "nothing was kept"
            )
            raise FunctionFailed(
                f"{direction}(db) raised {type(error).__name__}: {error} ({kept})",
                version=self.version,
                detail=own_lines(error, self.source),
                hint=Hint("correct {}, then: {}", self.source, Command((direction,))),
            ) from error
