"""Going slower than one could: a ceiling on documents a second, and pauses while replicas lag behind."""

from __future__ import annotations

import time
from collections.abc import Callable

from goaime_migrate.backends.base import Backend
from goaime_migrate.events import Listener, Notice

_LOOK_S = 1.0
"""How often replicas are looked at."""


class Throttle:
    """Slows a run down between its batches. `max_rate` documents a second; `max_lag` seconds."""

    def __init__(
        self, backend: Backend, listener: Listener, max_rate: float | None, max_lag: float | None
    ) -> None:
        self._backend = backend
        self._listener = listener
        self._max_rate = max_rate
        self._max_lag = max_lag
        self._looked = 0.0
        self._started: float | None = None
        self._documents = 0

    def after(self, documents: int, check: Callable[[], None]) -> None:
        """A batch of so many documents was committed; `check` is called while waiting and may raise."""
        if self._max_rate is not None:
            self._hold_rate(documents, self._max_rate, check)
        if self._max_lag is not None and time.monotonic() - self._looked >= _LOOK_S:
            self._wait_for_replicas(self._max_lag, check)

    def _hold_rate(self, documents: int, rate: float, check: Callable[[], None]) -> None:
        """Wait until all documents since the first batch are no more than the rate allows."""
        now = time.monotonic()
        if self._started is None:
            self._started = now
        self._documents += documents
        due = self._started + self._documents / rate
        while (left := due - time.monotonic()) > 0:
            check()
            time.sleep(min(left, 0.2))

    def _wait_for_replicas(self, most: float, check: Callable[[], None]) -> None:
        told = False
        while True:
            self._looked = time.monotonic()
            lag = self._backend.replication_lag()
            if lag is None or lag <= most:
                break
            if not told:
                self._listener(Notice(f"paused: a replica lags {lag:.0f} s behind, more than {most:g} s"))
                told = True
            check()
            time.sleep(0.2)
        if told:
            self._listener(Notice("the replicas have caught up; going on"))
