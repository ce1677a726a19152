"""Threads of one process that do partitions side by side: while one writes a batch, another reads and transforms.

They take turns at everything but writing (`Run.transact`), so that no two transforms run at the same time in one
process. Each has a session of its own.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from goaime_migrate.events import Event, Notice
from goaime_migrate.results import Document
from goaime_migrate.run.lock import Deputy
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import Work
from goaime_migrate.workers.cancelled import Cancelled
from goaime_migrate.workers.messages import pack
from goaime_migrate.workers.worker import Gone, Hear

THREADS = 2
"""Partitions that a process does side by side. One thread transforms all the time, so that more have nothing to gain."""
_LEAVING_S = 5.0
"""How long a thread may take to leave."""


def attempt(number: int, do: Callable[[], None]) -> Document:
    """Do a partition, and say in a message what has become of it. Never raises: whatever it is, the run must know."""
    try:
        do()
    except Cancelled:
        return {"is": "left", "number": number}
    except Exception as error:  # noqa: BLE001
        return {"is": "failed", "number": number, "error": pack(error)}
    return {"is": "done", "number": number}


class WorkThread:
    """A thread that does one partition after the other of those that it is given, alone or together with others."""

    def __init__(self, partitions: queue.SimpleQueue[int | None], tell: Callable[[Document], None]) -> None:
        self._partitions = partitions
        self._tell = tell
        self._thread = threading.Thread(target=self._run, name="work", daemon=True)
        self.work: Work | None = None

    def start(self) -> None:
        """Begin to take partitions. `None` among them ends it."""
        self._thread.start()

    def _run(self) -> None:
        while (number := self._partitions.get()) is not None:
            message = attempt(number, partial(self._do, number))
            with suppress(OSError, ValueError):  # the run is gone, and nobody is there to be told
                self._tell(message)

    def _do(self, number: int) -> None:
        if self.work is None:
            raise Cancelled
        self.work.do(number)

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread.is_alive():
            self._thread.join(_LEAVING_S)


class ThreadWorker:
    """A second thread of the run's own process, as a worker of its pool."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._backend = run.backend.beside(self._notice)
        self._stopped = threading.Event()
        self._queue: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = WorkThread(self._queue, self._say)
        self._hear: Hear = lambda *_: None
        own = self._backend.session_id()
        self.sessions: Sequence[Document] = [] if own is None else [own]
        self.ready = True
        self.ended = False
        self.threads = 1
        self.partitions: list[int] = []
        self.name, self.end, self.said = "the second thread of this process", "has ended", ""

    @property
    def load(self) -> int:
        """The thread beside it is at work as well."""
        return 1 + len(self.partitions)

    def listen(self, hear: Hear, gone: Gone) -> None:
        """In this process: called directly."""
        self._hear = hear
        self._thread.start()

    def open(self, work: Work, spec: Document) -> None:
        """The same work, beside the one that the process does."""
        self._run = work.run
        lease = Deputy(self._backend, work.run.lease.record, self._check, lambda: work.run.lease.throttle)
        run = work.run.beside(self._backend, lease, self._listen, spec["threads"])
        self._thread.work = work.beside(run, self._report)

    def tell(self, **message: Any) -> None:
        """Through a queue."""
        match message["do"]:
            case "stop":
                self._stopped.set()
            case "partition":
                self._queue.put(message["number"])

    def kill(self) -> None:
        """It is told to stop, and what it has open is ended by whoever calls this."""
        self._stopped.set()

    def release(self) -> None:
        """Nothing more will come."""
        self._stopped.set()
        self._queue.put(None)

    def close(self) -> None:
        """Wait for the thread."""
        self._thread.join()

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Cancelled
        self._run.lease.check()

    def _listen(self, event: Event) -> None:
        if isinstance(event, Notice):
            self._notice(event.text)

    def _notice(self, text: str) -> None:
        self._say({"is": "notice", "text": text})

    def _report(self, number: int, report: Document) -> None:
        self._say({"is": "batch", "number": number, "report": report})

    def _say(self, message: Document) -> None:
        self._hear(self, message)
