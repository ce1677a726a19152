"""The pool of a run: this process, which alone holds the lease, and others.

The main thread does partitions from the first moment; the others, a second thread among them, join in when all of them
are ready. What they report is told by the main thread, between two of its own batches.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict

from goaime_migrate.config import DASK, Settings
from goaime_migrate.errors import DuplicateKey, LeaseLost, MigrateError, ServerUnreachable
from goaime_migrate.events import Listener, Notice
from goaime_migrate.memory import keep_freed
from goaime_migrate.results import Document, Throttle
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import PartitionQueue, SourceFile, Work
from goaime_migrate.workers.context import spec
from goaime_migrate.workers.messages import unpack
from goaime_migrate.workers.process import ProcessWorkers
from goaime_migrate.workers.threads import THREADS, ThreadWorker
from goaime_migrate.workers.worker import STARTING_S, Worker, WorkerSource, take, unready

_TICK_S = 0.1
WAITING_S = 0.0
"""How long this process waits for the others before it begins without them: tests need work that all take part in."""


def open_pool(settings: Settings, listener: Listener) -> WorkerPool:
    """The pool that the settings ask for. Nobody is asked to get ready yet."""
    chosen = settings.executor or ""
    if not chosen.startswith(DASK):
        return WorkerPool(ProcessWorkers(settings), listener)
    from goaime_migrate.workers.dask_cluster import DaskWorkers

    return WorkerPool(DaskWorkers(settings, chosen.removeprefix(DASK)), listener)


class WorkerPool:
    """The workers of one run. A context manager: at its end nobody is left."""

    def __init__(self, source: WorkerSource, listener: Listener) -> None:
        self._source = source
        self._listener = listener
        self._files: dict[str, SourceFile] = {}
        self._processes: list[Worker] = []
        self._second: ThreadWorker | None = None
        self._threads = 1
        """Partitions that each process can do side by side,"""
        self._at_a_time = 1
        """and how many it does of the present work."""
        self._changed = threading.Condition(threading.RLock())
        self._to_tell: deque[Callable[[], None]] = deque()
        self._noticed: set[str] = set()
        """What one of them has said of the present work: the others meet the same."""
        self._queue = PartitionQueue(())
        self._left_behind: list[int] = []
        self._work: Work | None = None
        self._joined = False
        """Whether the others take part in the present work."""
        self._throttle: Throttle | None = None
        """What the others know of how fast to go."""
        self._prepared = 0.0
        self._failure: MigrateError | None = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.release()
        for worker in self._workers:
            worker.close()
        self._source.close()

    # getting ready ---------------------------------------------------------------------------------------------

    @property
    def _workers(self) -> list[Worker]:
        return [*self._processes, *([] if self._second is None else [self._second])]

    def prepare(self, partitions: int, shares: int, files: Sequence[SourceFile]) -> None:
        """Begin with as many others as the partitions keep busy, and are worth it. Does not wait for them."""
        self._files |= {file.version: file for file in files}
        self._prepared = time.monotonic()
        if partitions < 2:
            return
        keep_freed()
        processes = self._source.workers_for(shares)
        self._threads = min(THREADS, partitions // processes)
        for _ in range(len(self._processes) + 1, processes):
            worker = self._source.new(files, self._threads)
            self._processes.append(worker)
            worker.listen(self._hear, self._lose)

    def _start_second(self, work: Work) -> None:
        """See to it that this process has its second thread as well, and say how many partitions each is to do at a time.

        A rate is shared out among all of them, so that what one does not use is lost: the fewer the better.
        """
        self._at_a_time = self._threads if work.side_by_side and work.run.options.max_rate is None else 1
        if self._at_a_time > 1 and self._second is None:
            self._second = ThreadWorker(work.run)
            self._second.listen(self._hear, self._lose)

    def _at_once(self) -> int:
        """How many partitions are done at a time by all together, while none of the others is at work yet."""
        return 1 + sum(min(worker.threads, self._at_a_time - worker.load) for worker in self._present())

    # working ---------------------------------------------------------------------------------------------------

    def do(self, work: Work, numbers: Sequence[int]) -> None:
        """Do all these partitions, each by whoever is free. Raises the first error, when all have stopped."""
        self._start_second(work)
        with work.run.among(self._at_once(), self._between):
            try:
                with self._changed:
                    self._queue, self._left_behind, self._work = PartitionQueue(numbers), [], work
                    self._joined = False
                    self._noticed.clear()
                while not self._joined and time.monotonic() < self._prepared + WAITING_S:
                    work.run.check()
                    self._wait()
                self._until_done(work)
            except BaseException as error:
                self._stop(work.run, error)
                raise
            finally:
                self._work = None

    def _present(self) -> list[Worker]:
        return [worker for worker in self._workers if not worker.ended]

    def _join(self, work: Work, present: Sequence[Worker]) -> None:
        """Let the others take part, those that are ready. Raises LeaseLost."""
        work.enrol([session for worker in present for session in worker.sessions])
        message = spec(work, self._files.values(), self._at_once())
        with self._changed:
            self._joined = True
            self._pass_on(work.run.lease.throttle, present)
            for worker in present:
                worker.open(work, message)
            self._give_out()

    def _until_done(self, work: Work) -> None:
        """Do what there is to do here, and wait for the others."""
        while True:
            work.run.check()
            number = self._own_partition()
            if number is not None:
                self._do_here(work, number)
            elif self._queue.finished:
                work.run.check()
                if not self._joined:
                    self._join(work, ())
                return
            else:
                self._wait()

    def _own_partition(self) -> int | None:
        """The next for this process: first what another has left behind."""
        with self._changed:
            return self._queue.give(self._left_behind.pop(0)) if self._left_behind else self._queue.next()

    def _do_here(self, work: Work, number: int) -> None:
        try:
            work.do(number)
        except DuplicateKey as error:
            with self._changed:
                if self._queue.refuse(number, error):
                    raise
                return
        with self._changed:
            self._queue.done(number)
            self._give_out()

    def _give_out(self) -> None:
        """Give whoever could do more something to do, first whose process does least. The lock is held."""
        if self._work is None or self._failure is not None or not self._joined:
            return
        while free := [each for each in self._present() if self._has_room(each)]:
            number = self._queue.next()
            if number is None:
                return
            worker = min(free, key=lambda worker: worker.load)
            worker.partitions.append(number)
            worker.tell(do="partition", number=number)

    def _has_room(self, worker: Worker) -> bool:
        return worker.ready and len(worker.partitions) < worker.threads and worker.load < self._at_a_time

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait(_TICK_S)

    def _between(self) -> None:
        """What the main thread sees to between two batches. Raises the first error of the others."""
        self._relay()
        if self._work is None:
            return
        if self._joined:
            if self._work.run.lease.throttle != self._throttle:
                self._pass_on(self._work.run.lease.throttle, self._present())
            return
        present = self._present()
        if all(worker.ready for worker in present):
            self._join(self._work, present)
        elif time.monotonic() > self._prepared + STARTING_S:
            raise unready(next(worker for worker in present if not worker.ready))

    def _pass_on(self, throttle: Throttle | None, workers: Sequence[Worker]) -> None:
        """Let the others know how fast to go; who was never told otherwise goes as fast as it can."""
        for worker in workers if throttle or self._throttle else ():
            worker.tell(do="throttle", to=None if throttle is None else asdict(throttle))
        self._throttle = throttle

    def _relay(self) -> None:
        """Tell what the others have reported, in the main thread. Raises the first of their errors."""
        while self._to_tell:
            self._to_tell.popleft()()
        if self._failure is not None:
            raise self._failure

    # hearing: called by the threads of the others ----------------------------------------------------------------

    def _hear(self, worker: Worker, message: Document) -> None:
        with self._changed:
            match message["is"]:
                case "ready":
                    worker.sessions, worker.ready = message["sessions"], True
                case "batch" if self._work is not None:
                    work, number, report = self._work, message["number"], message["report"]
                    self._to_tell.append(lambda: work.hear(number, report))
                case "notice" if message["text"] not in self._noticed:
                    self._noticed.add(message["text"])
                    self._to_tell.append(lambda: self._listener(Notice(message["text"])))
                case "done":
                    self._queue.done(message["number"])
                    take(worker, message["number"])
                case "left":
                    take(worker, message["number"])
                case "failed":
                    number, error = take(worker, message["number"]), unpack(message["error"])
                    if number is None or self._queue.refuse(number, error):
                        self._failure = self._failure or error
            self._give_out()
            self._changed.notify_all()

    def _lose(self, worker: Worker) -> None:
        """A process has ended. What it was at work on is taken over here, once its transaction is ended."""
        with self._changed:
            worker.ended = True  # from here on it is given nothing more
            left, work = list(worker.partitions), self._work
            if not worker.ready and self._failure is None:
                self._failure = unready(worker)
            self._changed.notify_all()
        if not left or work is None:
            return
        with suppress(MigrateError):  # the next write waits, or says what is wrong with the server
            work.run.backend.end_transactions(worker.sessions)
        text = f"{worker.name} {worker.end}; this process goes on with its work"
        with self._changed:
            self._to_tell += [lambda: self._listener(Notice(text)), lambda: self._left_behind.extend(left)]
            self._changed.notify_all()

    # stopping --------------------------------------------------------------------------------------------------

    def _stop(self, run: Run, error: BaseException) -> None:
        """Let the others finish their batches; at once where it is urgent, the lease is lost, or no server answers."""
        patient = isinstance(error, MigrateError) and not isinstance(error, LeaseLost | ServerUnreachable)
        with self._changed:
            self._queue = PartitionQueue(())
        try:
            for worker in self._workers:
                worker.tell(do="stop")
            while patient and any(worker.partitions for worker in self._present()):
                run.lease.check()
                self._wait()
        except BaseException:
            self._kill(run)
            raise
        if not patient:
            self._kill(run, answering=not isinstance(error, ServerUnreachable))

    def _kill(self, run: Run, *, answering: bool = True) -> None:
        """End the others, and what they have left open; without an answering server the next run does that."""
        busy = [session for worker in self._workers if worker.partitions for session in worker.sessions]
        for worker in self._workers:
            worker.kill()
        if answering:
            with suppress(MigrateError):
                run.backend.end_transactions(busy)
