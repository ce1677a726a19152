"""How large the next batch is."""

from __future__ import annotations

import time

import pytest

from goaime_migrate.run import pacing
from goaime_migrate.run.pacing import AIM_S, FEWEST, FIRST, LARGEST, Pacing


def test_the_first_batch_is_a_small_one_and_the_next_grow_to_the_largest() -> None:
    pace = Pacing()
    assert pace.size == FIRST
    for _ in range(5):
        pace.took(AIM_S / 100, pace.size)
    assert pace.size == LARGEST
    assert Pacing(50).size == 50


def test_a_batch_that_took_too_long_is_followed_by_a_smaller_one_but_not_a_tiny_one() -> None:
    pace = Pacing()
    sizes = []
    for _ in range(20):
        pace.took(AIM_S * 10, pace.size)
        sizes.append(pace.size)
    assert sizes[:2] == [FIRST // 2, FIRST // 4]
    assert sizes[-1] == FEWEST


def test_batches_grow_back_to_the_limit() -> None:
    pace = Pacing(100)
    assert pace.collided()
    assert pace.size == 50
    for _ in range(5):
        pace.took(AIM_S / 100, pace.size)
    assert pace.size == 100


def test_a_batch_that_was_not_full_says_nothing_about_the_next() -> None:
    pace = Pacing()
    pace.took(AIM_S * 10, pace.size - 1)
    assert pace.size == FIRST


def test_collisions_halve_down_to_one_document_and_end_after_many_tries_of_it() -> None:
    pace = Pacing(8)
    sizes = []
    while pace.collided():
        sizes.append(pace.size)
    assert sizes[:4] == [4, 2, 1, 1]
    assert sizes.count(1) == pacing.PATIENCE


def test_a_committed_batch_restores_patience() -> None:
    pace = Pacing(1)
    for _ in range(pacing.PATIENCE - 1):
        assert pace.collided()
    pace.took(0.01, 1)
    assert pace.collided()


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Replica:
    def replication_lag(self) -> float:
        return 0.0


def test_a_stall_is_made_up_for_by_a_second_s_worth_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    throttle = pacing.Throttle(Replica(), lambda _: None, lambda _: None, 100.0, None)  # type: ignore[arg-type]
    began = clock.now
    for _ in range(10):
        throttle.after(50, lambda: None)
    assert clock.now - began == pytest.approx(5.0)
    clock.sleep(60.0)
    began = clock.now
    for _ in range(10):
        throttle.after(50, lambda: None)
    assert clock.now - began == pytest.approx(4.0)
