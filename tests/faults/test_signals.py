"""SIGINT and SIGTERM: the first lets the batch finish, the second does not, and `up` goes on in either case."""

from __future__ import annotations

import signal

import pytest

from goaime_migrate.backends.ports import LOCK
from tests.faults.runs import Forker, Strike, eventually
from tests.faults.workload import bank
from tests.world import World

UP = ("up",)
DOWN = ("down", "base", "--yes")
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_up_after_its_batch(forker: Forker, one: World, number: signal.Signals) -> None:
    this = bank(one)
    run = forker.start(one, *UP, strikes=[Strike("update", "accounts", 3, "before", number)])

    assert run.wait() == 128 + number, run.output

    assert one.states() == ["partial", "partial"]
    assert len(this.differences(this.after)) == 140
    assert "expires_at" not in one.documents(LOCK)[0]
    forker.succeed(one, *UP)
    this.is_up()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_down_after_its_batch(forker: Forker, one: World, number: signal.Signals) -> None:
    this = bank(one)
    forker.succeed(one, *UP)
    run = forker.start(one, *DOWN, strikes=[Strike("update", "accounts", 3, "before", number)])

    assert run.wait() == 128 + number, run.output

    assert one.states() == ["reverting", "reverting"]
    assert "goaime-migrate down" in run.output
    assert "goaime-migrate up" not in run.output
    assert len(this.differences(this.before)) == 140
    forker.succeed(one, *DOWN)
    this.is_down()


WAITS = """
def up(db):
    import time
    db.began.insert_one({"_id": 1})
    while not db.go.find_one():
        time.sleep(0.01)

def down(db):
    db.began.drop()
    up(db)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_within_a_function_waits_for_its_end_and_says_so(
    forker: Forker, one: World, number: signal.Signals
) -> None:
    one.write("0001_wait.py", WAITS)
    one.write("0002_more.py", "from goaime_migrate import *\noperations = [AddField('go', 'n', 1)]\n")
    run = forker.start(one, *UP)
    eventually(lambda: one.documents("began"))
    run.send(number)
    eventually(lambda: "stopping" in run.output)
    one.insert("go", [{"_id": 1}])

    assert run.wait() == 128 + number, run.output
    said = " ".join(run.output.split())

    assert "stopping when up(db) has come to its end; the same signal again stops it where it is" in said
    assert "after finishing up(db)" in said
    assert "batch" not in said
    assert one.states() == ["applied", "pending"]


def test_the_second_signal_within_a_function_says_what_stays(forker: Forker, one: World) -> None:
    one.write("0001_wait.py", WAITS)
    run = forker.start(one, *UP)
    eventually(lambda: one.documents("began"))
    run.send(signal.SIGINT)
    eventually(lambda: "stopping" in run.output)
    run.send(signal.SIGINT)

    assert run.wait() == 130, run.output
    said = " ".join(run.output.split())

    assert "within up(db): what that has written stays, and it will be run again" in said
    assert one.states() == ["partial"]


@pytest.mark.parametrize("moment", ["before", "sent", "after"])
@pytest.mark.parametrize("command", ["update", "commitTransaction"])
def test_the_second_signal_stops_in_the_middle_of_a_batch_and_up_goes_on(
    forker: Forker, one: World, command: str, moment: str
) -> None:
    this = bank(one)
    collection = "accounts" if command == "update" else None
    stop = Strike(command, collection, 4, moment, signal.SIGSTOP)  # type: ignore[arg-type]
    run = forker.start(one, *UP, strikes=[stop])
    run.wait_until_frozen()

    for number in SIGNALS:
        run.send(number)
    run.thaw()

    assert run.wait() in (128 + signal.SIGINT, 128 + signal.SIGTERM), run.output
    forker.succeed(one, *UP, timeout=15)
    this.is_up()
    forker.succeed(one, *DOWN)
    this.is_down()


def test_the_second_signal_does_not_wait_for_the_pace(forker: Forker, one: World) -> None:
    this = bank(one)
    run = forker.start(one, *UP, "--max-rate", "1")
    eventually(lambda: any(d.get("seq") for d in one.documents("schema_versions_progress")))

    run.send(signal.SIGINT)
    eventually(lambda: "stopping after this batch" in run.output)
    run.send(signal.SIGINT)

    assert run.wait(10) == 130, run.output
    assert "stopped at once" in run.output
    forker.succeed(one, *UP, timeout=15)
    this.is_up()
