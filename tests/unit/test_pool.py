"""A pool whose other workers are threads of this process: who is given what, and what becomes of it when one is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, cast

import pytest

from goaime_migrate.errors import DuplicateKey, MigrateError, TransformFailed, WorkerFailed
from goaime_migrate.events import Event, Notice
from goaime_migrate.results import Document, Throttle
from goaime_migrate.run.brake import Options
from goaime_migrate.run.work import Report, SourceFile, Work
from goaime_migrate.workers import pool
from goaime_migrate.workers.messages import pack
from goaime_migrate.workers.pool import WorkerPool
from goaime_migrate.workers.worker import Gone, Hear

Do = Callable[[int], MigrateError | None]


class FakeRun:
    """A run whose lease is never lost."""

    def __init__(self) -> None:
        self.options = Options()
        self.throttle: Throttle | None = None
        self.ended: list[Document] = []
        self.backend = self
        self.between: Callable[[], None] = lambda: None
        self.lease = self

    def beside(self, *_: Any) -> FakeRun:
        """Another runner, or another backend: it is both."""
        return self

    def session_id(self) -> Document:
        return {"id": "second"}

    @property
    def record(self) -> None:
        """What the lease is recorded as: nobody looks at it."""

    def end_transactions(self, sessions: Sequence[Document]) -> None:
        self.ended += sessions

    def check(self) -> None:
        self.between()

    @contextmanager
    def among(self, workers: int, between: Callable[[], None]) -> Iterator[None]:
        before, self.between = self.between, between
        try:
            yield
        finally:
            self.between = before


class FakeWork:
    """Reworkers who did what."""

    def __init__(self, do: Do = lambda _: None) -> None:
        self.run = FakeRun()
        self.here: list[int] = []
        self.reports: list[tuple[int, Document]] = []
        self.enrolled: list[Sequence[Document]] = []
        self.second: list[int] = []
        self.side_by_side = True
        self._do = do

    def beside(self, run: Any, report: Report) -> Work:
        return cast(Work, FakeSecond(self, report))

    def enrol(self, sessions: Sequence[Document]) -> None:
        self.enrolled.append(sessions)

    def do(self, number: int) -> None:
        if error := self._do(number):
            raise error
        self.here.append(number)

    def hear(self, number: int, report: Document) -> None:
        self.reports.append((number, report))


class FakeSecond:
    """The same work in the second thread of this process."""

    def __init__(self, work: FakeWork, report: Report) -> None:
        self._work = work
        self._report = report

    def do(self, number: int) -> None:
        if error := self._work._do(number):
            raise error
        self._work.second.append(number)
        self._report(number, {"documents": 1})


class FakeWorker:
    """One that does its shares in a thread; `do` may raise SystemExit: then it is gone."""

    def __init__(self, name: str, do: Do) -> None:
        self.name = name
        self.sessions: Sequence[Document] = ()
        self.ready = self.ended = False
        self.threads = 1
        self.partitions: list[int] = []
        self.end, self.said = "was killed by signal 9", ""
        self.did: list[int] = []
        self.told: list[str] = []
        self._do = do

    def listen(self, hear: Hear, gone: Gone) -> None:
        self._hear, self._gone = hear, gone
        hear(self, {"is": "ready", "sessions": [{"id": self.name}]})

    @property
    def load(self) -> int:
        return len(self.partitions)

    def open(self, work: Work, spec: Document) -> None:
        self.told.append("open")

    def tell(self, **message: Any) -> None:
        self.told.append(message["do"])
        if message["do"] == "partition":
            threading.Thread(target=self._work, args=(message["number"],)).start()

    def _work(self, number: int) -> None:
        try:
            error = self._do(number)
        except SystemExit:
            self._gone(self)
            return
        if error is not None:
            self._hear(self, {"is": "failed", "number": number, "error": pack(error)})
            return
        self.did.append(number)
        self._hear(self, {"is": "batch", "number": number, "report": {"documents": 1}})
        self._hear(self, {"is": "done", "number": number})

    def kill(self) -> None:
        self.told.append("killed")

    def release(self) -> None:
        self.told.append("released")

    def close(self) -> None:
        pass


class FakeSource:
    """Hands out workers that have been made."""

    def __init__(self, *workers: FakeWorker) -> None:
        self.workers = list(workers)

    def workers_for(self, partitions: int) -> int:
        return min(partitions, len(self.workers) + 1)

    def new(self, files: Sequence[SourceFile], threads: int) -> FakeWorker:
        worker = self.workers.pop(0)
        worker.threads = threads
        return worker

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "spec", lambda *_: {"threads": 1})


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process does one share after the other."""
    monkeypatch.setattr(pool, "THREADS", 1)


def shared(work: FakeWork, *workers: FakeWorker, partitions: int = 12) -> list[Event]:
    """Do a work together; what was told."""
    told: list[Event] = []
    with WorkerPool(FakeSource(*workers), told.append) as others:
        others.prepare(partitions, partitions, ())
        others.do(cast(Work, work), list(range(partitions)))
    return told


def slowly(_: int) -> None:
    time.sleep(0.002)


@pytest.mark.usefixtures("one_thread")
def test_everything_is_done_once_by_one_or_the_other() -> None:
    work, one, two = FakeWork(slowly), FakeWorker("one", slowly), FakeWorker("two", slowly)

    shared(work, one, two, partitions=40)

    assert sorted(work.here + one.did + two.did) == list(range(40))
    assert one.did
    assert two.did
    assert sorted(number for number, _ in work.reports) == sorted(one.did + two.did)
    assert one.told[-1] == "released"


@pytest.mark.usefixtures("one_thread")
def test_the_others_are_told_how_fast_to_go_before_they_begin_and_while_they_work() -> None:
    slow, pause = Throttle(max_rate=10.0), Throttle(paused=True)
    words: list[Document] = []

    class Listening(FakeWorker):
        def tell(self, **message: Any) -> None:
            words.append(message)
            super().tell(**message)

    def throttled(number: int) -> None:
        slowly(number)
        work.run.throttle = {10: pause, 30: None}.get(number, work.run.throttle)

    work = FakeWork(throttled)
    work.run.throttle = slow
    shared(work, Listening("one", throttled), partitions=60)

    told = [message["to"] for message in words if message["do"] == "throttle"]
    assert words[0] == {"do": "throttle", "to": asdict(slow)}
    assert told == [asdict(slow), asdict(pause), None]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("attempt", range(20))
def test_what_one_that_is_gone_was_at_is_taken_over_when_its_transaction_is_ended(attempt: int) -> None:
    def die(number: int) -> None:
        if number >= attempt % 5:
            raise SystemExit

    work, mortal = FakeWork(), FakeWorker("mortal", die)

    told = shared(work, mortal)

    assert sorted(work.here + mortal.did) == list(range(12))
    if mortal.ended:
        assert work.run.ended == [{"id": "mortal"}]
        assert told == [Notice("mortal was killed by signal 9; this process goes on with its work")]


class Sleeper(FakeWorker):
    """One that gets ready only when it is woken."""

    def listen(self, hear: Hear, gone: Gone) -> None:
        self._hear, self._gone = hear, gone

    def wake(self) -> None:
        self._hear(self, {"is": "ready", "sessions": [{"id": self.name}]})


@pytest.mark.usefixtures("one_thread")
def test_nobody_is_waited_for_and_nobody_writes_before_all_sessions_are_known() -> None:
    one, two = Sleeper("one", slowly), Sleeper("two", slowly)

    def wake(number: int) -> None:
        slowly(number)
        assert not one.did
        assert not two.did
        match number:
            case 3:
                one.wake()
            case 6:
                assert work.enrolled == []
                two.wake()

    work = FakeWork(lambda number: wake(number) if number < 7 else slowly(number))

    shared(work, one, two, partitions=40)

    assert work.here[:7] == list(range(7))
    assert work.enrolled == [[{"id": "one"}, {"id": "two"}]]
    assert one.did
    assert two.did
    assert sorted(work.here + one.did + two.did) == list(range(40))


@pytest.mark.usefixtures("one_thread")
def test_those_who_get_ready_too_late_are_not_waited_for() -> None:
    work, late = FakeWork(), Sleeper("late", slowly)

    shared(work, late)

    assert work.here == list(range(12))
    assert work.enrolled == [[]]
    assert late.told == ["released"]


@pytest.mark.usefixtures("one_thread")
def test_others_that_bring_nothing_are_not_asked() -> None:
    work, other = FakeWork(), FakeWorker("other", slowly)

    with WorkerPool(FakeSource(other), lambda _: None) as others:
        others.prepare(12, 1, ())
        others.do(cast(Work, work), list(range(12)))

    assert (work.enrolled, other.told) == ([[]], [])


@pytest.mark.usefixtures("one_thread")
def test_those_who_got_ready_too_late_take_part_in_the_next_work() -> None:
    first, second, late = FakeWork(), FakeWork(slowly), Sleeper("late", slowly)

    with WorkerPool(FakeSource(late), lambda _: None) as others:
        for work in (first, second):
            others.prepare(12, 12, ())
            others.do(cast(Work, work), list(range(12)))
            late.wake()

    assert (first.enrolled, second.enrolled) == ([[]], [[{"id": "late"}]])
    assert late.did


@pytest.mark.usefixtures("one_thread")
def test_the_first_error_of_another_ends_the_work_here() -> None:
    started = threading.Event()

    def fail(_: int) -> MigrateError:
        started.set()
        return TransformFailed("raised", id=7)

    def wait(_: int) -> None:
        started.wait(5)

    work, other = FakeWork(wait), FakeWorker("other", fail)

    with pytest.raises(TransformFailed) as caught:
        shared(work, other, partitions=1_000)

    assert caught.value.id == 7
    assert len(work.here) < 1_000
    assert "stop" in other.told
    assert "killed" not in other.told


@pytest.mark.usefixtures("one_thread")
def test_an_error_here_waits_for_what_the_others_are_at() -> None:
    done = threading.Event()

    def last_batch(_: int) -> None:
        time.sleep(0.1)
        done.set()

    with pytest.raises(TransformFailed):
        shared(FakeWork(lambda _: TransformFailed("raised")), FakeWorker("other", last_batch))

    assert done.is_set()


@pytest.mark.usefixtures("one_thread")
def test_an_interrupt_waits_for_nobody() -> None:
    forever = threading.Event()

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    def hang(_: int) -> None:
        forever.wait(10)

    other = FakeWorker("other", hang)
    work = FakeWork(interrupt)

    with pytest.raises(KeyboardInterrupt):
        shared(work, other)
    forever.set()

    assert "killed" in other.told
    assert work.run.ended == [{"id": "other"}]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("refused", [0, 3, 11])
def test_a_duplicate_out_of_turn_is_tried_again_in_its_turn(refused: int) -> None:
    done: set[int] = set()
    tried: list[bool] = []

    def refuse(number: int) -> MigrateError | None:
        if number != refused:
            done.add(number)
            return None
        tried.append(done >= set(range(refused)))
        return None if tried[-1] else DuplicateKey("twice")

    work, other = FakeWork(refuse), FakeWorker("other", refuse)

    shared(work, other)

    assert sorted(work.here + other.did) == list(range(12))
    assert tried[-1]


@pytest.mark.usefixtures("one_thread")
def test_one_that_takes_too_long_to_get_ready_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "STARTING_S", 0.01)

    with pytest.raises(WorkerFailed, match="late was not ready after"):
        shared(FakeWork(slowly), Sleeper("late", slowly), partitions=1_000)


@pytest.mark.usefixtures("one_thread")
def test_one_that_never_gets_ready_ends_the_run() -> None:
    class Stillborn(FakeWorker):
        def listen(self, hear: Hear, gone: Gone) -> None:
            self.said = "no such module"
            gone(self)

    with pytest.raises(WorkerFailed, match="was killed by signal 9: no such module"):
        shared(FakeWork(), Stillborn("other", slowly))


def test_a_process_alone_does_two_shares_side_by_side() -> None:
    together = threading.Barrier(2, timeout=5)

    def meet(_: int) -> None:
        together.wait()

    work = FakeWork(meet)

    shared(work)

    assert sorted(work.here + work.second) == list(range(12))
    assert len(work.here) == len(work.second)
    assert sorted(number for number, _ in work.reports) == sorted(work.second)
    assert work.enrolled == [[{"id": "second"}]]


def test_another_process_does_two_shares_side_by_side() -> None:
    together, met = threading.Barrier(2, timeout=5), []

    def meet(number: int) -> None:
        with suppress(threading.BrokenBarrierError):  # the last may be alone, where their number is odd
            together.wait()
            met.append(number)

    work, other = FakeWork(lambda _: time.sleep(0.05)), FakeWorker("other", meet)

    shared(work, other, partitions=40)

    assert len(met) >= 2
    assert sorted(work.here + work.second + other.did) == list(range(40))


def test_what_several_meet_is_told_once() -> None:
    class Talker(FakeWorker):
        def _work(self, number: int) -> None:
            self._hear(self, {"is": "notice", "text": "the server does not answer"})
            super()._work(number)

    talkers = Talker("one", slowly), Talker("two", slowly)

    told = shared(FakeWork(slowly), *talkers, partitions=40)

    assert all(talker.did for talker in talkers)
    assert told == [Notice("the server does not answer")]


@pytest.mark.parametrize("reason", ["collisions", "rate"])
def test_one_share_at_a_time_where_two_are_no_quicker(reason: str) -> None:
    at_work = threading.Lock()

    def alone(_: int) -> None:
        assert at_work.acquire(blocking=False)
        time.sleep(0.002)
        at_work.release()

    work, other = FakeWork(slowly), FakeWorker("other", alone)
    if reason == "rate":
        work.run.options = Options(max_rate=1000)
    else:
        work.side_by_side = False

    shared(work, other, partitions=40)

    assert other.did
    assert work.second == []
    assert work.enrolled == [[{"id": "other"}]]
    assert sorted(work.here + other.did) == list(range(40))


def test_few_shares_go_to_many_processes() -> None:
    started = threading.Barrier(2, timeout=5)

    def meet(_: int) -> None:
        started.wait()

    work, other = FakeWork(meet), FakeWorker("other", meet)

    shared(work, other, partitions=2)

    assert (len(work.here), len(other.did), work.second) == (1, 1, [])


@pytest.mark.parametrize("attempt", range(10))
def test_both_shares_of_a_process_that_is_gone_are_taken_over(attempt: int) -> None:
    together = threading.Barrier(2, timeout=5)

    def die(number: int) -> None:
        together.wait()
        raise SystemExit

    class Process(FakeWorker):
        def _work(self, number: int) -> None:
            together.wait()
            with lock:
                if not self.ended:
                    self._gone(self)

    lock = threading.Lock()
    work, mortal = FakeWork(slowly), Process("mortal", die)

    shared(work, mortal)

    assert sorted(work.here + work.second) == list(range(12))
    assert work.run.ended == [{"id": "mortal"}]


def test_the_error_of_the_second_thread_ends_the_work() -> None:
    def fail(_: int) -> MigrateError | None:
        return TransformFailed("raised", id=7) if threading.current_thread().name == "work" else None

    work = FakeWork(fail)

    with pytest.raises(TransformFailed) as caught:
        shared(work, partitions=100_000)

    assert caught.value.id == 7


def test_an_error_here_waits_for_what_the_second_thread_is_at() -> None:
    begun, done = threading.Event(), threading.Event()

    def fail(_: int) -> MigrateError | None:
        if threading.current_thread().name == "work":
            begun.set()
            time.sleep(0.1)
            done.set()
            return None
        begun.wait(5)
        return TransformFailed("raised")

    with pytest.raises(TransformFailed):
        shared(FakeWork(fail))

    assert done.is_set()


def test_an_interrupt_ends_what_the_second_thread_has_open() -> None:
    begun, ended = threading.Event(), threading.Event()

    class Run(FakeRun):
        def end_transactions(self, sessions: Sequence[Document]) -> None:
            super().end_transactions(sessions)
            ended.set()

    def interrupt(_: int) -> None:
        if threading.current_thread().name == "work":
            begun.set()
            ended.wait(5)
        else:
            begun.wait(5)
            raise KeyboardInterrupt

    work = FakeWork(interrupt)
    work.run = Run()

    with pytest.raises(KeyboardInterrupt):
        shared(work)

    assert work.run.ended == [{"id": "second"}]
