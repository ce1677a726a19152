"""InsertDocuments: what is there already stays, what is inserted goes again, on every engine."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64, ObjectId, Timestamp, encode

from goaime_migrate import errors
from goaime_migrate.results import Direction, OnConflict
from goaime_migrate.run import partitions
from goaime_migrate.workers import pool
from tests.integration.engines import each_mode, one_server, servers, two
from tests.world import World, succeeded

SOURCE = """
    from goaime_migrate import InsertDocuments

    operations = [InsertDocuments("roles", {documents!r}, key={key!r})]
    """
ROLES = [{"_id": 1, "name": "admin"}, {"_id": 2, "name": "editor"}, {"_id": 3, "name": "reader"}]


def migration(world: World, documents: list[dict[str, Any]] | None = None, key: Any = "_id") -> None:
    world.write("0001_roles.py", SOURCE.format(documents=ROLES if documents is None else documents, key=key))


@each_mode
def test_into_a_collection_that_is_not_there_and_back(world: World) -> None:
    world.insert("others", [{"_id": 1}])
    migration(world)
    plan = world.plan()
    assert plan.refused is None
    (operation,) = plan.steps[0].operations
    assert (operation.matched, operation.changed, operation.unchanged) == (3, 3, 0)
    sample = plan.steps[0].samples[0]
    assert (sample.before, sample.after) == (None, ROLES[0])
    assert "roles" not in world.catalogue()
    result = succeeded(world.up())
    assert (result.documents.matched, result.documents.changed, result.documents.unchanged) == (3, 3, 0)
    assert world.documents("roles") == ROLES
    assert world.states() == ["applied"]
    back = succeeded(world.down())
    assert (back.documents.changed, back.conflicts, back.born) == (3, (), 0)
    assert "roles" not in world.catalogue()
    succeeded(world.up())
    assert world.documents("roles") == ROLES


@each_mode
def test_what_is_there_by_its_id_is_left_alone(world: World) -> None:
    world.insert("roles", [{"_id": 2.0, "name": "mine"}, {"_id": 9}])
    before = world.raws("roles")
    migration(world)
    (operation,) = world.plan().steps[0].operations
    assert (operation.matched, operation.changed, operation.unchanged) == (3, 2, 1)
    result = succeeded(world.up())
    assert (result.documents.matched, result.documents.changed, result.documents.unchanged) == (3, 2, 1)
    assert len(world.raws("roles")) == 4
    assert succeeded(world.down()).documents.changed == 2
    assert world.raws("roles") == before


@each_mode
def test_what_is_there_by_its_key_is_left_alone(world: World) -> None:
    there = [
        {"_id": "a", "name": "admin", "of": Int64(1)},
        {"_id": "b", "name": ["editor", "x"], "of": 2},
        {"_id": "c", "of": 3.0},
        {"_id": "d", "name": "admin", "of": 5},
    ]
    world.insert("roles", there)
    before = world.raws("roles")
    documents: list[dict[str, Any]] = [
        {"name": "admin", "of": 1},
        {"name": "editor", "of": 2},
        {"name": None, "of": 3},
        {"name": "admin", "of": 4},
        {"of": 4},
    ]
    migration(world, documents, ["name", "of"])
    (operation,) = world.plan().steps[0].operations
    assert (operation.matched, operation.changed, operation.unchanged) == (5, 2, 3)
    succeeded(world.up())
    fresh = [d for d in world.documents("roles") if isinstance(d["_id"], ObjectId)]
    assert sorted(d["of"] for d in fresh) == [4, 4]
    succeeded(world.down())
    assert world.raws("roles") == before
    succeeded(world.up())
    assert [d for d in world.documents("roles") if isinstance(d["_id"], ObjectId)] == fresh


@each_mode
def test_a_free_key_whose_id_is_taken_stops(world: World) -> None:
    world.insert("roles", [{"_id": 2, "name": "other"}])
    migration(world, ROLES, "name")
    assert isinstance(world.plan().refused, errors.DuplicateKey)
    error = world.up().error
    assert isinstance(error, errors.DuplicateKey)
    assert "name 'editor' has the _id 2, and so has another one, with name 'other'" in error.message
    assert (error.version, error.id) == ("0001", 2)
    assert world.states() == ["failed"]
    world.change("roles", 2, name="editor")
    succeeded(world.up())
    assert len(world.raws("roles")) == 3


@each_mode
def test_many_in_batches(world: World) -> None:
    world.write(
        "0001_many.py",
        """
        from goaime_migrate import InsertDocuments

        operations = [InsertDocuments("many", [{"_id": i, "x": "x" * 100} for i in range(2_000)])]
        """,
    )
    world.insert("many", [{"_id": i, "mine": True} for i in range(700, 720)])
    before = world.raws("many")
    world.settings["batch_size"] = 150
    result = succeeded(world.up())
    assert (result.documents.matched, result.documents.changed, result.documents.unchanged) == (
        2000,
        1980,
        20,
    )
    assert len(world.raws("many")) == 2000
    assert succeeded(world.down()).documents.changed == 1980
    assert world.raws("many") == before


@one_server
@pytest.mark.parametrize("workers", [1, 2])
def test_a_long_list_is_inserted_side_by_side_as_it_is_by_one(
    world: World, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    world.write(
        "0001_many.py",
        """
        from goaime_migrate import InsertDocuments

        documents = [{"_id": i, "n": i} if i % 2 else {"n": i} for i in range(600)]
        operations = [InsertDocuments("many", documents, key="n")]
        """,
    )
    world.insert("many", [{"_id": f"mine {i}", "n": i} for i in range(100, 120)])
    before = world.raws("many")
    with world.migrator(batch_size=25) as migrator:
        alone = succeeded(migrator.up())
    by_one = world.raws("many")
    succeeded(world.down())
    monkeypatch.setattr(partitions, "WORTH", 100)
    monkeypatch.setattr(partitions, "SIZE", 20)
    monkeypatch.setattr(pool, "WAITING_S", 60.0)
    with world.migrator(workers=workers, batch_size=25) as migrator:
        together = succeeded(migrator.up())
    segments = world.documents("schema_versions_journal")
    assert len({segment["partition"] for segment in segments}) > 4
    assert world.raws("many") == by_one
    assert together.documents == alone.documents
    assert succeeded(world.down()).documents.changed == 580
    assert world.raws("many") == before


ODD = {"_id": 1, "at": Timestamp(0, 0), "$ref": "x", "": 1, "z": 1, "a": {"at": Timestamp(0, 0)}}


@each_mode
def test_what_an_insert_would_alter_is_written_as_it_is(world: World) -> None:
    world.write(
        "0001_odd.py",
        """
        from bson import Timestamp
        from goaime_migrate import InsertDocuments

        ODD = {"_id": 1, "at": Timestamp(0, 0), "$ref": "x", "": 1, "z": 1, "a": {"at": Timestamp(0, 0)}}
        operations = [InsertDocuments("odd", [{"_id": 0}, ODD, {"_id": 2}])]
        """,
    )
    succeeded(world.up())
    assert world.raws("odd")[encode({"_id": 1})] == encode(ODD)
    succeeded(world.down())
    assert world.raws("odd") == {}


@each_mode
@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_what_the_application_has_touched_is_a_conflict(world: World, on_conflict: OnConflict) -> None:
    migration(world)
    succeeded(world.up())
    world.change("roles", 2, name="mine")
    world.remove("roles", 3)
    result = world.down(on_conflict=on_conflict)
    if on_conflict is OnConflict.STOP:
        assert isinstance(result.error, errors.Conflicts)
        assert result.error.id == 2
        return
    succeeded(result)
    assert [(c.collection, c.id) for c in result.conflicts] == [("roles", 2)]
    kept = [{"_id": 2, "name": "mine"}] if on_conflict is OnConflict.KEEP else []
    assert world.documents("roles") == kept
    assert ("roles" in world.catalogue()) is bool(kept)


@two
def test_a_collection_that_was_there_stays(world: World) -> None:
    world.write(
        "0001_roles.py",
        """
        from goaime_migrate import CreateCollection, InsertDocuments

        operations = [CreateCollection("roles"), InsertDocuments("roles", [{"_id": 1}])]
        """,
    )
    world.insert("x", [{"_id": 1}])
    succeeded(world.up())
    succeeded(world.down())
    assert "roles" not in world.catalogue()


@two
def test_a_canary_chooses_among_no_documents(world: World) -> None:
    migration(world)
    world.insert("x", [{"_id": 1}])
    assert isinstance(world.up(where={"_id": 1}).error, errors.Refused)
    assert isinstance(world.plan(where={"_id": 1}).refused, errors.Refused)
    assert world.states() == ["pending"]


@servers
def test_where_documents_cannot_be_inserted(world: World) -> None:
    world.insert("others", [{"_id": 1}])
    with world.client() as client:
        client[world.database].create_collection("roles", viewOn="others")
    migration(world)
    assert isinstance(world.plan().refused, errors.MissingCapability)
    assert isinstance(world.up().error, errors.MissingCapability)
    with world.client() as client:
        client[world.database].drop_collection("roles")
        client[world.database].create_collection("roles", capped=True, size=10_000)
    assert isinstance(world.up().error, errors.MissingCapability)


@each_mode
def test_a_rename_above_is_followed_down(world: World) -> None:
    migration(world)
    world.write(
        "0002_rename.py",
        """
        from goaime_migrate import RenameCollection

        operations = [RenameCollection("roles", "parts")]
        """,
    )
    world.insert("others", [{"_id": 1}])
    succeeded(world.up())
    assert len(world.raws("parts")) == 3
    with world.migrator() as migrator:
        shown = migrator.plan("base", direction=Direction.DOWN).preview
    assert shown is not None
    assert shown.exact == 3
    succeeded(world.down("base"))
    assert set(world.catalogue()) == {"others"}


@one_server
def test_a_unique_index_names_both(world: World) -> None:
    world.insert("roles", [{"_id": "x", "name": "editor"}])
    with world.client() as client:
        client[world.database].roles.create_index("name", unique=True)
    migration(world)
    error = world.up().error
    assert isinstance(error, errors.DuplicateKey)
    assert "'x'" in error.message
    assert "2" in error.message
