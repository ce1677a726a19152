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
from goaime_migrate.run.work import Share
from goaime_migrate.workers.cancelled import Cancelled
from goaime_migrate.workers.context import WorkerContext
from goaime_migrate.workers.messages import Channel, packed
from goaime_migrate.workers.threads import WorkThread

_GRACE_S = 5.0
"""How long a batch may still take once the run is gone."""


class WorkerMain:
    """Hears what it is told, one message after the other, and lets its lanes do it."""

    def __init__(self, wire: Channel) -> None:
        self._wire = wire
        self._messages: queue.SimpleQueue[Document | None] = queue.SimpleQueue()
        self._dismissed = threading.Event()
        self._shares: queue.SimpleQueue[Share | None] = queue.SimpleQueue()
        self._backends: Sequence[Backend] = ()
        self._lanes: list[WorkThread] = []

    def run(self) -> None:
        """Work until dismissed."""
        threading.Thread(target=self._listen, name="listener", daemon=True).start()
        begin = self._messages.get()
        if begin is None:
            return
        settings = Settings.model_validate(begin["settings"])
        site = WorkerContext(
            settings, self._check, lambda text: self._wire.tell(**{"is": "notice", "text": text})
        )
        try:
            site.load(begin["files"])
            self._begin([site.backend, *(site.backend.beside(site.tell) for _ in range(begin["lanes"] - 1))])
            while (message := self._messages.get()) is not None:
                self._obey(site, message)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, the run must know)
            self._wire.tell(**{"is": "failed", "number": None, "error": packed(error)})
        finally:
            self._end()
            site.close()

    def _begin(self, backends: Sequence[Backend]) -> None:
        self._backends = backends
        self._lanes = [WorkThread(self._shares, lambda message: self._wire.tell(**message)) for _ in backends]
        for lane in self._lanes:
            lane.start()
        self._wire.tell(**{"is": "ready", "sessions": [backend.session_id() for backend in backends]})

    def _end(self) -> None:
        for _ in self._lanes:
            self._shares.put(None)
        for lane in self._lanes:
            lane.join()

    def _listen(self) -> None:
        for message in self._wire.heard():
            if message["do"] == "stop":
                self._dismissed.set()
            else:
                self._messages.put(message)
        self._dismissed.set()
        self._messages.put(None)
        time.sleep(_GRACE_S)
        os._exit(1)

    def _check(self) -> None:
        if self._dismissed.is_set():
            raise Cancelled

    def _obey(self, site: WorkerContext, message: Document) -> None:
        if message["do"] == "share":
            self._shares.put(Share(message["number"], message["in_turn"]))
            return
        work = site.work(message["spec"], self._report)
        first, *others = self._lanes
        first.work = work
        for lane, backend in zip(others, self._backends[1:], strict=True):
            runner = work.runner.beside(backend, work.runner.lease, work.runner.listener, lanes=1)
            lane.work = work.beside(runner, self._report)

    def _report(self, number: int, report: Document) -> None:
        self._wire.tell(**{"is": "batch", "number": number, "report": report})


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
