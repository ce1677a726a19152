"""Two projects in one database, each with records of its own; and names that no records may have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goaime_migrate.config import Settings
from goaime_migrate.errors import InvalidConfiguration, MigrateError
from tests.integration.engines import each_mode, one_server, two
from tests.integration.test_renumbered import counting
from tests.world import World, succeeded


def others(world: World, records: str = "audit_versions") -> World:
    """Another project over the same database."""
    return replace(world, folder=world.folder.parent / "others", settings={"records": records})


def names(world: World) -> set[str]:
    if world.embedded:
        return {path.stem for path in world.dump.glob("*.bson")}
    with world.client() as client:
        return set(client[world.database].list_collection_names())


@each_mode
def test_two_projects_do_not_see_each_other(world: World) -> None:
    other = others(world)
    world.insert("things", [{"_id": n} for n in range(4)])
    world.write("0001_mine.py", counting("mine"))
    other.write("0001_theirs.py", counting("theirs"))
    other.write("0002_more.py", counting("more"))
    succeeded(world.up())
    assert other.states() == ["pending", "pending"]
    assert succeeded(other.up()).versions == ("0001", "0002")
    assert succeeded(world.up()).versions == ()
    assert (world.states(), other.states()) == (["applied"], ["applied", "applied"])
    assert world.status().problems == other.status().problems == ()
    kinds = {"", "_progress", "_journal", "_log"}
    assert {f"{own}{kind}" for own in ("schema_versions", "audit_versions") for kind in kinds} <= names(world)
    assert len(world.documents("audit_versions")) == 2
    assert succeeded(world.down()).versions == ("0001",)
    assert world.documents("things") == [{"_id": n, "theirs": 1, "more": 1} for n in range(4)]
    assert succeeded(other.down("base")).versions == ("0002", "0001")
    assert world.documents("things") == [{"_id": n} for n in range(4)]


@one_server
def test_workers_keep_the_records_where_the_run_does(world: World) -> None:
    other = others(world)
    world.insert("things", [{"_id": n} for n in range(60_000)])
    other.write("0001_theirs.py", counting("theirs"))
    other.settings["workers"] = 2
    succeeded(other.up())
    assert {document["theirs"] for document in other.documents("things")} == {1}
    assert not any(name.startswith("schema_versions") for name in names(world))


@pytest.mark.parametrize(
    "name",
    [
        "$",
        "a$b",
        "a.b",
        ".",
        "system.x",
        "system",
        "1st",
        "a b",
        "a\0b",
        "x" * 48,
        "audit_log",
        "a_journal",
        "ö",
    ],
)
def test_a_name_that_records_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="records"):
        Settings(uri="mongodb://h", records=name)


@two
@pytest.mark.parametrize("collection", ["orders", "orders_journal", "orders_lock"])
def test_a_collection_of_the_users_is_not_taken_for_records(world: World, collection: str) -> None:
    world.insert(collection, [{"_id": 7, "state": "paid"}])
    other = others(world, "orders")
    other.write("0001_theirs.py", counting("theirs"))
    before = names(world)
    for command in (other.status, other.up):
        with pytest.raises(InvalidConfiguration) as caught:
            command()
        assert f"the collection {collection} is not ours, it has 7" in caught.value.message
    assert names(world) == before
    assert world.documents(collection) == [{"_id": 7, "state": "paid"}]


@two
def test_a_migration_cannot_change_the_records_of_its_own_project(world: World) -> None:
    world.insert("things", [{"_id": 1}])
    other = others(world)
    for operation in ('DropCollection("audit_versions")', 'RenameCollection("a", "audit_versions_log")'):
        other.write("0001_bad.py", f"from goaime_migrate import *\noperations = [{operation}]")
        with pytest.raises(MigrateError, match="is the tool's own collection"):
            other.up()
