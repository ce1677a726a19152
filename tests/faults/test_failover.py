"""Three nodes: a primary that dies or steps down, and a majority that is not there."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from pymongo.errors import PyMongoError

from tests.faults.runs import Forker, Strike, eventually
from tests.faults.workload import bank
from tests.servers import ReplicaSet
from tests.world import World

UP = ("up",)
DOWN = ("down", "base", "--yes")
UNREACHABLE = 8
QUICK = "heartbeatFrequencyMS=500"

MOMENTS = {
    "while a batch is read": Strike("find", "accounts", 5, "after", signal.SIGSTOP),
    "while a batch is written": Strike("update", "accounts", 4, "after", signal.SIGSTOP),
    "while a batch is committed": Strike("commitTransaction", None, 8, "sent", signal.SIGSTOP),
}


@pytest.mark.parametrize("stop", MOMENTS.values(), ids=MOMENTS)
def test_a_primary_that_is_killed_costs_nothing(
    forker: Forker, three: World, three_nodes: ReplicaSet, stop: Strike
) -> None:
    this = bank(three)

    for argv, check in ((UP, this.is_up), (DOWN, this.is_down)):
        run = forker.start(three, *argv, strikes=[stop], uri=f"{three.uri}&{QUICK}")
        run.wait_until_frozen()
        three_nodes.primary.kill()
        run.thaw()
        assert run.wait() == 0, run.output
        check()
        three_nodes.heal()


def test_an_index_is_built_while_a_member_is_down(
    forker: Forker, three: World, three_nodes: ReplicaSet
) -> None:
    three.insert("c", [{"_id": i, "n": i} for i in range(50)])
    source = 'from goaime_migrate import CreateIndex\noperations = [CreateIndex("c", "n")]'
    three.write("0001_index.py", source)
    three_nodes.secondaries[0].kill()
    try:
        forker.succeed(three, *UP, uri=f"{three.uri}&{QUICK}")
        assert "n_1" in {index["name"] for index in three.catalogue()["c"][1]}
    finally:
        three_nodes.heal()


def test_a_primary_that_steps_down_again_and_again_costs_nothing(
    forker: Forker, three: World, three_nodes: ReplicaSet
) -> None:
    this = bank(three, 400)
    run = forker.start(three, *UP, "--max-rate", "100", uri=f"{three.uri}&{QUICK}")

    for _ in range(2):
        old = three_nodes.primary
        with suppress(PyMongoError):  # it may cut the connection that has asked
            old.client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=2)
        eventually(lambda old=old: three_nodes.wait_for_primary() is not old)  # type: ignore[misc]

    assert run.wait() == 0, run.output
    this.is_up()
    forker.succeed(three, *DOWN)
    this.is_down()


@contextmanager
def no_majority(servers: ReplicaSet) -> Iterator[None]:
    """The secondaries follow and vote, and do not replicate: a write is never confirmed by a majority."""
    secondaries = servers.secondaries
    assert len(secondaries) == 2
    for member in secondaries:
        member.client.admin.command("configureFailPoint", "stopReplProducer", mode="alwaysOn")
    try:
        yield
    finally:
        for member in secondaries:
            member.client.admin.command("configureFailPoint", "stopReplProducer", mode="off")


def test_without_a_majority_a_run_ends_in_time_and_the_next_goes_on(
    forker: Forker, three: World, three_nodes: ReplicaSet
) -> None:
    this = bank(three)
    uri = f"{three.uri}&{QUICK}&wTimeoutMS=500"
    impatient = {"backends.server.transactional.PATIENCE_S": 1.0}

    stop = Strike("update", "accounts", 4, "before", signal.SIGSTOP)
    run = forker.start(three, *UP, strikes=[stop], uri=uri, constants=impatient)
    run.wait_until_frozen()
    with no_majority(three_nodes):
        run.thaw()
        assert run.wait(30) == UNREACHABLE, run.output
        other = forker.start(three, *UP, uri=uri, constants=impatient)
        assert other.wait(30) == UNREACHABLE, other.output

    forker.succeed(three, *UP, timeout=30)
    this.is_up()
    forker.succeed(three, *DOWN)
    this.is_down()


def test_a_claim_of_the_lock_waits_for_a_majority_that_comes_back(
    forker: Forker, three: World, three_nodes: ReplicaSet
) -> None:
    """The claim has a time limit of its own, which the server counts the wait for the majority to."""
    this = bank(three)

    def claims() -> int:
        status = three_nodes.primary.client.admin.command("serverStatus")
        return int(status["metrics"]["commands"]["findAndModify"]["total"])

    with no_majority(three_nodes):
        before = claims()
        run = forker.start(three, *UP)
        eventually(lambda: claims() >= before + 3)
    assert run.wait(60) == 0, run.output
    this.is_up()


def test_secondaries_that_are_gone_end_the_run_in_time_and_the_next_goes_on(
    forker: Forker, three: World, three_nodes: ReplicaSet
) -> None:
    this = bank(three)
    uri = f"{three.uri}&{QUICK}&serverSelectionTimeoutMS=1000"
    stop = Strike("update", "accounts", 4, "before", signal.SIGSTOP)
    run = forker.start(
        three, *UP, strikes=[stop], uri=uri, constants={"backends.server.transactional.PATIENCE_S": 2.0}
    )
    run.wait_until_frozen()

    for member in three_nodes.secondaries:
        member.kill()
    run.thaw()
    assert run.wait(30) == UNREACHABLE, run.output
    three_nodes.heal()

    forker.succeed(three, *UP, timeout=30)
    this.is_up()
