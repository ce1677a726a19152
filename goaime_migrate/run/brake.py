"""What slows a run down between its batches: its own options, and what it is told from another terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from goaime_migrate.backends.ports import PAUSED, Database
from goaime_migrate.events import Listener, Notice
from goaime_migrate.run.lock import Lease
from goaime_migrate.run.pacing import FEWEST

_LOOK_S = 1.0
"""How often replicas are looked at."""
_CREDIT_S = 1.0
"""How much of a lost time may be made up for beyond the rate."""
_ROUND_S = 0.2
_MOMENT_S = 0.001
"""Less than this is not waited for now, but the next time."""

Check = Callable[[], None]
"""Called while waiting; may raise."""


@dataclass(frozen=True)
class Options:
    """How a run goes about its work.

    `batch_size`: documents at most; `max_rate`: documents a second; `max_lag`: seconds that replicas may be behind.
    """

    batch_size: int | None = None
    max_rate: float | None = None
    max_lag: float | None = None
    workers: int = 1
    """How many share the work, and so the rate."""


class Brake:
    """Slows one worker of a run down. What the run is told by `throttle` counts in place of its own rate."""

    def __init__(self, backend: Database, lease: Lease, listener: Listener, options: Options) -> None:
        self._backend = backend
        self._lease = lease
        self._listener = listener
        self._options = options
        self._looked = 0.0
        self._ahead = 0.0
        """Documents that were done before they were due."""
        self._at: float | None = None

    @property
    def _rate(self) -> float | None:
        """This worker's share of the rate."""
        told = self._lease.throttle
        rate = self._options.max_rate if told is None or told.max_rate is None else told.max_rate
        return None if rate is None else rate / self._options.workers

    def largest(self, documents: int) -> int:
        """So many at most in one batch: about a second's worth where there is a rate."""
        rate = self._rate
        return documents if rate is None else min(documents, max(FEWEST, math.ceil(rate)))

    def done(self, documents: int) -> None:
        """A batch of so many documents was committed."""
        self._settle()
        self._ahead += documents

    def release(self, check: Check) -> None:
        """Wait until the next batch may begin."""
        while (left := self._settle()) > _MOMENT_S:
            check()
            time.sleep(min(left, _ROUND_S))
        most = self._options.max_lag
        if most is not None and time.monotonic() - self._looked >= _LOOK_S:
            self._wait_for_replicas(most, check)

    def _settle(self) -> float:
        """In how many seconds all that was done is due. What a stall has left undone is made up for a second's worth."""
        now, rate = time.monotonic(), self._rate
        elapsed = 0.0 if self._at is None else now - self._at
        self._at = now
        if rate is None:
            self._ahead = 0.0
            return 0.0
        self._ahead = max(self._ahead - elapsed * rate, -_CREDIT_S * rate)
        return self._ahead / rate

    def hold(self, check: Check) -> None:
        """Wait while the run is paused."""
        if not self._paused():
            return
        if self._lease.speaks:
            self._lease.waits(PAUSED)
            self._listener(Notice(f"{PAUSED}; it goes on after: throttle --resume", rests=True))
        while self._paused():
            check()
            time.sleep(_ROUND_S)
        if self._lease.speaks:
            self._lease.waits(None)
            self._listener(Notice("going on", rests=False))

    def _paused(self) -> bool:
        told = self._lease.throttle
        return told is not None and told.paused

    def _wait_for_replicas(self, most: float, check: Check) -> None:
        told = False
        while True:
            self._looked = time.monotonic()
            lag = self._backend.replication_lag()
            if lag is None or lag <= most:
                break
            if not told:
                reason = f"a replica lags {lag:.0f} s behind, more than {most:g} s"
                self._listener(Notice(f"paused: {reason}", rests=True))
                self._lease.waits(reason)
                told = True
            check()
            time.sleep(_ROUND_S)
        if told:
            self._lease.waits(None)
            self._listener(Notice("the replicas have caught up; going on", rests=False))
