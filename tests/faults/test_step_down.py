"""A primary that steps down in the middle of what cannot be part of a transaction: indexes and collections."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import AutoReconnect, PyMongoError

from goaime_migrate import errors
from goaime_migrate.backends.server import catalogue
from goaime_migrate.backends.server.transactional import TransactionalBackend
from tests.faults.runs import Forker, eventually
from tests.servers import ReplicaSet
from tests.servers.failpoints import fail_command
from tests.world import World, succeeded

CHANGES = {
    "createIndexes": 'CreateIndex("c", "b")',
    "dropIndexes": 'DropIndex("c", "by_a")',
    "collMod": 'SetValidator("c", {"required": ["a"]})',
    "create": 'CreateCollection("new")',
    "renameCollection": 'RenameCollection("c", "d")',
}


@pytest.fixture
def small(one: World) -> World:
    one.insert("c", [{"_id": i, "a": i, "b": i} for i in range(3)])
    with one.client() as client:
        client[one.database].c.create_index("a", name="by_a")
    return one


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_PAUSE_S", 0.01)


def write(world: World, source: str) -> None:
    world.write("0001_it.py", f"from goaime_migrate import *\noperations = [{source}]\n")


def prepare(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the collections for records beforehand, so that what fails is the migration's own change."""
    with world.migrator() as migrator:
        migrator._sources.backend(write=True).prepare()
    monkeypatch.setattr(TransactionalBackend, "prepare", lambda _: None)


def there_and_back(world: World) -> None:
    before = world.catalogue()
    succeeded(world.up())
    assert world.catalogue() != before
    succeeded(world.down())


@pytest.mark.parametrize("code", [11602, 276, 189])
@pytest.mark.parametrize("command", CHANGES)
def test_a_change_that_a_step_down_interrupts_is_made_again(
    small: World, local_replica_set: ReplicaSet, monkeypatch: pytest.MonkeyPatch, command: str, code: int
) -> None:
    write(small, CHANGES[command])
    prepare(small, monkeypatch)
    with fail_command(
        local_replica_set.primary, command, times=2, error_code=code, app_name="goaime-migrate"
    ):
        there_and_back(small)


@pytest.mark.parametrize("command", CHANGES)
def test_a_change_whose_reply_is_lost_is_found_made(
    small: World, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    write(small, CHANGES[command])
    prepare(small, monkeypatch)
    for kind, name in (
        (Collection, "rename"),
        (Collection, "drop_index"),
        (Database, "create_collection"),
        (Database, "command"),
    ):
        _lose_the_first_reply(monkeypatch, kind, name)
    there_and_back(small)


def _lose_the_first_reply(monkeypatch: pytest.MonkeyPatch, kind: type[Any], name: str) -> None:
    """A call that does its work, and then fails as if the connection were cut; of commands only those of a catalogue."""
    original = getattr(kind, name)
    lost: list[Any] = []

    def flaky(self: Any, *given: Any, **options: Any) -> Any:
        answer = original(self, *given, **options)
        said = next(iter(given[0])) if given and isinstance(given[0], dict) else given[0] if given else ""
        if (
            not lost
            and (name != "command" or said in ("createIndexes", "collMod"))
            and "schema" not in str(given)
        ):
            lost.append(said)
            raise AutoReconnect("connection closed")
        return answer

    monkeypatch.setattr(kind, name, flaky)


def test_a_failover_that_does_not_end_is_no_failure_of_the_migration(
    small: World, local_replica_set: ReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "PATIENCE_S", 0.05)
    write(small, CHANGES["createIndexes"])
    prepare(small, monkeypatch)
    with fail_command(
        local_replica_set.primary, "createIndexes", error_code=11602, app_name="goaime-migrate"
    ):
        with pytest.raises(errors.ServerUnreachable) as caught:
            raise small.up().error or AssertionError
        assert caught.value.exit_code == 8
    succeeded(small.up())


def test_a_primary_that_steps_down_while_it_builds_an_index(
    forker: Forker, three: World, three_nodes: ReplicaSet
) -> None:
    three.insert("c", [{"_id": i, "a": i} for i in range(500)])
    write(three, 'CreateIndex("c", "a")')
    old = three_nodes.primary
    hang = "hangAfterStartingIndexBuild"
    old.client.admin.command("configureFailPoint", hang, mode="alwaysOn")
    try:
        run = forker.start(three, "up", uri=f"{three.uri}&heartbeatFrequencyMS=500")
        eventually(
            lambda: (
                list(
                    old.client.admin.aggregate(
                        [{"$currentOp": {}}, {"$match": {"msg": {"$regex": "^Index Build"}}}]
                    )
                )
                or not run.running
            )
        )
        with suppress(PyMongoError):
            old.client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=2, force=True)
    finally:
        old.client.admin.command("configureFailPoint", hang, mode="off")
    assert run.wait() == 0, run.output
    assert "a_1" in {index["name"] for index in three.catalogue()["c"][1]}
