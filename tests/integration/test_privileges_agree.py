"""`plan`, `doctor` and `up` say the same of what a user may not do, and `up` says it before it writes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from goaime_migrate import errors
from goaime_migrate.results import Check, CheckStatus, Direction, Severity
from tests.integration.users import ADD, AsUser, role
from tests.servers import ReplicaSet
from tests.world import World, succeeded

READING = ["find", "listCollections", "listIndexes", "collStats", "dbStats"]
WRITING = [
    *("insert", "update", "remove", "createCollection", "createIndex", "dropIndex", "dropCollection"),
    *("renameCollectionSameDB", "changeStream", "collMod", "bypassDocumentValidation"),
]
EVERYTHING = [*READING, *WRITING]
HEAD = "from goaime_migrate import *\n"
MIGRATIONS = {
    "0002_server.py": 'operations = [SetValidator("c", {"required": ["n"]}), CreateIndex("c", "n")]\n',
    "0003_names.py": 'operations = [RenameCollection("d", "e"), DropCollection("gone"), DropIndex("c", "old_1")]\n',
}
Granting = Callable[[Sequence[str], Sequence[dict[str, Any]]], World]


@pytest.fixture
def granting(as_user: AsUser, secured_replica_set: ReplicaSet, database_name: str) -> Iterator[Granting]:
    """A world of a user who may do these actions in the database as a whole, and has these privileges besides."""
    database = secured_replica_set.client[database_name]

    def make(actions: Sequence[str], more: Sequence[dict[str, Any]] = ()) -> World:
        whole = {"resource": {"db": database_name, "collection": ""}, "actions": list(actions)}
        database.command("createRole", "some", privileges=[whole, *more], roles=[])
        world = as_user([role("some", database_name)])
        for name, text in MIGRATIONS.items():
            world.write(name, HEAD + text)
        database.c.create_index("old")
        database.d.insert_one({"_id": 1})
        database.gone.insert_one({"_id": 1})
        return world

    yield make
    database.command("dropRole", "some")


def privileges(world: World) -> Check:
    with world.migrator() as migrator:
        checks = {check.name: check for check in migrator.doctor().checks}
    return checks["privileges"]


def refused(ask: Callable[[], errors.MigrateError | None]) -> errors.MigrateError | None:
    """What a command says, whether it returns it or raises it."""
    try:
        return ask()
    except errors.MissingPrivilege as raised:
        return raised


@pytest.mark.parametrize(
    ("action", "where"),
    [
        ("remove", ".schema_versions"),
        ("insert", ".schema_versions"),
        ("update", ".schema_versions"),
        ("createIndex", ".schema_versions_progress"),
        ("changeStream", ".c"),
        ("collMod", ".c"),
        ("dropIndex", ".c"),
        ("listIndexes", "."),  # on whichever comes first
        ("listCollections", ""),
        ("renameCollectionSameDB", ""),
    ],
)
def test_what_is_lacking_is_said_by_all_three_and_nothing_is_written(
    granting: Granting, secured_replica_set: ReplicaSet, database_name: str, action: str, where: str
) -> None:
    lacking = [each for each in EVERYTHING if each != action]
    if action == "renameCollectionSameDB":  # which dropping and inserting would stand in for
        lacking.remove("dropCollection")
    world = granting(lacking, ())
    named = f"{action} on {database_name}{where}"
    check = privileges(world)
    for each in (refused(lambda: world.plan().refused), refused(lambda: world.up().error)):
        assert isinstance(each, errors.MissingPrivilege)
        assert named in each.message
        assert "grantRolesToUser" in each.hint
    assert check.status is CheckStatus.ERROR
    assert named in check.message
    assert "grantRolesToUser" in check.remedy
    names = secured_replica_set.client[database_name].list_collection_names()
    assert sorted(names) == ["c", "d", "gone"]
    assert secured_replica_set.client[database_name].c.find_one() == {"_id": 1}


@pytest.mark.parametrize("action", ["createCollection", "collStats", "dbStats"])
def test_what_is_not_needed_is_not_asked_for(granting: Granting, action: str) -> None:
    """Who may insert may create a collection; sizes are guessed where they may not be seen."""
    world = granting([each for each in EVERYTHING if each != action], ())
    assert privileges(world).status is CheckStatus.OK
    assert world.plan().refused is None
    succeeded(world.up())
    succeeded(world.down("base"))


def test_what_only_the_way_back_needs_is_said_of_the_way_back(
    granting: Granting, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    world = granting([each for each in EVERYTHING if each != "bypassDocumentValidation"], ())
    secured_replica_set.client[database_name].command("collMod", "c", validator={"n": {"$ne": 7}})
    check = privileges(world)
    assert check.status is CheckStatus.ERROR
    assert check.message.startswith("`down` would be refused")
    assert world.plan().refused is None
    succeeded(world.up())


def test_records_with_a_name_of_their_own_are_asked_for_by_it(
    as_user: AsUser, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    """Rights by collection: on the documents what `AddField` takes, on the records all but one thing."""
    database = secured_replica_set.client[database_name]
    ends = ("", "_lock", "_progress", "_journal", "_tail", "_log")

    def granted(on_log: Sequence[str]) -> list[dict[str, Any]]:
        kept = {f"moves{end}": ["find", "insert", "update", "remove", "createIndex"] for end in ends}
        given = {
            **kept,
            "moves_log": on_log,
            "c": ["find", "update", "changeStream"],
            "": ["listCollections", "listIndexes"],
        }
        return [
            {"resource": {"db": database_name, "collection": name}, "actions": list(actions)}
            for name, actions in given.items()
        ]

    database.command("createRole", "some", privileges=granted(["find"]), roles=[])
    try:
        world = as_user([role("some", database_name)])
        world.write("0001_add.py", ADD)
        with world.migrator(records="moves") as migrator:
            plan, result = migrator.plan(), migrator.up()
            checks = {check.name: check for check in migrator.doctor().checks}
        for each in (plan.refused, result.error):
            assert isinstance(each, errors.MissingPrivilege)
            assert f"insert on {database_name}.moves_log" in each.message
        assert f"insert on {database_name}.moves_log" in checks["privileges"].message
        assert database.list_collection_names() == ["c"]
        database.command("updateRole", "some", privileges=granted(["find", "insert", "update", "remove"]))
        with world.migrator(records="moves") as migrator:
            checks = {check.name: check for check in migrator.doctor().checks}
            assert checks["privileges"].status is CheckStatus.OK
            succeeded(migrator.up())
            succeeded(migrator.down("base"))
    finally:
        database.command("dropRole", "some")


def test_a_way_down_that_could_not_be_recorded_is_refused_by_plan_too(
    granting: Granting, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    database = secured_replica_set.client[database_name]
    world = granting(EVERYTHING, ())
    succeeded(world.up())
    less = [each for each in EVERYTHING if each != "remove"]
    whole = {"resource": {"db": database_name, "collection": ""}, "actions": less}
    database.command("updateRole", "some", privileges=[whole])
    assert isinstance(world.plan("base", direction=Direction.DOWN).refused, errors.MissingPrivilege)
    assert isinstance(world.down("base").error, errors.MissingPrivilege)
    assert world.states() == ["applied"] * 3


def test_who_may_write_documents_and_no_record_is_not_taken_for_one_who_only_reads(
    granting: Granting, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    on_documents = {"resource": {"db": database_name, "collection": "c"}, "actions": EVERYTHING}
    world = granting(READING, [on_documents])
    for each in (refused(lambda: world.plan().refused), refused(lambda: world.up().error)):
        assert isinstance(each, errors.MissingPrivilege)
        assert f"insert on {database_name}.schema_versions" in each.message
    assert privileges(world).status is CheckStatus.ERROR
    assert "schema_versions" not in secured_replica_set.client[database_name].list_collection_names()


def test_where_nothing_is_pending_nothing_is_found(granting: Granting) -> None:
    world = granting(EVERYTHING, ())
    succeeded(world.up())
    assert [f for f in world.plan().findings if f.severity is Severity.ERROR] == []
