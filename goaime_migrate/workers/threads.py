"""Threads of one process that do shares side by side: while one writes a batch, another reads and transforms.

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
from goaime_migrate.run.work import Share, Work
from goaime_migrate.workers.cancelled import Cancelled
from goaime_migrate.workers.messages import packed

THREADS = 2
"""Shares that a process does side by side. One thread transforms all the time, so that more have nothing to gain."""
_LEAVING_S = 5.0
"""How long a thread may take to leave."""


def done(number: int, do: Callable[[], None]) -> Document:
    """Do a share, and say in a message what has become of it. Never raises: whatever it is, the run must know."""
    try:
        do()
    except Cancelled:
        return {"is": "left", "number": number}
    except Exception as error:  # noqa: BLE001
        return {"is": "failed", "number": number, "error": packed(error)}
    return {"is": "done", "number": number}


class WorkThread:
    """A thread that does one share after the other of those that it is given, alone or together with others."""

    def __init__(self, shares: queue.SimpleQueue[Share | None], tell: Callable[[Document], None]) -> None:
        self._shares = shares
        self._tell = tell
        self._thread = threading.Thread(target=self._run, name="lane", daemon=True)
        self.work: Work | None = None

    def start(self) -> None:
        """Begin to take shares. `None` among them ends it."""
        self._thread.start()

    def _run(self) -> None:
        while (share := self._shares.get()) is not None:
            message = done(share.number, partial(self._do, share))
            with suppress(OSError, ValueError):  # the run is gone, and nobody is there to be told
                self._tell(message)

    def _do(self, share: Share) -> None:
        if self.work is None:
            raise Cancelled
        self.work.do(share)

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread.is_alive():
            self._thread.join(_LEAVING_S)


class ThreadWorker:
    """A second lane of the run's own process, as a member of its crew."""

    def __init__(self, runner: Run) -> None:
        self._runner = runner
        self._backend = runner.backend.beside(self._notice)
        self._dismissed = threading.Event()
        self._queue: queue.SimpleQueue[Share | None] = queue.SimpleQueue()
        self._lane = WorkThread(self._queue, self._say)
        self._heard: Callable[[Any, Document], None] = lambda *_: None
        own = self._backend.session_id()
        self.sessions: Sequence[Document] = [] if own is None else [own]
        self.ready = True
        self.ended = False
        self.lanes = 1
        self.shares: list[Share] = []
        self.name, self.end, self.said = "the second thread of this process", "has ended", ""

    @property
    def load(self) -> int:
        """The thread beside it is at work as well."""
        return 1 + len(self.shares)

    def listen(self, heard: Callable[[Any, Document], None], gone: Callable[[Any], None]) -> None:
        self._heard = heard
        self._lane.start()

    def open(self, work: Work, spec: Document) -> None:
        self._runner = work.runner
        lease = Deputy(self._backend, work.runner.lease.record, self._check)
        runner = work.runner.beside(self._backend, lease, self._listen, spec["lanes"])
        self._lane.work = work.beside(runner, self._report)

    def tell(self, **message: Any) -> None:
        if message["do"] == "stop":
            self._dismissed.set()
        else:
            self._queue.put(Share(message["number"], message["in_turn"]))

    def kill(self) -> None:
        """It is told to stop, and what it has open is ended by whoever calls this."""
        self._dismissed.set()

    def dismiss(self) -> None:
        self._dismissed.set()
        self._queue.put(None)

    def close(self) -> None:
        self._lane.join()

    def _check(self) -> None:
        if self._dismissed.is_set():
            raise Cancelled
        self._runner.lease.check()

    def _listen(self, event: Event) -> None:
        if isinstance(event, Notice):
            self._notice(event.text)

    def _notice(self, text: str) -> None:
        self._say({"is": "notice", "text": text})

    def _report(self, number: int, report: Document) -> None:
        self._say({"is": "batch", "number": number, "report": report})

    def _say(self, message: Document) -> None:
        self._heard(self, message)
