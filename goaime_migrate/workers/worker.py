"""What a pool asks of its workers, wherever their processes are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from goaime_migrate.errors import WorkerFailed
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.results import Document
from goaime_migrate.run.work import SourceFile, Work

Hear = Callable[["Worker", Document], None]
Gone = Callable[["Worker"], None]

STARTING_S = 60.0
"""How long a worker may take to get ready."""


class Worker(Protocol):
    """One of the others: a process somewhere, or another thread of this one."""

    sessions: Sequence[Document]
    """The sessions that it writes in, once it is ready."""
    ready: bool
    ended: bool
    threads: int
    """How many partitions it does at a time."""
    partitions: list[int]
    """The numbers of those that it is at work on."""

    @property
    def load(self) -> int:
        """How many partitions its process is at work on."""

    @property
    def name(self) -> str:
        """What people know it by."""

    @property
    def end(self) -> str:
        """How it has ended, for people: "was killed by signal 9"."""

    @property
    def said(self) -> str:
        """The last that it had to say, without secrets."""

    def listen(self, hear: Hear, gone: Gone) -> None:
        """Call back from another thread: for every message, and once when it has ended."""

    def open(self, work: Work, spec: Document) -> None:
        """The partitions to come are of this work. Returns at once."""

    def tell(self, **message: Any) -> None:
        """Send a message. Returns at once; one that has ended does not hear it, and is known by its end."""

    def kill(self) -> None:
        """See to it that it writes nothing more, wherever it is."""

    def release(self) -> None:
        """Let it go; returns at once."""

    def close(self) -> None:
        """Wait until it has left."""


class WorkerSource(Protocol):
    """Where workers come from."""

    def workers_for(self, partitions: int) -> int:
        """How many workers so many partitions keep busy, this process included. Raises MigrateError."""

    def new(self, files: Sequence[SourceFile], threads: int) -> Worker:
        """One more, which does up to so many partitions at a time. Raises MigrateError."""

    def close(self) -> None:
        """There will be no more."""


def take(worker: Worker, number: int | None) -> int | None:
    """The partition with this number, no longer a worker's own."""
    if number is None or number not in worker.partitions:
        return None
    worker.partitions.remove(number)
    return number


def unready(worker: Worker) -> WorkerFailed:
    """The error for a worker that did not get ready."""
    how = worker.end if worker.ended else f"was not ready after {STARTING_S:.0f} s"
    said = f"{worker.name} {how}" + (f": {worker.said}" if worker.said else "")
    return WorkerFailed(said, hint=Hint("{} does without others", UP.to("--workers", "1")))
