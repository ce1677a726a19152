"""Workers of a dask.distributed cluster in a run's pool.

In each of them a task does what a worker process does, one partition at a time, and is spoken to in the same messages.
"""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.config import Settings
from goaime_migrate.errors import InvalidConfiguration, MigrateError
from goaime_migrate.errors.hint import PROGRAM
from goaime_migrate.results import Document
from goaime_migrate.run.work import SourceFile, Work
from goaime_migrate.workers import dask_worker
from goaime_migrate.workers.context import file_record
from goaime_migrate.workers.worker import Gone, Hear

_CONNECT_S = 10.0
_TICK_S = 0.5
"""How often a worker is looked after."""


class DaskWorkers:
    """The workers of a cluster. Connects when the first is asked for."""

    def __init__(self, settings: Settings, address: str) -> None:
        self._settings = settings
        self._address = address
        self._client: Any = None
        self._free: list[tuple[str, str]] = []
        self._all = 0

    def workers_for(self, partitions: int) -> int:
        """This process and those of the cluster, or as many as were asked for."""
        if self._client is None:
            self._client = self._connect()
            self._free = sorted(present(self._client).items())
            self._all = len(self._free)
        return min(self._settings.workers or self._all + 1, self._all + 1, partitions)

    def new(self, files: Sequence[SourceFile], threads: int) -> DaskWorker:
        """The next worker of the cluster that is not taken yet."""
        return DaskWorker(self._client, *self._free.pop(0), self._settings, files)

    def close(self) -> None:
        """Let go of the cluster; it goes on."""
        if self._client is not None:
            self._client.close()

    def _connect(self) -> Any:
        try:
            client: Any = import_module("distributed").Client
        except ImportError as error:
            raise InvalidConfiguration(
                "executor = dask:… needs dask.distributed, which is not installed",
                hint="pip install distributed",
                field="executor",
            ) from error
        try:
            return client(self._address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise InvalidConfiguration(
                f"no dask scheduler answers at {self._address}: {error}",
                hint="correct executor, or leave it out",
                field="executor",
            ) from error


def present(client: Any) -> dict[str, str]:
    """The workers that the scheduler knows now: their addresses, and what tells each from a later one there."""
    found: dict[str, str] = client.run_on_scheduler(_present)
    return found


def _present(dask_scheduler: Any) -> dict[str, str]:
    return {address: worker.server_id for address, worker in dask_scheduler.workers.items()}


class DaskWorker:
    """One worker of the cluster, with the task that works for this run."""

    def __init__(
        self, client: Any, address: str, identity: str, settings: Settings, files: Sequence[SourceFile]
    ) -> None:
        self._client = client
        self._address = address
        self._identity = identity
        self._token = uuid.uuid4().hex
        self._outgoing: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.sessions: Sequence[Document] = ()
        self.ready = False
        self.ended = False
        self.threads = 1
        self.partitions: list[int] = []
        self.end = "has left the cluster"
        self.said = ""
        listed = [file_record(file) for file in files]
        self.tell(do="begin", settings=settings.record(), files=listed, threads=1)

    @property
    def name(self) -> str:
        """With its address."""
        return f"dask worker {self._address}"

    @property
    def load(self) -> int:
        """How many partitions it is at work on."""
        return len(self.partitions)

    def listen(self, hear: Hear, gone: Gone) -> None:
        """Through events of the cluster."""
        name = f"worker {self._address}"
        self._thread = threading.Thread(target=self._serve, args=(hear, gone), name=name, daemon=True)
        self._thread.start()

    def open(self, work: Work, spec: Document) -> None:
        """Tell it what the work is."""
        self.tell(do="open", spec=spec)

    def tell(self, **message: Any) -> None:
        """By a call in the worker, beside its tasks."""
        self._outgoing.put(raw_bson.encode(message))

    def kill(self) -> None:
        """It is another's process: it is told to stop, and what it has open is ended by whoever calls this."""
        self._deliver(raw_bson.encode({"do": "stop"}))

    def release(self) -> None:
        """Nothing more will come."""
        self._outgoing.put(dask_worker.END)

    def close(self) -> None:
        """Wait for the thread that hears it."""
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _serve(self, hear: Hear, gone: Gone) -> None:
        """Pass messages on until the task has ended, or its process."""
        topic = dask_worker.topic(self._token)
        try:
            self._client.subscribe_topic(topic, lambda event: hear(self, raw_bson.decode(event[1])))
            task = self._client.submit(
                dask_worker.serve,
                self._token,
                key=f"{PROGRAM}-{self._token}",
                workers=[self._address],
                allow_other_workers=False,
                pure=False,
                retries=0,
            )
            while not task.done() and present(self._client).get(self._address) == self._identity:
                with suppress(queue.Empty):
                    self._deliver(self._outgoing.get(timeout=_TICK_S))
            if task.done():
                task.result()
            task.cancel()
        except Exception as error:  # noqa: BLE001 (the cluster may raise anything; the run must know that it did)
            self.said = f"{type(error).__name__}: {error}"
        finally:
            with suppress(Exception):
                self._client.unsubscribe_topic(topic)
            gone(self)

    def _deliver(self, message: bytes) -> None:
        """At once, beside the task; a worker that is not there any more does not hear it."""
        with suppress(MigrateError, OSError, KeyError, ValueError):
            self._client.run(
                dask_worker.deliver, self._token, message, workers=[self._address], on_error="ignore"
            )
