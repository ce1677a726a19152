"""How quickly a run works: the documents that it has seen to by when, version by version, in a few marks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from goaime_migrate.events import BatchCommitted, Event, StageStarted
from goaime_migrate.results import PaceMark

MOST = 40
"""Marks of one version, however long it takes: they are kept with the log."""


@dataclass
class _Track:
    """The marks of one version: those that lie closer together than `apart` seconds are one."""

    begun: float
    marks: list[PaceMark] = field(default_factory=list)
    apart: float = 0.0
    before: int = 0
    """What the stages before this one have seen to,"""
    skipped: int = 0
    """and what earlier runs have of this one."""

    def start(self, now: float, done: int) -> None:
        self.before = self.marks[-1].done if self.marks else 0
        self.skipped = done
        self._put(now, self.before)

    def advance(self, now: float, done: int) -> None:
        self._put(now, self.before + max(0, done - self.skipped))

    def _put(self, now: float, done: int) -> None:
        mark = PaceMark(round(now - self.begun, 3), done)
        if len(self.marks) > 1 and mark.at - self.marks[-2].at < self.apart:
            self.marks[-1] = mark
            return
        self.marks.append(mark)
        if len(self.marks) > MOST:
            self.apart = 2 * mark.at / MOST
            self.marks = [*self.marks[:-1:2], mark]


class Odometer:
    """Hears the events of a run, from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tracks: dict[str, _Track] = {}
        self._guard = threading.Lock()

    def hear(self, event: Event) -> None:
        """Note how far the versions of a stage have come."""
        if not isinstance(event, StageStarted | BatchCommitted):
            return
        now = self._clock()
        with self._guard:
            for version in event.versions:
                track = self._tracks.setdefault(version, _Track(now))
                if isinstance(event, StageStarted):
                    track.start(now, event.done)
                else:
                    track.advance(now, event.done)

    def pace(self, version: str) -> tuple[PaceMark, ...]:
        """The marks of a version; none where it has seen to no documents."""
        with self._guard:
            track = self._tracks.get(version)
            return tuple(track.marks) if track and track.marks[-1].done else ()
