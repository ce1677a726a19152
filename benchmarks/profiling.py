"""Where the time of one thread goes: clocks around the engine's functions and the driver's commands.

Each moment counts for the innermost of the functions that are running, so that the shares add up to the whole. The
clocks take a microsecond or two themselves.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from benchmarks.product import Product
from benchmarks.report import Row, Unit
from benchmarks.safeties import Part, replaced
from goaime_migrate.workers import pool

REST = "everything else"
PROBE = "probe of the first documents"
"""All that it calls counts for it: it happens once, however many documents there are."""
_RECORDS = "schema_versions"
_COMMANDS = {"find": "reading", "getMore": "reading", "aggregate": "reading", "commitTransaction": "commit"}


class Clock(CommandListener):
    """Seconds by category, of the thread that made it."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._thread = threading.get_ident()
        self._running: list[str] = []
        self._since = 0.0

    def whole(self, original: Any) -> Callable[..., Any]:
        """What is measured: before and after it the clock stands still."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.enter(REST)
            try:
                return original(*args, **kwargs)
            finally:
                self.leave()

        return call

    def enter(self, category: str) -> None:
        """What follows is that, until it is left."""
        self._settle()
        self._running.append(PROBE if self._running[-1:] == [PROBE] else category)

    def leave(self) -> None:
        """The last one entered is over."""
        self._settle()
        self._running.pop()

    def _settle(self) -> None:
        now = time.perf_counter()
        if self._running and self._running[0] == REST:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def around(self, category: str) -> Callable[[Any], Callable[..., Any]]:
        """A replacement that does the same under a clock."""

        def timed(original: Any) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                if threading.get_ident() != self._thread:
                    return original(*args, **kwargs)
                self.enter(category)
                try:
                    return original(*args, **kwargs)
                finally:
                    self.leave()

            return call

        return timed

    def listening(self, original: Any) -> Callable[..., Any]:
        """A client whose commands are under the clock."""
        return lambda *args, **options: original(*args, **options, event_listeners=[self])

    def started(self, event: CommandStartedEvent) -> None:
        """A command of this thread was sent: its time begins."""
        if threading.get_ident() == self._thread:
            self.enter(f"server: {_purpose(event)}")

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """A command of this thread was answered: its time ends."""
        if threading.get_ident() == self._thread:
            self.leave()

    def failed(self, event: CommandFailedEvent) -> None:
        """A command of this thread was refused: its time ends."""
        if threading.get_ident() == self._thread:
            self.leave()


def _purpose(event: CommandStartedEvent) -> str:
    target = str(event.command.get(event.command_name, ""))
    if event.command_name in _COMMANDS:
        return _COMMANDS[event.command_name]
    if target.startswith(_RECORDS):
        return "journal and records"
    return "writing documents" if event.command_name == "update" else "what a run does once"


CATEGORIES = (
    (PROBE, "up.pass_", "_is_settled"),
    ("decode", "backends.raw_bson", "decode"),
    ("encode", "backends.raw_bson", "encode"),
    ("transforms and lookups", "transform.chain", "apply"),
    ("promises", "transform.chain", "keeps_promises"),
    ("journal: hashes", "journal.segments", "Entry.of"),
    ("journal: compression", "journal.segments", "Segment.adds"),
    ("building the commands", "backends.server.writes", "write"),
)


def profiled(product: Product) -> list[Row]:
    """One `up` under the clock, by one thread: two would each wait for what the other does."""
    clock = Clock()
    parts = [Part(module, path, clock.around(category)) for category, module, path in CATEGORIES]
    parts += [
        Part("backends.server.connect", "SharedClient", clock.listening),
        Part("migrator", "Migrator.up", clock.whole),
    ]
    with patch.object(pool, "THREADS", 1), replaced(parts):
        product.up()
    return _rows(clock, product.ground.sessions)


def _rows(clock: Clock, documents: int) -> list[Row]:
    ordered = sorted(clock.seconds.items(), key=lambda item: item[1], reverse=True)
    total = sum(clock.seconds.values())
    rows = [Row("profile: total", "a document, all in all", Unit.MICROSECONDS, (total / documents * 1e6,))]
    for category, seconds in ordered:
        each = f"{category} ({seconds / documents * 1e6:.1f} µs)"
        rows.append(Row(f"profile: {category}", each, Unit.SHARE, (100 * seconds / total,)))
    return rows
