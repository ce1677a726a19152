"""The collector looks seldom while nobody waits for it, and at once where somebody does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from bson import Timestamp

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports.change_stream import Portion
from goaime_migrate.results import Document
from goaime_migrate.run import collector
from goaime_migrate.run.collector import Collector

LATE = Timestamp(2, 0)


class Feed:
    """Nothing is written, or what a test says; time passes as it says."""

    def __init__(self) -> None:
        self.reads = 0
        self.now = Timestamp(1, 0)
        self.ids: list[bytes] = []

    def read(self) -> Portion:
        self.reads += 1
        found, self.ids = self.ids, []
        return Portion(found, None, self.now)

    def store(self, record: Document) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def collecting(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that has looked once, and looks again in an hour if it is not asked."""
    monkeypatch.setattr(collector, "_PAUSE_S", 3600.0)
    lease: Any = SimpleNamespace(check=lambda: None)
    collecting = Collector(feed, lease, "walk", feed.now, [], feed.now)
    collecting.start()
    while not feed.reads:
        time.sleep(0.001)
    yield collecting
    collecting.stop()
    assert not collecting.is_alive()


def run_at(now: Timestamp) -> Any:
    backend = SimpleNamespace(operation_time=lambda: now)
    return SimpleNamespace(backend=backend, check=lambda: None)


def test_it_does_not_look_again_while_nobody_waits(feed: Feed, collecting: Collector) -> None:
    time.sleep(0.05)
    assert feed.reads == 1


def test_whoever_waits_is_told_at_once(feed: Feed, collecting: Collector) -> None:
    feed.ids, feed.now = [raw_bson.encode({"_id": 1})], LATE
    assert list(collecting.rounds(run_at(LATE))) == [[raw_bson.encode({"_id": 1})]]
    assert collecting.caught_up is not None
    assert collecting.caught_up.at == LATE


def test_afterwards_it_is_seldom_again(feed: Feed, collecting: Collector) -> None:
    feed.now = LATE
    assert list(collecting.rounds(run_at(LATE))) == [[]]
    time.sleep(0.05)
    seen = feed.reads
    time.sleep(0.05)
    assert feed.reads == seen
