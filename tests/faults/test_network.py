"""One node, and everything between it and the run that can go wrong."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.faults.runs import Forker, Run, Strike, eventually
from tests.faults.workload import bank
from tests.servers import Mongod, Proxy, ReplicaSet
from tests.world import World

UP = ("up",)
DOWN = ("down", "base", "--yes")
APP = "goaime-migrate"
UNREACHABLE = 8
QUICK_TO_LOOK_AGAIN = "heartbeatFrequencyMS=500"
"""A driver asks a server that has said it shuts down only after its heartbeat, which is 10 s."""
IMPATIENT = {"backends.server.transactional.PATIENCE_S": 2.0}

TRANSIENT, UNKNOWN = "TransientTransactionError", "UnknownTransactionCommitResult"
NO_SUCH_TRANSACTION, WRITE_CONFLICT, NOT_PRIMARY, STEPPED_DOWN, SHUTDOWN, STATE_CHANGE, TIME_LIMIT = (
    251,
    112,
    10107,
    189,
    91,
    11602,
    50,
)

FAILURES: dict[str, tuple[str, dict[str, Any]]] = {
    "a batch collides": ("update", {"errorCode": WRITE_CONFLICT, "errorLabels": [TRANSIENT]}),
    "a batch meets a new primary": ("update", {"errorCode": NOT_PRIMARY}),
    "a batch meets a primary that steps down": ("update", {"errorCode": STEPPED_DOWN}),
    "a batch meets a shutdown": ("update", {"errorCode": SHUTDOWN}),
    "a read meets a state change": ("find", {"errorCode": STATE_CHANGE}),
    "a read is cut off": ("find", {"closeConnection": True}),
    "a write is cut off": ("update", {"closeConnection": True}),
    "a commit is cut off": ("commitTransaction", {"closeConnection": True}),
    "a commit finds no transaction": (
        "commitTransaction",
        {"errorCode": NO_SUCH_TRANSACTION, "errorLabels": [TRANSIENT]},
    ),
    "a commit meets a new primary": ("commitTransaction", {"errorCode": NOT_PRIMARY}),
    "a commit meets a shutdown": ("commitTransaction", {"errorCode": SHUTDOWN}),
    "a commit takes too long": ("commitTransaction", {"errorCode": TIME_LIMIT, "errorLabels": [UNKNOWN]}),
    "a commit is not confirmed": (
        "commitTransaction",
        {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
    ),
    "a commit is confirmed by a server that shuts down": (
        "commitTransaction",
        {"writeConcernError": {"code": SHUTDOWN, "errmsg": "shutting down"}},
    ),
    "a commit stalls": ("commitTransaction", {"blockConnection": True, "blockTimeMS": 700}),
}


@contextmanager
def failing(node: Mongod, command: str, data: dict[str, Any], times: int = 2) -> Iterator[None]:
    """Let the next of these commands of a run fail in this way; the test's own do not."""
    everything = {"failCommands": [command], "appName": APP, **data}
    node.client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=everything)
    try:
        yield
    finally:
        node.client.admin.command("configureFailPoint", "failCommand", mode="off")


def halfway(forker: Forker, world: World, *argv: str, **options: Any) -> Run:
    """A run that has stopped in the middle of its walk."""
    run = forker.start(
        world, *argv, strikes=[Strike("find", "accounts", 5, "before", signal.SIGSTOP)], **options
    )
    run.wait_until_frozen()
    return run


@pytest.mark.parametrize(("command", "data"), FAILURES.values(), ids=FAILURES)
def test_up_and_down_get_over_it_when(
    forker: Forker, one: World, local_replica_set: ReplicaSet, command: str, data: dict[str, Any]
) -> None:
    this = bank(one)

    for argv, check in ((UP, this.is_up), (DOWN, this.is_down)):
        run = halfway(forker, one, *argv, uri=f"{one.uri}&{QUICK_TO_LOOK_AGAIN}")
        with failing(local_replica_set.primary, command, data):
            run.thaw()
            assert run.wait() == 0, run.output
        check()


@pytest.mark.parametrize("command", ["commitTransaction", "find", "findAndModify", "aggregate"])
def test_a_reply_that_is_lost_after_the_server_has_acted_does_no_harm_to(
    forker: Forker, one: World, local_replica_set: ReplicaSet, command: str
) -> None:
    this = bank(one)

    with Proxy(local_replica_set.primary.address) as proxy:
        for argv, check in ((UP, this.is_up), (DOWN, this.is_down)):
            rule = proxy.drop_reply(command)
            run = forker.start(one, *argv, uri=proxy.uri)
            rule.wait()
            assert run.wait() == 0, run.output
            check()


@pytest.mark.parametrize("command", ["update", "create", "createIndexes"])
def test_a_reply_that_the_driver_does_not_ask_for_again_ends_the_run_and_the_next_goes_on(
    forker: Forker, one: World, local_replica_set: ReplicaSet, command: str
) -> None:
    this = bank(one)

    with Proxy(local_replica_set.primary.address) as proxy:
        rule = proxy.drop_reply(command)
        run = forker.start(one, *UP, uri=proxy.uri)
        rule.wait()
        assert run.wait() in (0, UNREACHABLE), run.output
    forker.succeed(one, *UP, timeout=15)
    this.is_up()


@pytest.mark.parametrize("nth", [1, 4, 9, 14])
def test_a_lost_reply_to_any_commit_applies_nothing_twice(
    forker: Forker, one: World, local_replica_set: ReplicaSet, nth: int
) -> None:
    this = bank(one)

    with Proxy(local_replica_set.primary.address) as proxy:
        for argv, check in ((UP, this.is_up), (DOWN, this.is_down)):
            stop = Strike("commitTransaction", None, nth, "before", signal.SIGSTOP)
            run = forker.start(one, *argv, uri=proxy.uri, strikes=[stop])
            run.wait_until_frozen()
            rule = proxy.drop_reply("commitTransaction", times=3)
            run.thaw()
            rule.wait()
            assert run.wait() == 0, run.output
            check()
            proxy.clear()


def test_a_network_that_stalls_for_a_while_is_waited_for(
    forker: Forker, one: World, local_replica_set: ReplicaSet
) -> None:
    this = bank(one)

    with Proxy(local_replica_set.primary.address) as proxy:
        run = halfway(forker, one, *UP, uri=proxy.uri)
        held = proxy.hold_reply("commitTransaction")
        run.thaw()
        held.wait()
        proxy.stall()
        held.release()
        proxy.flow()
        assert run.wait() == 0, run.output
    this.is_up()


def test_a_server_that_is_gone_ends_the_run_in_time_and_the_next_goes_on(
    forker: Forker, one: World, local_replica_set: ReplicaSet
) -> None:
    this = bank(one)

    with Proxy(local_replica_set.primary.address) as proxy:
        for argv, check in ((UP, this.is_up), (DOWN, this.is_down)):
            uri = f"{proxy.uri}&serverSelectionTimeoutMS=500"
            run = halfway(forker, one, *argv, uri=uri, constants=IMPATIENT)
            proxy.unplug()
            run.thaw()
            assert run.wait(20) == UNREACHABLE, run.output
            proxy.plug_in()
            forker.succeed(one, *argv, timeout=15)
            check()


def test_a_server_that_hangs_ends_the_run_in_time_and_the_next_goes_on(
    forker: Forker, one: World, local_replica_set: ReplicaSet
) -> None:
    this = bank(one)

    with Proxy(local_replica_set.primary.address) as proxy:
        impatient = "serverSelectionTimeoutMS=500&connectTimeoutMS=500&heartbeatFrequencyMS=500"
        run = halfway(forker, one, *UP, uri=f"{proxy.uri}&{impatient}", constants=IMPATIENT)
        proxy.stall()
        run.thaw()
        assert run.wait(20) == UNREACHABLE, run.output
    forker.succeed(one, *UP, timeout=15)
    this.is_up()


def test_killed_in_the_middle_of_its_walk_a_server_that_comes_back_finds_all_that_was_committed(
    forker: Forker, one: World, breakable_replica_set: ReplicaSet
) -> None:
    this = bank(one)
    run = halfway(forker, one, *UP)

    breakable_replica_set.kill()
    run.thaw()
    breakable_replica_set.start()

    assert run.wait() == 0, run.output
    this.is_up()


def test_a_server_that_is_not_there_at_all_is_exit_8(forker: Forker, one: World) -> None:
    bank(one)
    uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"

    for argv in (UP, DOWN):
        run = forker.start(one, *argv, uri=uri)
        assert run.wait(20) == UNREACHABLE, run.output
        eventually(lambda: "GM701" in run.output)  # noqa: B023 (called at once)
