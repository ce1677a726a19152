"""One run at a time: others wait, a frozen one that wakes up writes nothing, a run without its lease stops."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from goaime_migrate.backends.ports import LOCK, LOG, PROGRESS, RECORDS, TAIL
from goaime_migrate.results import State
from tests.faults.runs import Forker, Run, Strike, eventually
from tests.faults.workload import Bank, bank
from tests.servers import Mongod, ReplicaSet
from tests.world import World

UP = ("up",)
DOWN = ("down", "base", "--yes")
SHORT_LEASE = {"run.lock.TTL_S": 1.5, "run.lock.HEARTBEAT_S": 0.3, "run.lock.MARGIN_S": 0.3}
WRONG_CLOCK = {"run.lock.TTL_S": 1.5, "run.lock.HEARTBEAT_S": 60.0, "run.lock.MARGIN_S": -60.0}
"""A run that believes in its lease long after it has ended: nothing stops it but the fence."""
LEASE_LOST, LOCK_HELD = 7, 6

FREEZES = {
    "before it has opened a pass": Strike("update", "schema_versions_lock", 1, "before"),
    "before it reads a batch": Strike("find", "accounts", 4, "before"),
    "after it has read a batch": Strike("find", "accounts", 4, "after"),
    "with documents locked": Strike("update", "accounts", 3, "after"),
    "before it commits a batch": Strike("commitTransaction", None, 6, "before"),
    "while it commits a batch": Strike("commitTransaction", None, 6, "sent"),
    "with the lease locked, before it commits the last record": Strike(
        "commitTransaction", None, 16, "before"
    ),
}


def everything(world: World, *but: str) -> dict[str, dict[bytes, bytes]]:
    """All documents of all collections."""
    with world.client() as client:
        names = client[world.database].list_collection_names()
    return {name: world.raws(name) for name in names if name not in but}


@contextmanager
def frozen(
    forker: Forker, world: World, *argv: str, strike: Strike, constants: Mapping[str, float] = SHORT_LEASE
) -> Iterator[Run]:
    """A run that has stopped itself; it is let go on at the end, whatever happens."""
    stop = Strike(strike.command, strike.collection, strike.nth, strike.moment, signal.SIGSTOP)
    run = forker.start(world, *argv, strikes=[stop], constants=constants)
    try:
        run.wait_until_frozen()
        yield run
    finally:
        run.thaw()


def test_of_eight_at_once_one_works_and_the_others_find_nothing_to_do(forker: Forker, one: World) -> None:
    this = bank(one)

    runs = [forker.start(one, *UP) for _ in range(8)]
    statuses = [run.wait() for run in runs]

    assert statuses == [0] * 8, [run.output for run in runs]
    assert sum("applied 0001-0002" in run.output for run in runs) == 1
    assert sum(d["action"] == "up" and d["result"] == "applied" for d in one.documents(LOG)) == 2
    this.is_up()


def test_of_eight_that_do_not_wait_at_least_one_works_and_the_others_exit_6(
    forker: Forker, one: World
) -> None:
    this = bank(one)

    runs = [forker.start(one, *UP, "--lock-timeout", "0") for _ in range(8)]
    statuses = [run.wait() for run in runs]

    assert set(statuses) <= {0, LOCK_HELD}
    assert sum("applied 0001-0002" in run.output for run in runs) == 1
    this.is_up()


def test_who_does_not_want_to_wait_is_told_who_has_the_lock(forker: Forker, one: World) -> None:
    bank(one)
    stop = Strike("find", "accounts", 3, "before", signal.SIGSTOP)
    run = forker.start(one, *UP, strikes=[stop])
    run.wait_until_frozen()

    other = forker.start(one, *UP, "--lock-timeout", "0.3")

    assert other.wait() == LOCK_HELD
    assert f"process {run.pid}" in other.output
    run.thaw()
    assert run.wait() == 0


@pytest.mark.parametrize("strike", FREEZES.values(), ids=FREEZES)
def test_a_run_that_was_frozen_longer_than_its_lease_writes_nothing_when_it_wakes_up(
    forker: Forker, one: World, strike: Strike
) -> None:
    this = bank(one)

    with frozen(forker, one, *UP, strike=strike, constants=WRONG_CLOCK) as run:
        forker.succeed(one, *UP, timeout=15)
        this.is_up()
        left = everything(one, TAIL)
    assert run.wait() == LEASE_LOST, run.output

    assert everything(one, TAIL) == left
    this.is_up()
    forker.succeed(one, *DOWN)
    this.is_down()


@pytest.mark.parametrize("constants", [SHORT_LEASE, WRONG_CLOCK], ids=["by its clock", "by the fence"])
def test_a_run_whose_lookups_are_gone_when_it_wakes_up_has_lost_its_lock_and_not_failed(
    forker: Forker, one: World, constants: Mapping[str, float]
) -> None:
    this = bank(one, mixed=True)  # a later version gives the looked-up collection another name
    strike = Strike("find", "rates", 2, "before")

    with frozen(forker, one, *UP, strike=strike, constants=constants) as run:
        forker.succeed(one, *UP, timeout=15)
        left = everything(one, TAIL)

    assert run.wait() == LEASE_LOST, run.output
    assert everything(one, TAIL) == left
    this.is_up()


@pytest.mark.parametrize("strike", list(FREEZES.values())[1:-1], ids=list(FREEZES)[1:-1])
def test_a_run_that_was_frozen_does_not_take_part_again_when_another_is_halfway(
    forker: Forker, one: World, strike: Strike
) -> None:
    this = bank(one)

    with frozen(forker, one, *UP, strike=strike, constants=WRONG_CLOCK) as run:
        interrupt = Strike("update", "accounts", 3, "before", signal.SIGINT)
        assert forker.run(one, *UP, strikes=[interrupt]) == 130
        left = everything(one, TAIL)
    assert run.wait() == LEASE_LOST, run.output

    assert everything(one, TAIL) == left
    forker.succeed(one, *UP)
    this.is_up()


def test_a_run_that_was_frozen_finds_everything_taken_back_and_leaves_it_so(
    forker: Forker, one: World
) -> None:
    this = bank(one)

    with frozen(forker, one, *UP, strike=FREEZES["after it has read a batch"]) as run:
        forker.succeed(one, *DOWN, timeout=15)
        this.is_down()
        left = everything(one)
    assert run.wait() == LEASE_LOST, run.output

    assert everything(one) == left
    forker.succeed(one, *UP)
    this.is_up()


def test_a_way_down_that_was_frozen_finds_another_run_has_finished_it_and_gone_up_again(
    forker: Forker, one: World
) -> None:
    this = bank(one)
    forker.succeed(one, *UP)

    with frozen(forker, one, *DOWN, strike=Strike("update", "accounts", 3, "before")) as run:
        forker.succeed(one, *DOWN, timeout=15)
        this.is_down()
        forker.succeed(one, *UP, timeout=15)
        this.is_up()
        left = everything(one)
    assert run.wait() == LEASE_LOST, run.output

    assert everything(one) == left


def test_without_transactions_a_run_that_was_frozen_between_two_batches_writes_no_document(
    forker: Forker, alone: World
) -> None:
    this = bank(alone)

    with frozen(forker, alone, *UP, strike=Strike("find", "accounts", 4, "before")) as run:
        forker.succeed(alone, *UP, timeout=15)
        forker.succeed(alone, *DOWN, timeout=15)
        this.is_down()
    assert run.wait() == LEASE_LOST, run.output

    this.is_down()


def test_a_run_of_this_host_that_was_killed_is_not_said_to_be_alive(forker: Forker, one: World) -> None:
    this = bank(one)
    run = forker.start(one, *UP, "--max-rate", "100")
    eventually(lambda: batches(one) > 0)
    alive = one.status()
    run.kill()

    status = one.status()

    assert alive.lock is not None
    assert status.lock is None
    assert [v.state for v in status.versions if v.state is not State.PENDING] == [
        State.PARTIAL,
        State.PARTIAL,
    ]
    assert all(v.progress is None or v.progress.rate is None for v in status.versions)
    with one.migrator() as migrator:
        lock = migrator.unlock().lock
    assert lock is not None
    assert (lock.live, lock.gone) == (False, True)
    forker.succeed(one, *UP)
    this.is_up()


def test_unlock_force_shuts_out_a_run_that_works(forker: Forker, one: World) -> None:
    this = bank(one)
    run = forker.start(one, *UP, "--max-rate", "100")
    eventually(lambda: batches(one) > 0)

    forker.succeed(one, "unlock", "--force", "--yes")

    assert run.wait() == LEASE_LOST, run.output
    done = batches(one)
    forker.succeed(one, *UP)
    this.is_up()
    assert done < 10


def test_unlock_force_does_not_wait_for_a_run_that_is_frozen_in_a_transaction(
    forker: Forker, one: World
) -> None:
    this = bank(one)

    strike = FREEZES["with the lease locked, before it commits the last record"]
    with frozen(forker, one, *UP, strike=strike) as run:
        forker.succeed(one, "unlock", "--force", "--yes", timeout=15)
        forker.succeed(one, *UP, timeout=15)
    assert run.wait() == LEASE_LOST, run.output

    this.is_up()


def test_a_run_whose_heartbeat_fails_stops_before_its_lease_can_have_ended(
    forker: Forker, one: World, local_replica_set: ReplicaSet
) -> None:
    this = bank(one)
    lease = {"run.lock.TTL_S": 4.0, "run.lock.HEARTBEAT_S": 0.2, "run.lock.MARGIN_S": 2.0}
    run = forker.start(one, *UP, "--max-rate", "10", constants=lease)
    eventually(lambda: batches(one) > 0)

    with no_writes_to(local_replica_set.primary, one, LOCK):
        assert run.wait() == LEASE_LOST, run.output
        assert clock(one) < one.documents(LOCK)[0]["expires_at"]
    assert "could not be renewed" in run.output

    forker.succeed(one, *UP)
    this.is_up()


def test_a_heartbeat_that_fails_for_a_moment_stops_nobody(
    forker: Forker, one: World, local_replica_set: ReplicaSet
) -> None:
    this = bank(one)
    lease = {"run.lock.TTL_S": 10.0, "run.lock.HEARTBEAT_S": 0.1, "run.lock.MARGIN_S": 1.0}
    run = forker.start(one, *UP, "--max-rate", "150", constants=lease)
    eventually(lambda: batches(one) > 0)
    before = one.documents(LOCK)[0]["expires_at"]

    with no_writes_to(local_replica_set.primary, one, LOCK, times=2):
        eventually(lambda: not run.running or one.documents(LOCK)[0].get("expires_at", before) > before)

    assert run.wait() == 0, run.output
    this.is_up()


def batches(world: World) -> int:
    """How many batches the unfinished pass has committed."""
    return sum(d["seq"] for d in world.documents(PROGRESS) if d["kind"] == "partition")


def clock(world: World) -> datetime:
    """The server's time."""
    with world.client() as client:
        now: datetime = client.admin.command("hello")["localTime"]
    return now


@contextmanager
def no_writes_to(node: Mongod, world: World, collection: str, times: int | None = None) -> Iterator[None]:
    """Let updates of one collection fail."""
    assert collection in RECORDS
    data: dict[str, Any] = {
        "failCommands": ["update", "findAndModify"],
        "errorCode": 11601,
        "namespace": f"{world.database}.{collection}",
        "appName": "goaime-migrate",
    }
    mode = "alwaysOn" if times is None else {"times": times}
    node.client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
    try:
        yield
    finally:
        node.client.admin.command("configureFailPoint", "failCommand", mode="off")


def test_the_bank_is_worth_something(one: World) -> None:
    this: Bank = bank(one)
    assert not set(this.before.values()) & set(this.after.values())
