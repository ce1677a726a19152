"""What a user may not do: found before anything is applied, and said with the grant to type."""

from __future__ import annotations

import pytest

from goaime_migrate import errors
from goaime_migrate.events import BatchCommitted
from goaime_migrate.results import Direction, State
from tests.integration.users import ADD, VALIDATE, AsUser, role
from tests.servers import ReplicaSet
from tests.world import World, succeeded


def grant(world: World, name: str, on: str) -> str:
    return f"db.getSiblingDB('admin').grantRolesToUser('user_{world.database}', [{{ role: '{name}', db: '{on}' }}])"


def test_a_validator_that_may_not_be_set_is_found_before_anything_is_applied(
    as_user: AsUser, database_name: str
) -> None:
    world = as_user([role("readWrite", database_name)])
    world.write("0002_validate.py", VALIDATE)
    plan, error = world.plan(), world.up().error
    for each in (plan.refused, error):
        assert isinstance(each, errors.MissingPrivilege)
        assert (
            each.message == f"the user 'user_{database_name}' may not do this: collMod on {database_name}.c"
        )
        assert grant(world, "dbAdmin", database_name) in each.hint
    assert world.documents("c") == [{"_id": 1}]
    assert world.states() == ["pending", "pending"]


def test_what_the_hint_says_is_enough(
    as_user: AsUser, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    world = as_user([role("readWrite", database_name)])
    world.write("0002_validate.py", VALIDATE)
    assert isinstance(world.up().error, errors.MissingPrivilege)
    secured_replica_set.client.admin.command(
        "grantRolesToUser", f"user_{database_name}", roles=[role("dbAdmin", database_name)]
    )
    succeeded(world.up())
    succeeded(world.down("base"))


def test_a_validator_that_may_not_be_taken_away_is_found_before(
    as_user: AsUser, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    world = as_user([role("readWrite", database_name), role("dbAdmin", database_name)])
    world.write("0002_validate.py", VALIDATE)
    world.write("0003_more.py", ADD.replace('"n"', '"m"'))
    succeeded(world.up())
    secured_replica_set.client.admin.command(
        "revokeRolesFromUser", f"user_{database_name}", roles=[role("dbAdmin", database_name)]
    )
    assert isinstance(world.down("0001").error, errors.MissingPrivilege)
    assert world.states() == ["applied"] * 3
    assert world.documents("c") == [{"_id": 1, "n": 1, "m": 1}]


def test_a_validator_that_may_not_be_passed_over_is_found_before_anything_is_restored(
    as_user: AsUser, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    world = as_user([role("readWrite", database_name)])
    succeeded(world.up())
    secured_replica_set.client[database_name].command("collMod", "c", validator={"n": {"$exists": True}})
    plan, error = world.plan("base", direction=Direction.DOWN), world.down("base").error
    for each in (plan.refused, error):
        assert isinstance(each, errors.MissingPrivilege)
        assert f"bypassDocumentValidation on {database_name}.c" in each.message
        assert grant(world, "dbAdmin", database_name) in each.hint
    assert world.states() == ["applied"]
    secured_replica_set.client.admin.command(
        "grantRolesToUser", f"user_{database_name}", roles=[role("dbAdmin", database_name)]
    )
    succeeded(world.down("base"))
    assert world.documents("c") == [{"_id": 1}]


@pytest.mark.parametrize(
    ("granted", "wanted", "said"),
    [
        ("read", "readWrite", "findAndModify on {}.schema_versions_lock"),
        ("dbAdmin", "read", "find on {}.schema_versions"),
    ],
)
def test_a_role_that_does_not_do_is_said_in_one_line(
    as_user: AsUser, database_name: str, granted: str, wanted: str, said: str
) -> None:
    world = as_user([role(granted, database_name)])
    with pytest.raises(errors.MissingPrivilege) as caught:
        world.up()
    assert said.format(database_name) in caught.value.message
    assert grant(world, wanted, database_name) in caught.value.hint
    for word in ("clusterTime", "lsid", "keyId"):
        assert word not in f"{caught.value.message}{caught.value.detail}"


def test_who_may_only_read_and_write_knows_a_replica_set_by_its_name(
    as_user: AsUser, database_name: str, secured_replica_set: ReplicaSet
) -> None:
    world = as_user([role("readWrite", database_name)])
    succeeded(world.up())
    (record,) = secured_replica_set.client[database_name].schema_versions_progress.find()
    assert "/" not in record["deployment"]
    assert record["uuid"] is not None
    assert record["records"] is not None
    assert world.status().warnings == ()
    secured_replica_set.client[database_name].c.drop()
    secured_replica_set.client[database_name].c.insert_one({"_id": 1})
    assert [warning.code for warning in world.status().warnings] == ["GM808"]


@pytest.mark.parametrize(
    ("operation", "lacking", "allowed"),
    [
        ('DeleteDocuments("c", where={"old": True})', "remove", ["find", "update", "changeStream"]),
        ('AddField("c", "x", 1)', "update", ["find", "changeStream"]),
        ('AddField("c", "x", 1)', "changeStream", ["find", "update"]),
    ],
)
def test_what_may_not_be_done_to_documents_is_found_before_anything_is_applied(
    as_user: AsUser,
    secured_replica_set: ReplicaSet,
    database_name: str,
    operation: str,
    lacking: str,
    allowed: list[str],
) -> None:
    """Who may write the tool's own records, and not do all that is asked for to the documents."""
    records = [
        {"resource": {"db": database_name, "collection": name}, "actions": actions}
        for name, actions in (
            ("c", allowed),
            *(
                (
                    f"schema_versions{end}",
                    ["find", "insert", "update", "remove", "createCollection", "createIndex"],
                )
                for end in ("", "_lock", "_progress", "_journal", "_tail", "_log")
            ),
        )
    ]
    every = {
        "resource": {"db": database_name, "collection": ""},
        "actions": ["listCollections", "listIndexes"],
    }
    admin = secured_replica_set.client[database_name]
    admin.command("createRole", "changes_only", privileges=[*records, every], roles=[])
    try:
        world = as_user([role("changes_only", database_name)])
        world.write("0002_it.py", f"from goaime_migrate import *\noperations = [{operation}]\n")
        for each in (world.plan().refused, world.up().error):
            assert isinstance(each, errors.MissingPrivilege)
            assert f"{lacking} on {database_name}.c" in each.message
        assert world.documents("c") == [{"_id": 1}]
    finally:
        admin.command("dropRole", "changes_only")


def test_a_version_that_is_stopped_by_a_privilege_taken_away_says_so(
    as_user: AsUser, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    """It is partial, since the migration has not failed; why it is, is in `status` all the same."""
    admin, both = secured_replica_set.client.admin, ["find", "insert", "update", "remove", "createIndex"]
    records = ["", "_lock", "_progress", "_journal", "_tail", "_log"]
    on = [{"db": database_name, "collection": f"schema_versions{suffix}"} for suffix in records]
    keeping, writing = f"keep_{database_name}", f"write_{database_name}"
    seen = [
        {
            "resource": {"db": database_name, "collection": "c"},
            "actions": ["find", "changeStream", "listIndexes"],
        }
    ]
    listing = [{"resource": {"db": database_name, "collection": ""}, "actions": ["listCollections"]}]
    written = [{"resource": {"db": database_name, "collection": "c"}, "actions": ["update"]}]
    kept = [{"resource": each, "actions": [*both, "createCollection", "listIndexes"]} for each in on]
    admin.command("createRole", keeping, privileges=[*kept, *seen, *listing], roles=[])
    admin.command("createRole", writing, privileges=written, roles=[])
    world = as_user([role(keeping, "admin"), role(writing, "admin")])
    secured_replica_set.client[database_name].c.insert_many({"_id": i} for i in range(2, 10))
    try:

        def revoke(event: object) -> None:
            if isinstance(event, BatchCommitted):
                admin.command("dropRole", writing)

        with world.migrator(revoke, batch_size=2) as migrator:
            error = migrator.up().error
        assert isinstance(error, errors.MissingPrivilege)
        (version,) = world.status().versions
        assert version.state is State.PARTIAL
        assert version.error is not None
        assert (version.error.code, "update on" in version.error.message) == (error.code, True)
    finally:
        admin.command("dropRole", keeping)
