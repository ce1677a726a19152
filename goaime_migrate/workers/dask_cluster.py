"""Workers of a dask.distributed cluster in a run's pool.

Each worker does one partition at a time. What it reports comes as an event of the cluster while it works, and once more,
complete, with the result: so nothing is missing and nothing counts twice.
"""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.config import Settings
from goaime_migrate.errors import InvalidConfiguration, MigrateError
from goaime_migrate.results import Document
from goaime_migrate.run.work import SourceFile, Work
from goaime_migrate.workers import dask_worker
from goaime_migrate.workers.context import file_record
from goaime_migrate.workers.worker import Gone, Hear

_CONNECT_S = 10.0
_TICK_S = 0.5
"""How often a worker that is busy is looked after."""


class DaskWorkers:
    """The workers of a cluster. Connects when the first is asked for."""

    def __init__(self, settings: Settings, address: str) -> None:
        self._settings = settings
        self._address = address
        self._client: Any = None
        self._free: list[str] = []
        self._all = 0

    def wanted(self, partitions: int) -> int:
        if self._client is None:
            self._client = self._connect()
            self._free = sorted(addresses(self._client))
            self._all = len(self._free)
        return min(self._settings.workers or self._all + 1, self._all + 1, partitions)

    def new(self, files: Sequence[SourceFile], threads: int) -> DaskWorker:
        return DaskWorker(self._client, self._free.pop(0), self._settings, files)

    def close(self) -> None:
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


def addresses(client: Any) -> set[str]:
    """The addresses of the workers that the scheduler knows now."""
    return set(client.run_on_scheduler(_addresses))


def _addresses(dask_scheduler: Any) -> list[str]:
    return list(dask_scheduler.workers)


class DaskWorker:
    """One worker of the cluster."""

    def __init__(self, client: Any, address: str, settings: Settings, files: Sequence[SourceFile]) -> None:
        self._client = client
        self._address = address
        self._settings = settings
        self._files = [file_record(file) for file in files]
        self._token = uuid.uuid4().hex
        self._messages: queue.SimpleQueue[Document | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._guard = threading.Lock()
        self._heard = 0
        """How many reports of the present partition have been passed on."""
        self._number: int | None = None
        self._thread = threading.Thread(target=self._serve, name=f"worker {address}", daemon=True)
        self._tell: Hear = lambda *_: None
        self._gone: Gone = lambda *_: None
        self.sessions: Sequence[Document] = ()
        self.ready = False
        self.ended = False
        self.threads = 1
        self.partitions: list[int] = []
        self.end = "has left the cluster"
        self.said = ""

    @property
    def name(self) -> str:
        return f"dask worker {self._address}"

    @property
    def load(self) -> int:
        return len(self.partitions)

    def listen(self, hear: Hear, gone: Gone) -> None:
        self._tell, self._gone = hear, gone
        self._thread.start()

    def open(self, work: Work, spec: Document) -> None:
        self.tell(do="open", spec=spec)

    def tell(self, **message: Any) -> None:
        if message["do"] == "stop":
            self._stopping.set()
        else:
            self._messages.put(message)

    def kill(self) -> None:
        """It is another's process: it is told to stop, and what it has open is ended by whoever calls this."""
        self._stopping.set()
        self._call(dask_worker.stop, self._token)

    def release(self) -> None:
        self._stopping.set()
        self._messages.put(None)

    def close(self) -> None:
        self._thread.join(timeout=10)

    # the thread ------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            self._client.subscribe_topic(dask_worker.topic(self._token), self._event)
            answer = self._call(dask_worker.hello, self._token, self._settings, self._files)
            if answer is not None:
                self._tell(self, raw_bson.decode(answer))
                spec = b""
                while (message := self._messages.get()) is not None:
                    if message["do"] == "open":
                        spec = raw_bson.encode(message["spec"])
                    elif not self._one(spec, message["number"]):
                        break
                else:
                    self._call(dask_worker.farewell, self._token)
        except Exception as error:  # noqa: BLE001 (the cluster may raise anything; the run must know that it did)
            self.said = f"{type(error).__name__}: {error}"
        finally:
            with suppress(Exception):
                self._client.unsubscribe_topic(dask_worker.topic(self._token))
            self._gone(self)

    def _one(self, spec: bytes, number: int) -> bool:
        """One partition; False if the worker is there no more."""
        with self._guard:
            self._heard, self._number = 0, number
        future = self._client.submit(
            dask_worker.partition,
            self._token,
            spec,
            number,
            key=f"goaime-migrate-{uuid.uuid4().hex}",
            workers=[self._address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        result = self._result(future)
        if result is None:
            return False
        with self._guard:
            self._number = None
            for report in result["reports"][self._heard :]:
                self._tell(self, {"is": "batch", "number": number, "report": report})
        if result["last"]["is"] == "gone":
            return False
        self._tell(self, result["last"])
        return True

    def _result(self, future: Any) -> Document | None:
        """The result of a partition; None if the worker has been lost meanwhile."""
        stopped = False
        while True:
            with suppress(TimeoutError):
                return raw_bson.decode(future.result(timeout=_TICK_S))
            if self._stopping.is_set() and not stopped:
                self._call(dask_worker.stop, self._token)
                stopped = True
            if self._address not in addresses(self._client):
                future.cancel()
                return None

    def _event(self, event: tuple[Any, bytes]) -> None:
        """A report while a partition is done; called by the client's own thread."""
        message = raw_bson.decode(event[1])
        with self._guard:
            if message["number"] == self._number and message["index"] == self._heard + 1:
                self._heard += 1
                self._tell(self, {"is": "batch", "number": message["number"], "report": message["report"]})

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the worker at once, beside what it is at; None if it is not there any more."""
        with suppress(MigrateError, OSError, KeyError, ValueError):
            return self._client.run(function, *arguments, workers=[self._address], on_error="ignore").get(
                self._address
            )
        return None
