"""A run's events as lines for a pipe or a log: at both ends of each stage, and every two seconds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from goaime_migrate.events import (
    BatchCommitted,
    DatabaseStarted,
    Event,
    Examined,
    LockWaiting,
    Notice,
    StageFinished,
    StageStarted,
)
from goaime_migrate.render.once import Once
from goaime_migrate.render.style import Style, clean, columns
from goaime_migrate.render.words import count, number, versions
from goaime_migrate.units import duration

EVERY_S = 2.0
LOCK_EVERY_S = 15.0


class Speed:
    """Documents a second over the last half minute: batches are uneven, and a run may slow down."""

    WINDOW_S = 30.0

    def __init__(self, done: int, at: float) -> None:
        self._marks = deque([(at, done)])
        self.rests = False
        """Whether nothing is done for now: nobody knows for how long."""

    @property
    def done(self) -> int:
        """How far the stage has come."""
        return self._marks[-1][1]

    def rest(self, rests: bool, at: float) -> None:
        """From now on nothing is done, or it goes on: the time between does not count."""
        self.rests = rests
        if not rests:
            self._marks = deque([(at, self.done)])

    def mark(self, done: int, at: float) -> None:
        """Note how far the stage has come."""
        self._marks.append((at, done))
        while len(self._marks) > 2 and at - self._marks[0][0] > self.WINDOW_S:
            self._marks.popleft()

    @property
    def rate(self) -> float | None:
        """None until it can be told."""
        (start, before), (end, after) = self._marks[0], self._marks[-1]
        known = end > start and after > before and not self.rests
        return (after - before) / (end - start) if known else None

    def eta(self, total: int | None) -> float | None:
        """Seconds that are left, None if unknown."""
        rate = self.rate
        return max(total - self.done, 0) / rate if total is not None and rate else None


def position(done: int, total: int | None, speed: Speed) -> str:
    """How far, how fast, how long still: ``12,000/300,000 4% 2,900/s ETA 1m39s``; or that it is paused."""
    parts = [number(done)]
    if total:
        parts = [f"{number(done)}/{number(total)}", f"{min(100 * done // total, 100)}%"]
    if speed.rests:
        parts.append("paused")
    if speed.rate:
        parts.append(f"{speed.rate:,.0f}/s")
    if (eta := speed.eta(total)) is not None and done < (total or 0):
        parts.append(f"ETA {duration(max(round(eta), 1))}")
    return " ".join(parts)


def first_line(event: StageStarted, width: int | None) -> str:
    """The first line of a stage."""
    size = f": {count(event.total, 'document')}" if event.total is not None else ""
    resumed = f", goes on after {number(event.done)}" if event.done else ""
    return _line(f"{versions(event.versions)} {event.direction}", event.text, size + resumed, width)


def last_line(event: StageFinished, width: int | None) -> str:
    """The last line of a stage."""
    seen = (
        f" {count(event.documents, 'document')}, {number(event.changed)} changed," if event.documents else ""
    )
    head = f"{versions(event.versions)} {event.direction}"
    return _line(head, event.text, f": done,{seen} {duration(event.seconds)}", width)


def _line(head: str, text: str, tail: str, width: int | None) -> str:
    """A line of a stage. On a terminal the operation, which may be a whole pipeline, gets what columns are left."""
    room = None if width is None else max(width - columns(head) - 1 - columns(tail), 12)
    text = clean(text)
    if room is not None and columns(text) > room:
        whole, _, _ = Style().fit(text, room - 2).removesuffix("...").rpartition(" ")
        text = f"{whole}..." if len(whole) > 8 else Style().fit(text, room)
    return f"{head} {text}{tail}"


def which_database(event: DatabaseStarted) -> str:
    """Which of several databases it is that something is done in now."""
    return f"{clean(event.database)} ({number(event.number)} of {number(event.total)})"


def waiting(event: LockWaiting) -> str:
    """Who holds the lock, and how long it will be waited for."""
    waited = f"{event.waited_s:.0f} of {event.timeout_s:.0f} s"
    return f"waiting for the lock, held by {clean(event.holder)}: {waited}"


def _local() -> datetime:
    return datetime.now(UTC).astimezone()


class Lines:
    """Turns events into lines. It keeps the time, so that a fast run does not flood a log."""

    def __init__(
        self,
        width: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _local,
    ) -> None:
        self._width = None if width is None else width - len("12:00:00 ")
        self._clock = clock
        self._now = now
        self._stages: dict[tuple[str, ...], tuple[StageStarted, Speed]] = {}
        self._looks: dict[tuple[tuple[str, ...], str], Speed] = {}
        self._once = Once(Style())
        self._said = clock()
        self._said_lock = -LOCK_EVERY_S

    def line_for(self, event: Event) -> str | None:
        """The line that an event is worth, if any."""
        text = self._text(event)
        if text is None:
            return None
        self._said = self._clock()
        return f"{self._now():%H:%M:%S} {text}"

    def _text(self, event: Event) -> str | None:
        if isinstance(event, StageStarted | StageFinished):
            event = replace(event, text=self._once(event.text))
        if isinstance(event, StageStarted):
            self._stages[event.versions] = (event, Speed(event.done, self._clock()))
            return first_line(event, self._width)
        if isinstance(event, BatchCommitted):
            return self._batch(event)
        if isinstance(event, StageFinished):
            self._stages.pop(event.versions, None)
            return last_line(event, self._width)
        if isinstance(event, LockWaiting | Examined):
            return self._lock(event) if isinstance(event, LockWaiting) else self._progress_line(event)
        if isinstance(event, DatabaseStarted):
            return self._begin_anew(event)
        return self._notice(event) if isinstance(event, Notice) else None

    def _notice(self, event: Notice) -> str:
        if event.rests is not None:
            for _, speed in self._stages.values():
                speed.rest(event.rests, self._clock())
        return clean(event.text)

    def _begin_anew(self, event: DatabaseStarted) -> str:
        self._stages.clear()
        self._looks.clear()
        return which_database(event)

    def _batch(self, event: BatchCommitted) -> str | None:
        at = self._clock()
        stage, speed = self._stages.get(event.versions, (None, Speed(0, at)))
        speed.mark(event.done, at)
        if at - self._said < EVERY_S or event.done == event.total:
            return None
        head, said = versions(event.versions), " " + position(event.done, event.total, speed)
        return _line(head, self._once(stage.text), said, self._width) if stage else head + said

    def _progress_line(self, event: Examined) -> str | None:
        at = self._clock()
        speed = self._looks.setdefault((event.versions, event.text), Speed(event.done, at))
        speed.mark(event.done, at)
        if at - self._said < EVERY_S or event.done == event.total:
            return None
        said = " " + position(event.done, event.total, speed)
        return _line(versions(event.versions), event.text, said, self._width).lstrip()

    def _lock(self, event: LockWaiting) -> str | None:
        if self._clock() - self._said_lock < LOCK_EVERY_S:
            return None
        self._said_lock = self._clock()
        return waiting(event)
