"""What runs in a worker of a dask.distributed cluster: a task that works as a worker process does, and its messages.

What the run says is put into an inbox here, beside the task; what the task says are events of the cluster. No end of a
pipe tells that the run is gone, so that every few seconds the lease is looked at.
"""

from __future__ import annotations

import queue
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.connect import connect
from goaime_migrate.config import Settings
from goaime_migrate.errors import MigrateError
from goaime_migrate.errors.hint import PROGRAM
from goaime_migrate.results import Document
from goaime_migrate.workers.loop import WorkerLoop

END = b""
_LOOK_S = 5.0
"""How often the lease is looked at."""

_inboxes: defaultdict[str, queue.SimpleQueue[bytes]] = defaultdict(queue.SimpleQueue)


def serve(token: str) -> None:
    """Work for a run until it says that this is the end, or has lost its lease."""
    from distributed import get_worker

    try:
        WorkerLoop(_Inbox(token, get_worker())).run()
    finally:
        _inboxes.pop(token, None)


def deliver(token: str, message: bytes) -> None:
    """Put a message before the task."""
    _inboxes[token].put(message)


def topic(token: str) -> str:
    """Where a run listens for what a worker says."""
    return f"{PROGRAM}-{token}"


class _Inbox:
    """A task's channel to the run."""

    def __init__(self, token: str, worker: Any) -> None:
        self._token = token
        self._worker = worker
        self._inbox = _inboxes[token]

    def tell(self, **message: Any) -> None:
        self._worker.log_event(topic(self._token), raw_bson.encode(message))

    def messages(self) -> Iterator[Document]:
        settings, run = None, None
        while True:
            with suppress(queue.Empty):
                message = self._inbox.get(timeout=_LOOK_S)
                if message == END:
                    return
                found = raw_bson.decode(message)
                settings = settings or Settings(**found["settings"])
                yield found
                continue
            if settings is None:
                return  # this process has taken the place of the one that was spoken to
            with suppress(MigrateError):
                holder = _holder(settings)
                run = run or holder
                if holder is None or holder != run:
                    return


def _holder(settings: Settings) -> str | None:
    """The run that holds the lease now."""
    with closing(connect(settings, write=False)) as backend:
        lease = backend.read_lease()
    return lease.owner.run if lease is not None and lease.live else None
