"""What every worker of another process does, however its messages reach it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from goaime_migrate.backends.ports import Backend
from goaime_migrate.config import Settings
from goaime_migrate.results import Document, Throttle
from goaime_migrate.workers.cancelled import Cancelled
from goaime_migrate.workers.context import WorkerContext
from goaime_migrate.workers.messages import pack
from goaime_migrate.workers.threads import WorkThread


class Messages(Protocol):
    """The worker's end of a channel. `tell` may be called from any thread, `messages` from one."""

    def tell(self, **message: Any) -> None:
        """Send a message to the run."""

    def messages(self) -> Iterator[Document]:
        """What the run says, until there will be no more, or the run is gone."""


class WorkerLoop:
    """Hears what it is told, one message after the other, and lets its threads do it."""

    def __init__(self, channel: Messages, orphaned: Callable[[], None] = lambda: None) -> None:
        self._channel = channel
        self._orphaned = orphaned
        self._messages: queue.SimpleQueue[Document | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._throttle: Throttle | None = None
        self._partitions: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._backends: Sequence[Backend] = ()
        self._threads: list[WorkThread] = []

    def run(self) -> None:
        """Work until it is released."""
        threading.Thread(target=self._listen, name="listener", daemon=True).start()
        begin = self._messages.get()
        if begin is None:
            return
        settings = Settings(**begin["settings"])
        context = WorkerContext(
            settings,
            self._check,
            lambda text: self._channel.tell(**{"is": "notice", "text": text}),
            lambda: self._throttle,
        )
        try:
            context.load(begin["files"])
            self._begin(
                [
                    context.backend,
                    *(context.backend.beside(context.tell) for _ in range(begin["threads"] - 1)),
                ]
            )
            while (message := self._messages.get()) is not None:
                self._obey(context, message)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, the run must know)
            self._channel.tell(**{"is": "failed", "number": None, "error": pack(error)})
        finally:
            self._end()
            context.close()

    def _begin(self, backends: Sequence[Backend]) -> None:
        self._backends = backends
        self._threads = [
            WorkThread(self._partitions, lambda message: self._channel.tell(**message)) for _ in backends
        ]
        for thread in self._threads:
            thread.start()
        self._channel.tell(**{"is": "ready", "sessions": [backend.session_id() for backend in backends]})

    def _end(self) -> None:
        for _ in self._threads:
            self._partitions.put(None)
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        for message in self._channel.messages():
            match message["do"]:
                case "stop":
                    self._stopped.set()
                case "throttle":  # at once, also while batches are under way
                    self._throttle = message["to"] and Throttle(**message["to"])
                case _:
                    self._messages.put(message)
        self._stopped.set()
        self._messages.put(None)
        self._orphaned()

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Cancelled

    def _obey(self, context: WorkerContext, message: Document) -> None:
        if message["do"] == "partition":
            self._partitions.put(message["number"])
            return
        work = context.work(message["spec"], self._report)
        first, *others = self._threads
        first.work = work
        for thread, backend in zip(others, self._backends[1:], strict=True):
            run = work.run.beside(backend, work.run.lease, work.run.listener, workers=1)
            if run.options.max_rate is not None:  # one partition at a time: whichever thread is free takes it
                run.alternate(work.run)
            thread.work = work.beside(run, self._report)

    def _report(self, number: int, report: Document) -> None:
        self._channel.tell(**{"is": "batch", "number": number, "report": report})
