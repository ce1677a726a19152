"""How fast a run goes: the size of the next batch, a ceiling on documents a second, pauses while replicas lag."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from goaime_migrate.backends.ports import Database
from goaime_migrate.events import Listener, Notice

AIM_S = 0.5
LARGEST = 500
LARGEST_NARROW = 2_000
"""Where only some fields of each document are carried."""
FIRST = 100
"""Documents of a pass's first batch, which is looked at more closely than the others."""
FEWEST = 20
_GROWTH = 1.5
"""How fast batches grow again."""
PATIENCE = 30
"""How often a single document is tried before the run gives up."""
BATCH_BYTES = 12 * 1024 * 1024
"""Documents of one batch, before the transform."""


WHOLE = 2**31
"""The size of a batch that has a natural end, as a segment of the journal has."""


class Pacing:
    """The size of the next batch, adapted after each."""

    def __init__(self, largest: int = LARGEST, first: int = FIRST) -> None:
        self.largest = largest
        self.size = min(first, self.largest)
        self._fewest = min(FEWEST, self.largest)
        self._collisions = 0

    def took(self, seconds: float, documents: int) -> None:
        """A batch was committed."""
        if documents >= self.size:
            factor = min(_GROWTH, max(0.5, AIM_S / max(seconds, 0.001)))
            self.size = min(self.largest, max(self._fewest, math.ceil(self.size * factor)))
        self._collisions = 0

    def collided(self, documents: int = 0) -> bool:
        """A batch of so many documents (0: a full one) could not be committed; False if one alone was tried enough."""
        self._collisions += min(self.size, documents or self.size) == 1
        self.halve(documents)
        return self._collisions < PATIENCE

    def halve(self, documents: int = 0) -> None:
        """The next batch has half as many."""
        self.size = max(1, min(self.size, documents or self.size) // 2)


_LOOK_S = 1.0
"""How often replicas are looked at."""
_CREDIT_S = 1.0
"""How much of a lost time may be made up for beyond the rate."""


class Throttle:
    """Slows a run down between its batches. `max_rate` documents a second; `max_lag` seconds."""

    def __init__(
        self,
        backend: Database,
        listener: Listener,
        waits: Callable[[str | None], None],
        max_rate: float | None,
        max_lag: float | None,
    ) -> None:
        self._backend = backend
        self._listener = listener
        self._waits = waits
        self._max_rate = max_rate
        self._max_lag = max_lag
        self._looked = 0.0
        self._due: float | None = None

    def after(self, documents: int, check: Callable[[], None]) -> None:
        """A batch of so many documents was committed; `check` is called while waiting and may raise."""
        if self._max_rate is not None:
            self._hold_rate(documents, self._max_rate, check)
        if self._max_lag is not None and time.monotonic() - self._looked >= _LOOK_S:
            self._wait_for_replicas(self._max_lag, check)

    def _hold_rate(self, documents: int, rate: float, check: Callable[[], None]) -> None:
        """Wait until these documents are due. What a stall has left undone is made up for a second's worth of it."""
        now = time.monotonic()
        begun = now if self._due is None else max(self._due, now - _CREDIT_S)
        self._due = begun + documents / rate
        while (left := self._due - time.monotonic()) > 0:
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
                reason = f"a replica lags {lag:.0f} s behind, more than {most:g} s"
                self._listener(Notice(f"paused: {reason}"))
                self._waits(reason)
                told = True
            check()
            time.sleep(0.2)
        if told:
            self._waits(None)
            self._listener(Notice("the replicas have caught up; going on"))
