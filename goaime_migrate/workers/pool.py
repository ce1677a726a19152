"""This process and others as the crew of a run.

The main thread does shares itself, from the first moment; the others, a second thread of this process among them, join
in as soon as all of them are ready. Whoever hears what one of them reports gives it its next share at once; what there
is to tell is told by the main thread, between two of its own batches. Only this process holds the lease.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from goaime_migrate.config import DASK, Settings
from goaime_migrate.errors import DuplicateKey, LeaseLost, MigrateError, ServerUnreachable, WorkerFailed
from goaime_migrate.events import Listener, Notice
from goaime_migrate.memory import keep_freed
from goaime_migrate.results import Document
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import PartitionQueue, Share, SourceFile, Work
from goaime_migrate.workers.context import spec
from goaime_migrate.workers.messages import unpacked
from goaime_migrate.workers.process import ProcessWorkers
from goaime_migrate.workers.threads import THREADS, ThreadWorker
from goaime_migrate.workers.worker import Worker, WorkerSource

_TICK_S = 0.1
_STARTING_S = 60.0
"""How long a worker may take to get ready."""
WAITING_S = 0.0
"""How long this process waits for the others before it begins without them: tests need work that all take part in."""


def crew(settings: Settings, listener: Listener) -> WorkerPool:
    """The crew that the settings ask for. Nobody is summoned yet."""
    chosen = settings.executor or ""
    if not chosen.startswith(DASK):
        return WorkerPool(ProcessWorkers(settings), listener)
    from goaime_migrate.workers.dask_cluster import DaskWorkers

    return WorkerPool(DaskWorkers(settings, chosen.removeprefix(DASK)), listener)


class WorkerPool:
    """The crew of one run. A context manager: at its end nobody is left."""

    def __init__(self, members: WorkerSource, listener: Listener) -> None:
        self._others = members
        self._listener = listener
        self._files: dict[str, SourceFile] = {}
        self._elsewhere: list[Worker] = []
        self._companion: ThreadWorker | None = None
        self._lanes = 1
        """Shares that each process can do side by side,"""
        self._at_a_time = 1
        """and how many it does of the present work."""
        self._changed = threading.Condition(threading.RLock())
        self._told: deque[Callable[[], None]] = deque()
        self._noticed: set[str] = set()
        """What one of them has said of the present work; the others meet the same."""
        self._shares = PartitionQueue(())
        self._orphans: list[int] = []
        self._work: Work | None = None
        self._joined = False
        """Whether the others take part in the present work."""
        self._summoned = 0.0
        self._failure: MigrateError | None = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.dismiss()
        for member in self._members:
            member.close()
        self._others.close()

    # getting ready ---------------------------------------------------------------------------------------------

    @property
    def _members(self) -> list[Worker]:
        return [*self._elsewhere, *([] if self._companion is None else [self._companion])]

    def summon(self, partitions: int, files: Sequence[SourceFile]) -> None:
        """Begin with as many others as the partitions keep busy. Does not wait for them."""
        self._files |= {file.version: file for file in files}
        self._summoned = time.monotonic()
        if partitions < 2:
            return
        keep_freed()
        processes = self._others.wanted(partitions)
        self._lanes = min(THREADS, partitions // processes)
        for _ in range(len(self._elsewhere) + 1, processes):
            member = self._others.new(files, self._lanes)
            self._elsewhere.append(member)
            member.listen(self._heard, self._gone)

    def _accompanied(self, work: Work) -> None:
        """See to it that this process has its second lane as well, and say how many shares each is to do at a time.

        A rate is shared out among all of them, so that what one does not use is lost: the fewer the better.
        """
        self._at_a_time = self._lanes if work.side_by_side and work.runner.options.max_rate is None else 1
        if self._at_a_time > 1 and self._companion is None:
            self._companion = ThreadWorker(work.runner)
            self._companion.listen(self._heard, self._gone)

    def _all(self) -> int:
        """How many shares are done at a time by all together, while none of the others is at work yet."""
        return 1 + sum(min(member.lanes, self._at_a_time - member.load) for member in self._present())

    # working ---------------------------------------------------------------------------------------------------

    def share(self, work: Work, numbers: Sequence[int]) -> None:
        """Do all these partitions, each by whoever is free. Raises the first error, when all have stopped."""
        self._accompanied(work)
        with work.runner.among(self._all(), self._between):
            try:
                with self._changed:
                    self._shares, self._orphans, self._work = PartitionQueue(numbers), [], work
                    self._joined = False
                    self._noticed.clear()
                while not self._joined and time.monotonic() < self._summoned + WAITING_S:
                    work.runner.check()
                    self._wait()
                self._until_done(work)
            except BaseException as error:
                self._stop(work.runner, error)
                raise
            finally:
                self._work = None

    def _present(self) -> list[Worker]:
        return [member for member in self._members if not member.ended]

    def _join(self, work: Work, present: Sequence[Worker]) -> None:
        """Let the others take part, those that are ready. Raises LeaseLost."""
        work.enrol([session for member in present for session in member.sessions])
        message = spec(work, self._files.values(), self._all())
        with self._changed:
            self._joined = True
            for member in present:
                member.open(work, message)
            self._feed()

    def _until_done(self, work: Work) -> None:
        """Do what there is to do here, and wait for the others."""
        while True:
            work.runner.check()
            share = self._own_share()
            if share is not None:
                self._do(work, share)
            elif self._shares.finished:
                work.runner.check()
                if not self._joined:
                    self._join(work, ())
                return
            else:
                self._wait()

    def _own_share(self) -> Share | None:
        """The next for this process: first what another has left behind."""
        with self._changed:
            if self._orphans:
                number = self._orphans.pop(0)
                return Share(number, self._shares.in_turn(number))
            return self._shares.next()

    def _do(self, work: Work, share: Share) -> None:
        try:
            work.do(share)
        except DuplicateKey as error:
            with self._changed:
                if self._shares.refused(share, error):
                    raise
                return
        with self._changed:
            self._shares.done(share.number)
            self._feed()

    def _feed(self) -> None:
        """Give whoever could do more something to do, first whose process does least. The lock is held."""
        if self._work is None or self._failure is not None or not self._joined:
            return
        while free := [m for m in self._present() if m.ready and self._has_room(m)]:
            share = self._shares.next()
            if share is None:
                return
            member = min(free, key=lambda member: member.load)
            member.shares.append(share)
            member.tell(do="share", number=share.number, in_turn=share.in_turn)

    def _has_room(self, member: Worker) -> bool:
        return len(member.shares) < member.lanes and member.load < self._at_a_time

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait(_TICK_S)

    def _between(self) -> None:
        """What the main thread sees to between two batches. Raises the first error of the others."""
        self._relay()
        if self._work is None or self._joined:
            return
        present = self._present()
        if all(member.ready for member in present):
            self._join(self._work, present)
        elif time.monotonic() > self._summoned + _STARTING_S:
            raise _unready(next(member for member in present if not member.ready))

    def _relay(self) -> None:
        """Tell what the others have reported, in the main thread. Raises the first of their errors."""
        while self._told:
            self._told.popleft()()
        if self._failure is not None:
            raise self._failure

    def _take_over(self, work: Work, number: int) -> None:
        """In the main thread, when everything that was reported of the partition has been told."""
        work.taken_over(number)
        self._orphans.append(number)

    # hearing: called by the threads of the others ----------------------------------------------------------------

    def _heard(self, member: Worker, message: Document) -> None:
        with self._changed:
            match message["is"]:
                case "ready":
                    member.sessions, member.ready = message["sessions"], True
                case "batch" if self._work is not None:
                    work, number, report = self._work, message["number"], message["report"]
                    self._told.append(lambda: work.heard(number, report))
                case "notice" if message["text"] not in self._noticed:
                    self._noticed.add(message["text"])
                    self._told.append(lambda: self._listener(Notice(message["text"])))
                case "done":
                    self._shares.done(message["number"])
                    _taken(member, message["number"])
                case "left":
                    _taken(member, message["number"])
                case "failed":
                    self._failed(_taken(member, message["number"]), unpacked(message["error"]))
            self._feed()
            self._changed.notify_all()

    def _failed(self, share: Share | None, error: MigrateError) -> None:
        if share is None or self._shares.refused(share, error):
            self._failure = self._failure or error

    def _gone(self, member: Worker) -> None:
        """A process has ended. What it was at work on is taken over here, once its transaction is ended."""
        with self._changed:
            member.ended = True  # from here on it is given nothing more
            shares, work = list(member.shares), self._work
            if not member.ready and self._failure is None:
                self._failure = _unready(member)
            self._changed.notify_all()
        if not shares or work is None:
            return
        with suppress(MigrateError):  # the next write waits, or says what is wrong with the server
            work.runner.backend.end_transactions(member.sessions)
        text = f"{member.name} {member.end}; this process goes on with its work"
        with self._changed:
            self._told.append(lambda: self._listener(Notice(text)))
            for share in shares:
                self._told.append(partial(self._take_over, work, share.number))
            self._changed.notify_all()

    # stopping --------------------------------------------------------------------------------------------------

    def _stop(self, runner: Run, error: BaseException) -> None:
        """Let the others finish their batches; at once where it is urgent, the lease is lost, or no server answers."""
        patient = isinstance(error, MigrateError) and not isinstance(error, LeaseLost | ServerUnreachable)
        with self._changed:
            self._shares = PartitionQueue(())
        try:
            for member in self._members:
                member.tell(do="stop")
            while patient and any(member.shares for member in self._present()):
                runner.lease.check()
                self._wait()
        except BaseException:
            self._kill(runner)
            raise
        if not patient:
            self._kill(runner, answering=not isinstance(error, ServerUnreachable))

    def _kill(self, runner: Run, *, answering: bool = True) -> None:
        """End the others, and what they have left open; without an answering server the next run does that."""
        busy = [session for member in self._members if member.shares for session in member.sessions]
        for member in self._members:
            member.kill()
        if answering:
            with suppress(MigrateError):
                runner.backend.end_transactions(busy)


def _taken(member: Worker, number: int | None) -> Share | None:
    """The share with this number, no longer a member's own."""
    share = next((share for share in member.shares if share.number == number), None)
    if share is not None:
        member.shares.remove(share)
    return share


def _unready(member: Worker) -> WorkerFailed:
    how = member.end if member.ended else f"was not ready after {_STARTING_S:.0f} s"
    said = f": {member.said}" if member.said else ""
    return WorkerFailed(
        f"{member.name} {how}{said}", hint="goaime-migrate up --workers 1 does without others"
    )
