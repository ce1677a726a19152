"""What slows a run down between its batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest

from goaime_migrate.events import Event, Notice
from goaime_migrate.results import Throttle
from goaime_migrate.run.brake import Brake, Options
from goaime_migrate.run.pacing import FEWEST


class Lease:
    """A lease whose holder is told whatever a test says."""

    def __init__(self, speaks: bool = True) -> None:
        self.throttle: Throttle | None = None
        self.speaks = speaks
        self.waited: list[str | None] = []

    def waits(self, reason: str | None) -> None:
        self.waited.append(reason)


class Clock:
    """Time that passes only while somebody sleeps; `at` says what happens meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.at: dict[float, Callable[[], None]] = {}
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for due in sorted(moment for moment in self.at if moment <= self.now):
            self.at.pop(due)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def brake(lease: Lease, heard: list[Event] | None = None, **options: Any) -> Brake:
    listener = cast(list[Event], [] if heard is None else heard).append
    return Brake(cast(Any, None), cast(Any, lease), listener, Options(**options))


def nothing() -> None:
    """Nobody stops the run."""


def seconds_for(this: Brake, clock: Clock, batches: int, documents: int = 50) -> float:
    """How long so many batches take, which would take no time at all; the wait after the last one counts."""
    began = clock.now
    for _ in range(batches):
        this.done(documents)
        this.release(nothing)
    return clock.now - began


def test_a_stall_is_made_up_for_by_a_second_s_worth_of_documents(clock: Clock) -> None:
    this = brake(Lease(), max_rate=100.0)
    assert seconds_for(this, clock, 10) == pytest.approx(5.0)
    clock.sleep(60.0)
    assert seconds_for(this, clock, 10) == pytest.approx(4.0)


def test_what_the_run_is_told_counts_in_place_of_its_own_rate(clock: Clock) -> None:
    lease = Lease()
    this = brake(lease, max_rate=100.0)
    for told, seconds in ((Throttle(max_rate=1000.0), 1.0), (Throttle(max_rate=10.0), 100.0), (None, 10.0)):
        lease.throttle = told
        assert seconds_for(this, clock, 20) == pytest.approx(seconds, abs=0.1)


def test_a_rate_that_changes_while_it_is_waited_for_counts_at_once(clock: Clock) -> None:
    lease = Lease()
    lease.throttle = Throttle(max_rate=1.0)
    this = brake(lease)
    clock.at[clock.now + 5.0] = lambda: setattr(lease, "throttle", None)
    assert seconds_for(this, clock, 1) == pytest.approx(5.0, abs=0.3)


def test_those_who_share_the_work_share_the_rate(clock: Clock) -> None:
    lease = Lease()
    lease.throttle = Throttle(max_rate=100.0)
    assert seconds_for(brake(lease, workers=4), clock, 2) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("rate", "largest"), [(None, 500), (5000.0, 500), (120.5, 121), (0.5, FEWEST), (1.0, FEWEST)]
)
def test_a_batch_is_about_a_second_s_worth(rate: float | None, largest: int) -> None:
    assert brake(Lease(), max_rate=rate).largest(500) == largest
    assert brake(Lease(), max_rate=rate).largest(2) == 2


@pytest.mark.parametrize("speaks", [True, False])
def test_a_pause_lasts_until_it_is_ended_and_one_process_says_so(clock: Clock, speaks: bool) -> None:
    lease, heard, checks = Lease(speaks), list[Event](), list[float]()
    lease.throttle = Throttle(paused=True)
    clock.at[clock.now + 30.0] = lambda: setattr(lease, "throttle", Throttle(max_rate=10.0))
    began = clock.now
    brake(lease, heard).hold(lambda: checks.append(clock.now))
    assert clock.now - began == pytest.approx(30.0, abs=0.3)
    assert max(b - a for a, b in pairwise(checks)) < 0.3
    assert len(heard) == len(lease.waited) == (2 if speaks else 0)
    assert all(isinstance(event, Notice) for event in heard)


def test_a_pause_ends_with_what_ends_the_run(clock: Clock) -> None:
    lease = Lease()
    lease.throttle = Throttle(paused=True)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        brake(lease).hold(stop)
