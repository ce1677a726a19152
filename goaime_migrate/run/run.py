"""What every walk over a collection needs: the database, the lease, somebody to tell, and when to stop."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from goaime_migrate.backends.ports import Backend, Changes, Committed, GuardFailed, Reader, RecordChange
from goaime_migrate.errors import Interrupted, LeaseLost
from goaime_migrate.errors.hint import Command, Hint
from goaime_migrate.events import Event, Listener, StageFinished, StageStarted
from goaime_migrate.memory import without_collection
from goaime_migrate.results import Document
from goaime_migrate.run.brake import Brake, Options
from goaime_migrate.run.lock import TAKEN, Lease
from goaime_migrate.run.odometer import Odometer

_BATCH = "its batch"


@dataclass
class Run:
    """One run while it holds the lease."""

    backend: Backend
    lease: Lease
    listener: Listener
    options: Options
    interrupted: Callable[[], int | None]
    """The signal that asked the run to stop, if one did."""
    command: str = "up"
    """The command that goes on with what this run leaves unfinished."""
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held by the thread of this process that reads and transforms, while others write what they have transformed."""

    def __post_init__(self) -> None:
        self._brake = self._brake_of(self.options)
        self._between: Callable[[], None] = _nothing
        self.function = ""
        """The user's function that is running, which cannot be stopped between two batches."""
        self._unit = _BATCH
        self.odometer = Odometer()

    def _brake_of(self, options: Options) -> Brake:
        return Brake(self.backend, self.lease, self.listener, options)

    @contextmanager
    def among(self, workers: int, between: Callable[[], None]) -> Iterator[None]:
        """Work as one of several: at its share of the rate, seeing to what is `between` two batches as well."""
        alone = self._brake, self._between
        self._brake, self._between = self._brake_of(replace(self.options, workers=workers)), between
        try:
            yield
        finally:
            self._brake, self._between = alone

    def before_batch(self) -> None:
        """Wait if the run is to go slower. Raises as `check` does."""
        self._brake.release(self.check)

    def batch_of(self, documents: int) -> int:
        """How many documents the next batch may have, where it could have so many."""
        return self._brake.largest(documents)

    def after_batch(self, documents: int) -> None:
        """A batch of so many documents was committed."""
        self._brake.done(documents)

    def emit(self, event: Event) -> None:
        """Tell whoever listens."""
        if isinstance(event, StageStarted):
            self.function, self._unit = event.function, event.function or _BATCH
        elif isinstance(event, StageFinished):
            self.function = ""
        self.odometer.hear(event)
        self.listener(event)

    def check(self) -> None:
        """Between two batches: may the run go on? While it is paused, not yet.

        Raises Interrupted, LeaseLost, and what another worker met.
        """
        self._go_on()
        self._brake.hold(self._go_on)

    def _go_on(self) -> None:
        self.lease.check()
        self._between()
        number = self.interrupted()
        if number is not None:
            raise interruption(number, self.command, self._unit)

    def record(self, *changes: RecordChange) -> None:
        """Write records, on condition that the lease is still this run's. Raises LeaseLost."""
        self.lease.check()
        guard = self.lease.guard()
        try:
            self.backend.transact(lambda _: Changes(last=(guard, *changes)))
        except GuardFailed as error:
            raise self.fenced_error() from error

    def beside(self, backend: Backend, lease: Lease, listener: Listener, workers: int) -> Run:
        """The same run in another thread of this process, one of so many that share the work."""
        options = replace(self.options, workers=self.options.workers * workers)
        return Run(backend, lease, listener, options, lambda: None, self.command, self.turn)

    def alternate(self, other: Run) -> None:
        """Never work at the same time as another, and owe to the rate what that one owes."""
        self._brake = other._brake

    def transact(self, work: Callable[[Reader], Changes]) -> Committed:
        """One unit of work of a walk; its own `Move` guards it. The lease is looked at whenever it is tried again.

        Its transaction begins with its first read: nothing is open on the server while it waits for its turn.
        """
        again = False

        def checked(reader: Reader) -> Changes:
            nonlocal again
            with self.turn:
                if again:
                    gc.collect()  # what was raised holds the whole batch of the last time, in circles
                again = True
                self.lease.check()
                return work(reader)

        with without_collection():
            return self.backend.transact(checked)

    @property
    def sessions(self) -> list[Document]:
        """The session in which this process writes, as its part of a list; nothing without transactions."""
        own = self.backend.session_id()
        return [] if own is None else [own]

    def fenced_error(self) -> LeaseLost:
        """The error of a run that comes to its own records and finds another's fence."""
        return self.lease.lost_error(TAKEN)


def _nothing() -> None:
    """What is between two batches of a run that works alone."""


def interruption(number: int, command: str, after: str = _BATCH) -> Interrupted:
    """The error for a run that was asked to stop."""
    return Interrupted.by(
        number,
        f"stopped by {{}} after finishing {after}; what was done is recorded",
        Hint("{}", Command((command,))),
    )
