"""What runs in a worker of a dask.distributed cluster: functions that the run calls there, and what they remember.

None of them raises: an error is a message like any other, since the cluster would log the arguments of a call that
failed. The run cannot be heard here while a partition is done, so every few seconds the lease is looked at: a worker
whose run is gone stops when the lease has ended, or sooner, when the next run has raised the fence.
"""

from __future__ import annotations

import threading
import time

from goaime_migrate.backends import raw_bson
from goaime_migrate.config import Settings
from goaime_migrate.results import Document
from goaime_migrate.run.work import Report, Work
from goaime_migrate.workers.cancelled import Cancelled
from goaime_migrate.workers.context import WorkerContext
from goaime_migrate.workers.messages import pack
from goaime_migrate.workers.threads import attempt

_LOOK_S = 5.0
"""How often the lease is looked at."""


class _RunState:
    """What this process keeps for one run: its connection, its migrations, the work that it is at."""

    def __init__(self, settings: Settings) -> None:
        self.context = WorkerContext(settings, self.check, lambda _: None)
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.spec: Document | None = None
        self.work: Work | None = None
        self.report: Report = lambda *_: None
        self.looked = 0.0

    def check(self) -> None:
        """Raise Cancelled when the run has said so, or is not there any more."""
        if self.stopped.is_set():
            raise Cancelled
        if self.spec is not None and time.monotonic() - self.looked >= _LOOK_S:
            lease = self.context.backend.read_lease()
            if lease is None or not lease.live or lease.owner.run != self.spec["owner"]["run"]:
                raise Cancelled
            self.looked = time.monotonic()

    def tell(self, number: int, report: Document) -> None:
        """A batch was committed."""
        self.report(number, report)

    def open(self, spec: Document) -> Work:
        """The work, made once and kept for the next partition."""
        if self.work is None or self.spec != spec:
            self.spec, self.work = spec, self.context.work(spec, self.tell)
        return self.work


_states: dict[str, _RunState] = {}


def hello(token: str, settings: Settings, files: list[Document]) -> bytes:
    """Get ready for a run: load its files, open the database. Returns ``{is: "ready", sessions}`` or a failure."""
    state = _RunState(settings)
    try:
        state.context.load(files)
        sessions = [state.context.backend.session_id()]
    except Exception as error:  # noqa: BLE001 (whatever it is, the run must know)
        return raw_bson.encode({"is": "failed", "number": None, "error": pack(error)})
    _states[token] = state
    return raw_bson.encode({"is": "ready", "sessions": sessions})


def partition(token: str, spec: bytes, number: int) -> bytes:
    """Do a partition. Returns ``{reports: […], last: message}``; each report is also an event of the cluster at once."""
    reports: list[Document] = []

    def report(of: int, document: Document) -> None:
        reports.append(document)
        _log(token, raw_bson.encode({"number": of, "index": len(reports), "report": document}))

    state = _states.get(token)
    if state is None:  # this process is not the one that said hello
        return raw_bson.encode({"reports": [], "last": {"is": "gone"}})

    def do() -> None:
        with state.lock:
            state.report = report
            work = state.open(raw_bson.decode(spec))
            state.check()
            work.do(number)

    return raw_bson.encode({"last": attempt(number, do), "reports": reports})


def stop(token: str) -> None:
    """Stop after the batch."""
    if token in _states:
        _states[token].stopped.set()


def farewell(token: str) -> None:
    """Stop after the batch, and forget the run."""
    state = _states.pop(token, None)
    if state is not None:
        state.stopped.set()
        threading.Thread(target=_close, args=(state,), daemon=True).start()


def _close(state: _RunState) -> None:
    with state.lock:
        state.context.close()


def _log(token: str, message: bytes) -> None:
    """Report while the partition is being done."""
    from distributed import get_worker

    get_worker().log_event(topic(token), message)


def topic(token: str) -> str:
    """Where a run listens for what a worker reports."""
    return f"goaime-migrate-{token}"
