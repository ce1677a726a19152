"""A run is slowed down from another terminal: by a word in its lease, which it hears with its heartbeat."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from goaime_migrate import errors
from goaime_migrate.backends.dump import throttle as file
from goaime_migrate.events import BatchCommitted, Event, Notice
from goaime_migrate.migrator import Migrator
from goaime_migrate.results import (
    OnConflict,
    RunResult,
    StatusResult,
    Throttle,
    ThrottleResult,
    VersionStatus,
)
from goaime_migrate.run import lock
from goaime_migrate.workers import pool
from tests.servers import ReplicaSet
from tests.world import World, succeeded

ADD = 'from goaime_migrate import *\noperations = [AddField("c", "new", 1)]\n'
DOCUMENTS = 60


@pytest.fixture(autouse=True)
def _quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.05)


@pytest.fixture
def numbers(world: World) -> World:
    world.insert("c", [{"_id": i} for i in range(DOCUMENTS)])
    world.write("0001_add.py", ADD)
    world.settings |= {"batch_size": 2, "max_rate": 150}  # slow enough for a word to arrive
    return world


def told(world: World, **what: object) -> ThrottleResult:
    with world.migrator() as migrator:
        return migrator.throttle(**what)  # type: ignore[arg-type]


class Operator:
    """Pauses the run after its first batch; does what comes `then` when the run says that it waits."""

    def __init__(self, world: World, then: Callable[[], object]) -> None:
        self.world = world
        self.then = then
        self.answer: ThrottleResult | None = None
        self.waiting: StatusResult | None = None
        self.notices: list[str] = []
        self.batches = 0
        self.went_on: VersionStatus | None = None
        """How it stood after a few more batches."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, BatchCommitted):
            self.batches += 1
            if self.answer is None:
                self.answer = told(self.world, paused=True)
            if self.notices and self.notices[-1] == "going on" and self.went_on is None:
                (self.went_on,) = self.world.status().versions
        elif isinstance(event, Notice):
            self.notices.append(event.text)
            if event.text.startswith("paused"):
                self.waiting = self.world.status()
                self.then()


def up(migrator: Migrator) -> RunResult:
    return migrator.up()


def down(migrator: Migrator) -> RunResult:
    return migrator.down(on_conflict=OnConflict.KEEP)


@pytest.mark.parametrize("command", [up, down])
def test_a_run_waits_says_so_and_goes_on(numbers: World, command: Callable[[Migrator], RunResult]) -> None:
    if command is down:
        succeeded(numbers.up())

    def go_on() -> None:
        time.sleep(2.0)
        told(numbers, paused=False)

    operator = Operator(numbers, go_on)
    before = datetime.now(UTC)
    with numbers.migrator(operator) as migrator:
        succeeded(command(migrator))
    paused = Throttle(paused=True)
    assert operator.answer is not None
    assert operator.answer.lock is not None
    assert (operator.answer.throttle, operator.answer.lock.throttle) == (paused, paused)
    assert operator.waiting is not None
    assert operator.waiting.lock is not None
    assert operator.waiting.lock.throttle == paused
    assert operator.waiting.waiting is not None
    assert operator.waiting.waiting.reason == "paused from another terminal"
    assert abs(operator.waiting.waiting.since - before) < timedelta(seconds=60)
    assert operator.notices == [
        "paused from another terminal; it goes on after: throttle --resume",
        "going on",
    ]
    if not numbers.embedded:
        (version,) = operator.waiting.versions
        assert version.progress is not None
        assert (version.progress.rate, version.progress.eta_s) == (None, None)
        assert operator.went_on is not None
        assert operator.went_on.progress is not None
        assert operator.went_on.progress.rate is not None
        assert operator.went_on.progress.rate > 2, "the pause does not count"
    assert numbers.status().lock is None
    with pytest.raises(errors.NothingRuns) as caught:
        told(numbers, paused=True)
    assert (caught.value.exit_code, caught.value.code) == (9, "GM815")


def test_an_interrupt_ends_a_paused_run_at_once_and_the_next_is_not_paused(numbers: World) -> None:
    operator = Operator(numbers, lambda: migrator.interrupt(signal.SIGINT))
    with numbers.migrator(operator) as migrator:
        error = migrator.up().error
    assert error is not None
    assert error.exit_code == 130
    assert numbers.states() == ["partial"]
    assert numbers.status().waiting is None
    if numbers.embedded:
        assert not list(numbers.dump.parent.glob(".*"))
    assert succeeded(numbers.up()).versions == ("0001",)


def test_what_is_not_said_stays_and_without_a_word_all_is_as_at_the_beginning(numbers: World) -> None:
    said: list[Throttle | None] = []
    words: list[dict[str, object]] = [
        {"max_rate": 500.0}, {"paused": True}, {"max_rate": 700.0}, {"paused": False}, {}, {"paused": False},
    ]  # fmt: skip

    def tell(event: Event) -> None:
        if isinstance(event, BatchCommitted) and not said:
            said.extend(told(numbers, **word).throttle for word in words)

    with numbers.migrator(tell) as migrator:
        succeeded(migrator.up())
    assert said == [
        Throttle(max_rate=500.0),
        Throttle(paused=True, max_rate=500.0),
        Throttle(paused=True, max_rate=700.0),
        Throttle(max_rate=700.0),
        None,
        None,
    ]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 1e9 + 1, 2.0**63, 1e308])
def test_a_rate_that_is_none_is_refused(numbers: World, rate: float) -> None:
    with pytest.raises(errors.UsageError):
        told(numbers, max_rate=rate)


def test_two_who_tell_it_something_at_once_are_both_heard(numbers: World) -> None:
    rounds: list[Throttle | None] = []

    def tell(event: Event) -> None:
        if not isinstance(event, BatchCommitted) or rounds:
            return
        with numbers.migrator() as one, numbers.migrator() as other, ThreadPoolExecutor(2) as both:
            for _ in range(10):
                one.throttle()
                start = Barrier(2)
                words: list[tuple[Migrator, dict[str, Any]]] = [
                    (one, {"paused": True}),
                    (other, {"max_rate": 500}),
                ]

                def say(migrator: Migrator, word: dict[str, Any], start: Barrier = start) -> None:
                    start.wait()
                    migrator.throttle(**word)

                list(both.map(lambda each: say(*each), words))
                lock = one.status().lock
                rounds.append(lock.throttle if lock else None)
            one.throttle()

    with numbers.migrator(tell) as migrator:
        succeeded(migrator.up())
    assert rounds == [Throttle(paused=True, max_rate=500.0)] * 10


def test_all_processes_of_a_run_wait(
    replica_set: ReplicaSet, database_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World("replica set", replica_set.uri, database_name, tmp_path / "migrations")
    many = 3_000
    world.insert("c", [{"_id": i, "n": i} for i in range(many)])
    world.write(
        "0001_add.py",
        "from goaime_migrate import *\n\n\ndef add(d):\n    d['new'] = 1\n\n\n"
        "operations = [TransformDocuments('c', add)]\n",
    )
    monkeypatch.setattr(pool, "WAITING_S", 20.0)

    def done() -> int:
        with world.client() as client:
            return int(client[database_name].c.count_documents({"new": 1}))

    def look() -> None:
        counts = [done()]
        while len(counts) < 2 or counts[-1] != counts[-2]:
            time.sleep(0.5)
            counts.append(done())
        seen.append(counts[-1])
        told(world, paused=False)

    seen: list[int] = []
    operator = Operator(world, look)
    with world.migrator(operator, workers=2, batch_size=10, max_rate=1500) as migrator:
        succeeded(migrator.up())
    assert 0 < seen[0] < many
    assert done() == many


def test_a_dump_is_plain_again_and_a_killed_run_s_word_is_nobody_else_s(tmp_path: Path) -> None:
    world = World("embedded", f"dump:{tmp_path}", "goaime", tmp_path / "migrations")
    world.insert("c", [{"_id": 1}])
    world.write("0001_add.py", ADD)
    left = tmp_path / file.NAME
    left.write_text(json.dumps({"paused": True, "max_rate": None}))
    assert world.status().lock is None
    succeeded(world.up())
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(file.NAME)] == []


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"paused": 1, "max_rate": null}', '{"paused": true}', "[" * 900]
)
def test_what_nobody_of_us_has_written_into_a_dump_counts_for_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / file.NAME).write_text(content)
    assert file.read(tmp_path) is None


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "dump").mkdir()
    other = tmp_path / "other"
    other.write_text('{"paused": true, "max_rate": null}')
    (tmp_path / "dump" / file.NAME).symlink_to(other)
    assert file.read(tmp_path / "dump") is None
    file.tell(tmp_path / "dump", {"max_rate": 3.0})
    assert (told := file.read(tmp_path / "dump")) is not None
    assert told.throttle == Throttle(max_rate=3.0)
    assert other.read_text() == '{"paused": true, "max_rate": null}'
