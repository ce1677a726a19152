"""`doctor` on real databases: what it finds, what it cannot see, and that it writes nothing."""

from __future__ import annotations

import os
from typing import Any

import pytest

from goaime_migrate import errors
from goaime_migrate.results import Check, CheckStatus, DoctorResult
from tests.integration.engines import dump, each_mode, one_server, servers
from tests.integration.users import ADD, VALIDATE, AsUser, role
from tests.servers import Kind, ReplicaSet
from tests.world import World, succeeded

OK, WARNING, ERROR, UNKNOWN = CheckStatus
RAISE = """
from goaime_migrate import TransformDocuments

def share(document):
    document["share"] = 1 / document["z"]

operations = [TransformDocuments("c", share)]
"""


def examined(world: World, **settings: Any) -> dict[str, Check]:
    with world.migrator(**settings) as migrator:
        result = migrator.doctor()
    assert result.error is None
    return {check.name: check for check in result.checks}


def bad(checks: dict[str, Check]) -> dict[str, CheckStatus]:
    return {name: check.status for name, check in checks.items() if check.status in (WARNING, ERROR)}


@pytest.fixture
def small(world: World) -> World:
    world.insert("c", [{"_id": 1}, {"_id": 2}])
    world.write("0001_add.py", ADD)
    return world


@each_mode
def test_all_is_well_and_nothing_is_written(small: World) -> None:
    before = small.catalogue(), small.raws("c")
    checks = examined(small)
    single = {"mode": WARNING} if small.kind == Kind.STANDALONE else {}
    assert bad(checks) == single
    assert not any(check.status is UNKNOWN for check in checks.values())
    assert (small.catalogue(), small.raws("c")) == before
    assert "pending: 0001" in checks["history"].message
    if not small.embedded:
        assert checks["server"].message.startswith("MongoDB ")
        with small.client() as client:
            assert client[small.database].list_collection_names() == ["c"]


@each_mode
def test_nothing_is_pending(small: World) -> None:
    succeeded(small.up())
    checks = examined(small)
    assert checks["records"].message == "1 journal is whole"
    assert "plan" not in checks
    assert "at 0001; nothing is pending" in checks["history"].message


@each_mode
def test_a_document_that_stops_a_pending_version(small: World) -> None:
    small.write("0002_share.py", RAISE)
    found = examined(small)["plan"]
    assert (found.status, "share raised KeyError" in found.message) == (ERROR, True)


@each_mode
def test_an_edited_file(small: World) -> None:
    succeeded(small.up())
    small.write("0001_add.py", ADD.replace("1)", "2)"))
    found = examined(small)["history"]
    assert found.status is ERROR
    assert "repair" in found.remedy


@each_mode
def test_ids_of_several_types(small: World) -> None:
    small.insert("c", [{"_id": "x"}])
    found = examined(small)["id-types"]
    assert found.status is WARNING
    assert "c has _ids from int to string" in found.message
    small.remove("c", "x")
    small.insert("c", [{"_id": 2.5}])
    assert examined(small)["id-types"].status is OK


@servers
def test_a_journal_that_is_not_whole(small: World) -> None:
    succeeded(small.up())
    with small.client() as client:
        journal = client[small.database].schema_versions_journal
        assert journal.delete_many({"kind": "scan"}).deleted_count or journal.delete_many({}).deleted_count
    assert ERROR in (examined(small)["records"].status, examined(small)["history"].status)


@one_server
def test_a_segment_that_was_changed(small: World) -> None:
    succeeded(small.up())
    with small.client() as client:
        changed = client[small.database].schema_versions_journal.update_many(
            {"seq": {"$exists": True}}, {"$set": {"data": b"nothing"}}
        )
        assert changed.modified_count
    assert examined(small)["records"].status is ERROR


@one_server
def test_a_collection_that_was_replaced(small: World) -> None:
    succeeded(small.up())
    with small.client() as client:
        client[small.database].c.drop()
        client[small.database].c.insert_one({"_id": 1})
    found = examined(small)["origin"]
    assert found.status is WARNING
    assert "was dropped and restored" in found.message


@one_server
def test_records_of_another_format_are_told(small: World) -> None:
    succeeded(small.up())
    with small.client() as client:
        client[small.database].schema_versions.update_many({}, {"$set": {"format": 99}})
    with small.migrator() as migrator:
        result = migrator.doctor()
    assert isinstance(result.error, errors.NewerFormat)
    assert result.checks[-1].name == "records"


@dump
def test_a_directory_that_is_locked(small: World) -> None:
    import fcntl

    descriptor = os.open(small.dump.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert examined(small)["locks"].status is WARNING
    finally:
        os.close(descriptor)
    assert examined(small)["locks"].status is OK


@dump
def test_a_directory_that_may_only_be_read(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != small.dump or not mode & os.W_OK)
    found = examined(small)["permissions"]
    assert found.status is WARNING
    assert str(small.dump) in found.remedy


@dump
def test_what_a_killed_run_has_left(small: World) -> None:
    (small.dump.parent / ".goaime-migrate").mkdir()
    assert examined(small)["folder"].status is WARNING


@one_server
def test_a_server_that_is_not_there(small: World) -> None:
    small.uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1"
    with small.migrator() as migrator:
        result: DoctorResult = migrator.doctor()
    assert isinstance(result.error, errors.ServerUnreachable)
    assert [(check.name, check.status) for check in result.checks] == [("config", OK), ("server", ERROR)]


# users


def test_who_may_only_read_sees_what_there_is_to_see(
    as_user: AsUser, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    world = as_user([role("read", database_name)])
    checks = examined(world)
    assert checks["privileges"].status is WARNING
    assert "grantRolesToUser" in checks["privileges"].remedy
    assert {name for name, check in checks.items() if check.status is UNKNOWN} == {
        "members",
        "oplog",
        "cache",
    }
    for name in ("members", "oplog", "cache"):
        assert "clusterMonitor" in checks[name].remedy
    assert checks["plan"].status is OK
    assert secured_replica_set.client[database_name].list_collection_names() == ["c"]


def test_who_may_do_all_that_is_needed(as_user: AsUser, database_name: str) -> None:
    world = as_user([role("readWrite", database_name), role("clusterMonitor", "admin")])
    assert bad(examined(world)) == {}


def test_what_a_pending_operation_needs_is_told_with_the_grant_that_is_enough(
    as_user: AsUser, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    world = as_user([role("readWrite", database_name)])
    world.write("0002_validate.py", VALIDATE)
    found = examined(world)["privileges"]
    assert found.status is ERROR
    assert f"collMod on {database_name}.c" in found.message
    assert f"[{{ role: 'dbAdmin', db: '{database_name}' }}]" in found.remedy
    secured_replica_set.client.admin.command(
        "grantRolesToUser", f"user_{database_name}", roles=[role("dbAdmin", database_name)]
    )
    assert examined(world)["privileges"].status is OK
    succeeded(world.up())
    succeeded(world.down("base"))


def test_who_may_not_even_read(as_user: AsUser, database_name: str) -> None:
    world = as_user([role("read", f"{database_name}_other")])
    with world.migrator() as migrator:
        result = migrator.doctor()
    failed = [check for check in result.checks if check.status is ERROR]
    assert any(f"db: '{database_name}'" in check.remedy for check in failed)


def test_lag_that_is_asked_for_and_cannot_be_seen(as_user: AsUser, database_name: str) -> None:
    world = as_user([role("readWrite", database_name)])
    assert examined(world, max_lag=5.0)["privileges"].status is UNKNOWN
