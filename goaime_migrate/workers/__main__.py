"""A worker process: ``python -m goaime_migrate.workers``, started by a run and spoken to through its stdin and stdout.

Everything that it has to know comes through stdin, the connection string too. What users' code prints goes to stderr.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import IO, NoReturn

from goaime_migrate.backends.ports import Backend
from goaime_migrate.config import Settings
from goaime_migrate.memory import keep_freed
from goaime_migrate.results import Document
from goaime_migrate.workers.cancelled import Cancelled
from goaime_migrate.workers.context import WorkerContext
from goaime_migrate.workers.messages import Channel, pack
from goaime_migrate.workers.threads import WorkThread

_GRACE_S = 5.0
"""How long a batch may still take once the run is gone."""


class WorkerMain:
    """Hears what it is told, one message after the other, and lets its threads do it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._messages: queue.SimpleQueue[Document | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._partitions: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._backends: Sequence[Backend] = ()
        self._threads: list[WorkThread] = []

    def run(self) -> None:
        """Work until it is released."""
        threading.Thread(target=self._listen, name="listener", daemon=True).start()
        begin = self._messages.get()
        if begin is None:
            return
        settings = Settings.model_validate(begin["settings"])
        context = WorkerContext(
            settings, self._check, lambda text: self._channel.tell(**{"is": "notice", "text": text})
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
            if message["do"] == "stop":
                self._stopped.set()
            else:
                self._messages.put(message)
        self._stopped.set()
        self._messages.put(None)
        time.sleep(_GRACE_S)
        os._exit(1)

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
            thread.work = work.beside(run, self._report)

    def _report(self, number: int, report: Document) -> None:
        self._channel.tell(**{"is": "batch", "number": number, "report": report})


def _own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The inherited pipes for the protocol alone; for users' code stdin is empty, and stdout is stderr."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return incoming, outgoing


def main() -> NoReturn:
    """Run, and leave at once: there is nothing to wait for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who has started it decides when it stops
    keep_freed()
    status = 1
    try:
        WorkerMain(Channel(*_own_pipes())).run()
        status = 0
    except BrokenPipeError:
        pass  # the run is gone, and nobody is there to be told
    except Exception:  # noqa: BLE001 (the last resort; the run shows what a worker writes to stderr)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
