"""Worlds that a test may break, and the process that starts runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from tests.faults.runs import Forker
from tests.servers import Mongod, ReplicaSet
from tests.world import World


@pytest.fixture(scope="session")
def forker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forker]:
    """Starts runs, each in a process of its own."""
    with Forker(tmp_path_factory.mktemp("runs")) as started:
        yield started


@pytest.fixture
def one(local_replica_set: ReplicaSet, database_name: str, tmp_path: Path) -> World:
    """An empty database on one node, with transactions."""
    return World("replica-set", local_replica_set.uri, database_name, tmp_path / "migrations")


@pytest.fixture
def alone(standalone: Mongod, database_name: str, tmp_path: Path) -> World:
    """An empty database without transactions."""
    return World("standalone", standalone.uri, database_name, tmp_path / "migrations")


@pytest.fixture
def three(three_nodes: ReplicaSet, database_name: str, tmp_path: Path) -> Iterator[World]:
    """An empty database on three nodes, which are well again afterwards."""
    yield World("three-nodes", three_nodes.uri, database_name, tmp_path / "migrations")
    three_nodes.heal()


T = TypeVar("T")


@dataclass(frozen=True)
class Portion:
    """Which of many places a run is killed at: every so many-th, or in the soak all of them."""

    every: int

    def of(self, places: Sequence[T]) -> Sequence[T]:
        """Some, spread over all."""
        return places[:: self.every]

    def least(self, kills: int) -> int:
        """How many kills there have to be, of so many where all are tried."""
        return kills // self.every


@pytest.fixture(params=[4, pytest.param(1, marks=pytest.mark.soak)], ids=["some", "all"])
def portion(request: pytest.FixtureRequest) -> Portion:
    """A quarter of the places, all of them in the soak, and in a short run a few."""
    hurried = 4 if request.config.getoption("short") and request.param > 1 else 1
    return Portion(request.param * hurried)
