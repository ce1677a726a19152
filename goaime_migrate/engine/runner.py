"""What every walk over a collection needs: the database, the lease, somebody to tell, and when to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

from goaime_migrate.backends.base import (
    PROGRESS,
    Backend,
    Changes,
    Committed,
    GuardFailed,
    Reader,
    RecordChange,
)
from goaime_migrate.engine.throttle import Throttle
from goaime_migrate.errors import Interrupted, LeaseLost
from goaime_migrate.events import Event, Listener
from goaime_migrate.lock import Lease
from goaime_migrate.results import Document


@dataclass(frozen=True)
class Options:
    """How a run goes about its work.

    `batch_size`: documents at most; `max_rate`: documents a second; `max_lag`: seconds that replicas may be behind.
    """

    batch_size: int | None = None
    max_rate: float | None = None
    max_lag: float | None = None


@dataclass
class Runner:
    """One run while it holds the lease."""

    backend: Backend
    lease: Lease
    listener: Listener
    options: Options
    interrupted: Callable[[], int | None]
    """The signal that asked the run to stop, if one did."""

    def __post_init__(self) -> None:
        options = self.options
        self._throttle = Throttle(self.backend, self.listener, options.max_rate, options.max_lag)

    def worked(self, documents: int) -> None:
        """A batch was committed: wait if the run is to go slower."""
        self._throttle.after(documents, self.check)

    def emit(self, event: Event) -> None:
        """Tell whoever listens."""
        self.listener(event)

    def check(self) -> None:
        """Between two batches: may the run go on? Raises Interrupted, LeaseLost."""
        self.lease.check()
        number = self.interrupted()
        if number is not None:
            raise interruption(number)

    def record(self, *changes: RecordChange) -> None:
        """Write records, on condition that the lease is still this run's. Raises LeaseLost."""
        self.lease.check()
        guard = self.lease.guard()
        try:
            self.backend.transact(lambda _: Changes(last=(guard, *changes)))
        except GuardFailed as error:
            raise self.lease.lost("another run has taken it over") from error

    def transact(self, work: Callable[[Reader], Changes]) -> Committed:
        """One unit of work of a walk; its own `Move` guards it."""
        self.lease.check()
        return self.backend.transact(work)

    def partition(self, identity: str) -> Document:
        """A partition's record as it is now. Raises LeaseLost if it is fenced off or gone."""
        found = self.backend.find(PROGRESS, {"_id": identity})
        if not found or found[0]["fence"] != self.lease.fence:
            raise self.fenced()
        return found[0]

    def fenced(self) -> LeaseLost:
        """The error of a run that comes to its own partition and finds another's fence."""
        return self.lease.lost("another run has taken it over")


def interruption(number: int) -> Interrupted:
    """The error for a run that was asked to stop."""
    name = signal.Signals(number).name
    error = Interrupted(
        f"stopped by {name} after finishing its batch; what was done is recorded", hint="goaime-migrate up"
    )
    error.exit_code = 128 + number
    return error
