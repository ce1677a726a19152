"""What a killed run has locked, where whoever goes on may not end its transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from goaime_migrate.backends.ports import LOCK
from goaime_migrate.events import Event, Notice
from tests.conftest import StartServer
from tests.faults.runs import Forker, Strike
from tests.faults.test_crash import DOWN, UP
from tests.faults.workload import bank
from tests.servers import OTHER, WRITER, Kind, Options, ReplicaSet
from tests.world import World, succeeded

LIFETIME_S = 5
"""How long the server lets a transaction be open; its own default is a minute."""
LOCKED = {
    "a batch": Strike("update", "accounts", 3, "after"),
    "the lease": Strike("commitTransaction", None, 1, "before"),
}


@pytest.fixture(scope="module")
def impatient(start_server: StartServer) -> ReplicaSet:
    parameters = {"transactionLifetimeLimitSeconds": LIFETIME_S}
    server = start_server(Kind.REPLICA_SET, Options(auth=True, parameters=parameters))
    assert isinstance(server, ReplicaSet)
    return server


@pytest.fixture
def world(impatient: ReplicaSet, tmp_path: Path) -> Iterator[World]:
    world = World(
        Kind.REPLICA_SET, impatient.uri_for(WRITER), f"test_{tmp_path.name}", tmp_path / "migrations"
    )
    yield world
    impatient.client.drop_database(world.database)


@pytest.mark.parametrize("argv", [UP, DOWN], ids=["up", "down"])
@pytest.mark.parametrize("strike", LOCKED.values(), ids=LOCKED)
def test_the_transaction_of_a_killed_run_of_another_user_is_waited_out_with_a_notice(
    forker: Forker,
    impatient: ReplicaSet,
    world: World,
    argv: tuple[str, ...],
    strike: Strike,
) -> None:
    this = bank(world)
    if argv is DOWN:
        forker.succeed(world, *UP)
    assert forker.run(world, *argv, strikes=[strike]) == -9
    started = time.monotonic()

    run = forker.succeed(world, *argv, uri=impatient.uri_for(OTHER), timeout=6 * LIFETIME_S)

    assert time.monotonic() - started > LIFETIME_S / 3
    assert run.output.count("left a transaction open") == 1
    (this.is_up if argv is UP else this.is_down)()


def test_an_expired_lease_that_a_transaction_has_locked_is_waited_for(
    impatient: ReplicaSet, world: World
) -> None:
    this = bank(world)
    succeeded(world.up())
    world.uri = impatient.uri_for(OTHER)
    notices: list[Event] = []
    with MongoClient[Any](impatient.uri_for(WRITER)) as client, client.start_session() as session:
        lock = client[world.database][LOCK]
        lock.update_one(
            {}, {"$set": {"expires_at": datetime(2020, 1, 1), "run": "gone", "host": "elsewhere"}}
        )
        session.start_transaction()
        lock.update_one({}, {"$set": {"touched_at": None}}, session=session)

        with world.migrator(notices.append, lock_timeout=0) as migrator:
            succeeded(migrator.down("base"))

    this.is_down()
    assert ["left a transaction open" in n.text for n in notices if isinstance(n, Notice)] == [True]


def test_the_same_user_needs_no_privilege_to_end_it(forker: Forker, world: World) -> None:
    this = bank(world)
    assert forker.run(world, *UP, strikes=[LOCKED["a batch"]]) == -9
    started = time.monotonic()
    run = forker.succeed(world, *UP)
    assert time.monotonic() - started < LIFETIME_S / 2
    assert "open" not in run.output
    this.is_up()
