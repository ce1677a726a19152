"""SIGINT and SIGTERM: the first lets a run finish its batch, the second stops it where it stands."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from goaime_migrate.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], None]


class Stopped(KeyboardInterrupt):
    """A signal that ends the command now; `with` blocks still close what they hold."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class StoppedInRun(Stopped):
    """The second signal, which ends a run in the middle of a batch, or of a user's `function`."""

    def __init__(self, signum: int, function: str) -> None:
        super().__init__(signum)
        self.function = function


@contextmanager
def immediate() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does, instead of killing the process with its lease still held."""

    def stop(signum: int, _: FrameType | None) -> NoReturn:
        raise Stopped(signum)

    with _handling(stop):
        yield


@contextmanager
def graceful(
    interrupt: Callable[[int], None], tell: Callable[[], None], function: Callable[[], str]
) -> Iterator[None]:
    """The first signal asks the run to stop after its batch, the second raises.

    `tell` runs in a thread of its own, since the handler may have interrupted the code that writes to the
    terminal. `function` names the user's function that is running, if one is.
    """
    seen: list[int] = []

    def handle(signum: int, _: FrameType | None) -> None:
        if seen:
            raise StoppedInRun(signum, function())
        seen.append(signum)
        interrupt(signum)
        threading.Thread(target=tell, daemon=True).start()

    with _handling(handle):
        yield


def interruption(error: KeyboardInterrupt, command: str) -> Interrupted:
    """The error for a command that was stopped where it stood."""
    if isinstance(error, StoppedInRun):
        return _stop_error(
            error,
            f"stopped at once by {{}} within {error.function}: what that has written stays, and it will be run again"
            if error.function
            else "stopped at once by {}: what was committed is kept, the batch in flight was not written",
            f"goaime-migrate {command} goes on from there; goaime-migrate status shows where it stands",
        )
    return _stop_error(error, "stopped by {}", f"goaime-migrate {command}".rstrip())


def no_answer(error: KeyboardInterrupt, command: str) -> Interrupted:
    """The error for a command that was stopped while it asked."""
    return _stop_error(error, "stopped by {}; nothing was changed", f"goaime-migrate {command} asks again")


def _stop_error(error: KeyboardInterrupt, message: str, hint: str) -> Interrupted:
    return Interrupted.by(getattr(error, "signum", signal.SIGINT), message, hint)


@contextmanager
def _handling(handler: Handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {signum: signal.signal(signum, handler) for signum in SIGNALS}
    try:
        yield
    finally:
        for signum, old in previous.items():
            signal.signal(signum, old)
