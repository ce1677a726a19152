"""Who listens to a command: the hook of whoever uses the library, and a tracer where the process has one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from goaime_migrate.errors import Interrupted, MigrateError

if TYPE_CHECKING:
    from goaime_migrate.events import Event, Listener
    from goaime_migrate.migrator.sources import Sources

TRACER = "opentelemetry.trace"
"""Whoever wants traces has imported it by the time a command begins; nobody else waits for it."""
_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


class Teller:
    """Hands events on. Called from any thread."""

    def __init__(self, on_event: Listener | None) -> None:
        self._hook = on_event
        self._spans: Listener | None = None

    def begin(self) -> bool:
        """A command begins; whether anybody listens to it, for else nothing need be told."""
        if TRACER in sys.modules:
            from goaime_migrate.tracing import Spans

            self._spans = Spans()
        return self._hook is not None or self._spans is not None

    def __call__(self, event: Event) -> None:
        """First the tracer hears it, so that what the hook does belongs to the span."""
        if self._spans is not None:
            self._spans(event)
        if self._hook is not None:
            self._hook(event)


class _Facade(Protocol):
    """What has commands."""

    _sources: Sources
    _listener: Teller


_Self = TypeVar("_Self", bound=_Facade)


def command(
    method: Callable[Concatenate[_Self, _Given], _Result],
) -> Callable[Concatenate[_Self, _Given], _Result]:
    """A method that is a command: that it begins, and how it ends, is told."""
    name = method.__name__.rstrip("_")

    @wraps(method)
    def tell(self: _Self, /, *args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        if not self._listener.begin():
            return method(self, *args, **kwargs)
        from goaime_migrate.events import CommandFinished, CommandStarted

        began, error = time.monotonic(), None
        self._listener(CommandStarted(name))
        try:
            result = method(self, *args, **kwargs)
            error = _error_of(result)
            return result
        except BaseException as caught:
            error = _code_of(caught)
            raise
        finally:
            took = round(time.monotonic() - began, 3)
            self._listener(CommandFinished(name, self._sources.database, error, took))

    return tell


def _error_of(result: object) -> str | None:
    """The code of the error that a result comes with."""
    found = getattr(result, "error", None) or getattr(result, "refused", None)
    return found.code if isinstance(found, MigrateError) else None


def _code_of(raised: BaseException) -> str:
    """The code of what a command raises; what nobody foresaw has that of all errors."""
    if isinstance(raised, KeyboardInterrupt):
        return Interrupted.code
    return raised.code if isinstance(raised, MigrateError) else MigrateError.code
