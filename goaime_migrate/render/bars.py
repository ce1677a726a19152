"""A run's events as progress bars, for a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

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
from goaime_migrate.render.progress import Speed, last_line, position, waiting, which_database
from goaime_migrate.render.style import clean
from goaime_migrate.render.words import versions


class Bars:
    """One bar a stage, replaced by a line when the stage is done. Events may come from any thread."""

    def __init__(self, stream: TextIO, redact: Callable[[str], str], color: bool) -> None:
        console = Console(file=stream, force_terminal=True, no_color=not color, highlight=False)
        self._redact = redact
        self._lock = threading.Lock()
        self._stages: dict[tuple[str, ...], tuple[TaskID, Speed]] = {}
        self._looking: tuple[str, TaskID, Speed] | None = None
        self._waiting: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None, complete_style="green", finished_style="green"),
            TextColumn("{task.fields[position]}", markup=False, justify="right"),
            console=console,
            transient=True,
            expand=True,
        )

    def __call__(self, event: Event) -> None:
        """Show an event; may be called from any thread."""
        with self._lock:
            self._progress.start()
            self._show(event)

    def close(self) -> None:
        """Take the bars away; the lines that they left stay."""
        with self._lock:
            self._progress.stop()

    def _show(self, event: Event) -> None:
        if isinstance(event, LockWaiting):
            self._wait(event)
            return
        self._drop_waiting()
        if isinstance(event, StageStarted):
            self._start(event)
        elif isinstance(event, BatchCommitted):
            self._advance(event)
        elif isinstance(event, Examined):
            self._examine(event)
        elif isinstance(event, StageFinished):
            self._finish(event)
        elif isinstance(event, DatabaseStarted):
            self._begin_anew(event)
        elif isinstance(event, Notice):
            self._rest(event)
            self._say(event.text)

    def _rest(self, event: Notice) -> None:
        """Nothing moves for a while, or goes on."""
        if event.rests is None:
            return
        totals = {task.id: task.total for task in self._progress.tasks}
        for task, speed in self._stages.values():
            speed.rest(event.rests, time.monotonic())
            total = totals[task]
            said = position(speed.done, None if total is None else int(total), speed)
            self._progress.update(task, position=said)

    def _begin_anew(self, event: DatabaseStarted) -> None:
        """What was left standing is about the database before."""
        for task, _ in self._stages.values():
            self._progress.remove_task(task)
        self._stages.clear()
        if self._looking is not None:
            self._progress.remove_task(self._looking[1])
            self._looking = None
        self._say(which_database(event))

    def _start(self, event: StageStarted) -> None:
        self._stages[event.versions] = self._bar(event)

    def _bar(self, event: StageStarted | Examined) -> tuple[TaskID, Speed]:
        text = self._redact(f"{versions(event.versions)} {clean(event.text)}".strip())
        speed = Speed(event.done, time.monotonic())
        task = self._progress.add_task(
            text if len(text) <= 32 else text[:31] + "…",
            total=event.total,
            completed=event.done,
            position=position(event.done, event.total, speed) if event.total else "",
        )
        return task, speed

    def _advance(self, event: BatchCommitted) -> None:
        if event.versions in self._stages:
            self._move(*self._stages[event.versions], event)

    def _move(self, task: TaskID, speed: Speed, event: BatchCommitted | Examined) -> None:
        speed.mark(event.done, time.monotonic())
        said = position(event.done, event.total, speed)
        self._progress.update(task, completed=event.done, total=event.total, position=said)

    def _examine(self, event: Examined) -> None:
        """One bar for the look that is being taken; it goes when the next begins, or all is seen."""
        if self._looking is not None and (self._looking[0] != event.text or event.done == event.total):
            self._progress.remove_task(self._looking[1])
            self._looking = None
        if event.done != event.total:
            if self._looking is None:
                self._looking = event.text, *self._bar(event)
            self._move(self._looking[1], self._looking[2], event)

    def _finish(self, event: StageFinished) -> None:
        if event.versions in self._stages:
            self._progress.remove_task(self._stages.pop(event.versions)[0])
        self._say(last_line(event, self._progress.console.width))

    def _wait(self, event: LockWaiting) -> None:
        if self._waiting is None:
            self._waiting = self._progress.add_task("", total=event.timeout_s, position="")
        text = self._redact(waiting(event))
        self._progress.update(self._waiting, description=text, completed=event.waited_s)

    def _drop_waiting(self) -> None:
        if self._waiting is not None:
            self._progress.remove_task(self._waiting)
            self._waiting = None

    def _say(self, text: str) -> None:
        self._progress.console.print(Text(self._redact(clean(text))))
