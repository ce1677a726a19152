"""Every operation, up and down exactly, on every engine that can."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from bson import SON, Decimal128, Int64, encode

from goaime_migrate import errors
from goaime_migrate.errors.hint import DOWN
from goaime_migrate.results import Direction, RunResult
from tests.conftest import EMBEDDED
from tests.integration.engines import each_mode, one_server, two
from tests.world import World, succeeded

DOCUMENTS: list[dict[str, Any]] = [
    {"_id": 1, "a": 1, "b": "x", "c": [1, 2]},
    {"_id": 2, "b": "y", "a": Int64(2)},
    {"_id": 3, "b": None},
    {"_id": 4},
]
DEFAULTS = [("validationLevel", "strict"), ("validationAction", "error")]
"""What a server says of a validator once it was told, and means where it says nothing."""
STATE = tuple[dict[str, dict[bytes, bytes]], Any]


@pytest.fixture
def shop(world: World) -> World:
    """A collection with an index, a few documents of different shapes, and another that is empty of them."""
    world.insert("c", DOCUMENTS)
    world.insert("users", [{"_id": 7, "name": "amy"}])
    world.write(
        "0001_index.py",
        'from goaime_migrate import *\noperations = [CreateIndex("c", [("b", 1), ("a", -1)], name="by_b")]',
    )
    succeeded(world.up())
    return world


def state(world: World) -> STATE:
    """All documents with their bytes, and the catalogue."""
    catalogue = {
        name: ({k: v for k, v in options.items() if (k, v) not in DEFAULTS}, indexes)
        for name, (options, indexes) in world.catalogue().items()
    }
    return {name: world.raws(name) for name, (o, _) in catalogue.items() if "viewOn" not in o}, catalogue


def operations(world: World, *sources: str, number: int = 2, allow: str = "allowance") -> None:
    """`allow`: the rule that would refuse it beforehand, where it has to come to a failure."""
    world.write(
        f"000{number}_it.py",
        f"# allow: {allow} because it has to fail\nfrom goaime_migrate import *\nfrom pydantic import BaseModel\n\n"
        "class Item(BaseModel):\n    a: int = 0\n\n"
        f"operations = [{', '.join(sources)}]\n",
    )


def there_and_back(world: World, *sources: str) -> tuple[RunResult, STATE]:
    """Up, down and up again: what the first up left, which is what the second leaves; down is exact."""
    operations(world, *sources)
    before = state(world)
    result = succeeded(world.up())
    after = state(world)
    succeeded(world.down())
    assert state(world) == before
    succeeded(world.up())
    assert state(world) == after
    succeeded(world.down())
    assert state(world) == before
    return result, after


def found(after: STATE, collection: str = "c") -> list[dict[str, Any]]:
    from goaime_migrate.backends import raw_bson

    return [raw_bson.decode(document) for _, document in sorted(after[0][collection].items())]


# --- documents -------------------------------------------------------------------------------------------------


@each_mode
def test_a_field_is_added_where_it_is_missing(shop: World) -> None:
    result, after = there_and_back(shop, 'AddField("c", "a", {"deep": []})')
    assert [d["a"] for d in found(after)] == [1, 2, {"deep": []}, {"deep": []}]
    assert result.documents.changed == 2
    assert result.documents.unchanged == 2


@each_mode
def test_a_field_is_removed(shop: World) -> None:
    _, after = there_and_back(shop, 'RemoveField("c", "b")')
    assert [list(d) for d in found(after)] == [["_id", "a", "c"], ["_id", "a"], ["_id"], ["_id"]]


@each_mode
def test_a_field_is_renamed_where_it_stands(shop: World) -> None:
    _, after = there_and_back(shop, 'RenameField("c", "b", "text")')
    assert [list(d) for d in found(after)] == [
        ["_id", "a", "text", "c"],
        ["_id", "text", "a"],
        ["_id", "text"],
        ["_id"],
    ]


@two
def test_a_document_that_has_both_names_stops_the_run(shop: World) -> None:
    operations(shop, 'RenameField("c", "b", "a")')
    error = shop.up().error
    assert isinstance(error, errors.TransformFailed)
    assert (error.id, error.field) == (1, "a")
    assert "the document has both b and a" in error.message


@each_mode
def test_a_pipeline_changes_documents_on_the_server(shop: World) -> None:
    pipeline = '[{"$set": {"twice": {"$multiply": ["$a", 2]}, "b": "$$REMOVE"}}, {"$unset": "c"}]'
    result, after = there_and_back(
        shop, f'UpdateDocuments("c", {pipeline}, where={{"a": {{"$exists": True}}}})'
    )
    assert found(after)[:2] == [{"_id": 1, "a": 1, "twice": 2}, {"_id": 2, "a": 2, "twice": 4}]
    if shop.kind != EMBEDDED:  # where Int64 times int32 is an int32
        assert type(found(after)[1]["twice"]) is Int64
    assert result.documents.changed == 2


@each_mode
def test_a_pipeline_that_fails_for_a_document_writes_none(shop: World) -> None:
    before = shop.raws("c")
    operations(shop, 'UpdateDocuments("c", [{"$set": {"n": {"$add": ["$b", 1]}}}])')
    result = shop.up()
    assert isinstance(result.error, errors.MigrateError)
    assert result.error.hint
    assert shop.raws("c") == before


@two
def test_a_pipeline_may_not_change_the_id(shop: World) -> None:
    before = shop.raws("c")
    operations(shop, 'UpdateDocuments("c", [{"$set": {"_id": "x"}}])')
    error = shop.up().error
    assert isinstance(error, errors.IdChanged)
    assert shop.raws("c") == before


@each_mode
def test_a_filter_limits_the_documents(shop: World) -> None:
    result, after = there_and_back(shop, 'AddField("c", "n", 1, where={"b": {"$in": ["x", "y"]}})')
    assert ["n" in d for d in found(after)] == [True, True, False, False]
    assert (result.documents.matched, result.documents.changed) == (2, 2)


@each_mode
def test_a_filter_that_the_result_no_longer_matches_is_fine(shop: World) -> None:
    _, after = there_and_back(shop, 'UpdateDocuments("c", [{"$set": {"a": 5}}], where={"a": {"$lt": 5}})')
    assert [d.get("a") for d in found(after)] == [5, 5, None, None]


# --- indexes ---------------------------------------------------------------------------------------------------


@two
@pytest.mark.parametrize(
    ("source", "key", "options"),
    [
        pytest.param('"a"', {"a": 1}, {}, id="one field"),
        pytest.param('[("a", 1), ("b", -1)]', {"a": 1, "b": -1}, {}, id="two fields"),
        pytest.param('"b", sparse=True', {"b": 1}, {"sparse": True}, id="sparse"),
        pytest.param(
            '"a", unique=True, partialFilterExpression={"a": {"$gt": 0}}',
            {"a": 1},
            {"unique": True, "partialFilterExpression": {"a": {"$gt": 0}}},
            id="unique and partial",
        ),
        pytest.param(
            '[("at", 1)], expireAfterSeconds=3600', {"at": 1}, {"expireAfterSeconds": 3600}, id="expiring"
        ),
    ],
)
def test_an_index_is_created(shop: World, source: str, key: dict[str, int], options: dict[str, Any]) -> None:
    _, after = there_and_back(shop, f'CreateIndex("c", {source}, name="new")')
    (index,) = [i for i in after[1]["c"][1] if i["name"] == "new"]
    assert dict(index["key"]) == key
    assert {k: v for k, v in index.items() if k not in ("key", "name", "v")} == options


@two
def test_an_index_that_is_there_already_is_left_by_up_and_by_down(shop: World) -> None:
    _, after = there_and_back(shop, 'CreateIndex("c", [("b", 1), ("a", -1)], name="by_b")')
    assert [i["name"] for i in after[1]["c"][1]] == ["_id_", "by_b"]


@two
def test_an_index_that_is_there_and_differs_is_refused(shop: World) -> None:
    before = state(shop)
    operations(shop, 'CreateIndex("c", "a", name="by_b")', allow="index-conflict")
    error = shop.up().error
    assert isinstance(error, errors.OperationFailed)
    assert error.version == "0002"
    assert shop.states() == ["applied", "failed"]
    operations(shop, 'CreateIndex("c", "a")')
    succeeded(shop.up())
    succeeded(shop.down())
    assert state(shop) == before


@two
def test_a_unique_index_over_equal_values_is_refused_and_the_file_may_be_mended(shop: World) -> None:
    shop.change("c", 3, b="x")
    before = state(shop)
    operations(shop, 'CreateIndex("c", "b", unique=True)', allow="unique-duplicates")
    error = shop.up().error
    assert isinstance(error, errors.DuplicateKey)
    assert (error.version, error.id, error.field) == ("0002", 3, "b")
    assert "the documents 1 and 3" in error.message
    operations(shop, 'CreateIndex("c", "b")')
    succeeded(shop.up())
    succeeded(shop.down())
    assert state(shop) == before


@two
def test_an_index_on_a_collection_that_does_not_exist_makes_it_and_down_removes_it(shop: World) -> None:
    _, after = there_and_back(shop, 'CreateIndex("new", "a")')
    assert [i["name"] for i in after[1]["new"][1]] == ["_id_", "a_1"]


@two
def test_an_index_is_dropped_and_comes_back_as_it_was(shop: World) -> None:
    _, after = there_and_back(shop, 'DropIndex("c", "by_b")')
    assert [i["name"] for i in after[1]["c"][1]] == ["_id_"]


@two
def test_an_index_that_is_not_there_is_dropped_without_a_word(shop: World) -> None:
    there_and_back(shop, 'DropIndex("c", "nothing")', 'DropIndex("nowhere", "nothing")')


INDEXES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"b": "text"}, {"weights": {"b": 5, "a.b": 2}, "default_language": "english"}),
    ({"$**": "text", "a": 1}, {"language_override": "l"}),
    ({"b": "hashed"}, {}),
    ({"b": "2d"}, {"bits": 20, "min": -90.0, "max": 90.0}),
    ({"b": "2dsphere", "a": -1}, {"2dsphereIndexVersion": 2}),
    ({"$**": 1}, {"wildcardProjection": {"b": 1}}),
    ({"a": 1}, {"unique": True, "partialFilterExpression": {"a": {"$exists": True}}, "hidden": True}),
    ({"b": 1}, {"collation": {"locale": "en", "strength": 2}, "sparse": True}),
    ({"d": 1}, {"expireAfterSeconds": 3600.5}),
    ({"a": 1}, {"v": 1}),
    ({"a": 1.0}, {}),
    ({"a": -1.0, "b": 0.5}, {}),
    ({"a": Decimal128("1"), "b": Int64(-1)}, {"background": True}),
]


@one_server
@pytest.mark.parametrize(("keys", "options"), INDEXES, ids=str)
def test_indexes_of_every_kind_come_back_as_they_were(
    shop: World, keys: dict[str, Any], options: dict[str, Any]
) -> None:
    with shop.client() as client:
        client[shop.database].c.delete_many({"b": {"$ne": None}})
        client[shop.database].command(
            {"createIndexes": "c", "indexes": [{"key": keys, "name": "special", **options}]}
        )
    before = listed_raw(shop)
    there_and_back(shop, 'DropIndex("c", "special")')
    assert listed_raw(shop) == before


def listed_raw(world: World) -> set[bytes]:
    """The indexes in bytes, so that 1 is told from 1.0."""
    with world.client() as client:
        return {encode(index) for index in client[world.database].c.list_indexes()}


@two
@pytest.mark.parametrize(("direction", "name"), [("1.0", "a_1"), ("-1.0", "a_-1"), ("0.5", "a_0.5")])
def test_a_direction_may_be_any_number(shop: World, direction: str, name: str) -> None:
    _, after = there_and_back(shop, f'CreateIndex("c", [("a", {direction})])')
    assert name in {index["name"] for index in after[1]["c"][1]}


@one_server
def test_an_index_that_an_earlier_release_has_dropped_comes_back(shop: World) -> None:
    operations(shop, 'DropIndex("c", "by_b")')
    before = state(shop)
    succeeded(shop.up())
    undo = {
        "kind": "create_index",
        "collection": "c",
        "keys": [["b", 1], ["a", -1]],
        "options": {"name": "by_b"},
    }
    with shop.client() as client:
        client[shop.database].schema_versions.update_one(
            {"_id": "0002"}, {"$set": {"operations.0.undo": undo}}
        )
    succeeded(shop.down())
    assert state(shop) == before


# --- validators ------------------------------------------------------------------------------------------------


@two
def test_a_validator_is_set_from_a_schema(shop: World) -> None:
    _, after = there_and_back(shop, 'SetValidator("c", {"required": ["_id"]}, level="moderate")')
    options = after[1]["c"][0]
    assert options["validator"] == {"$jsonSchema": {"required": ["_id"]}}
    assert options["validationLevel"] == "moderate"


@two
def test_a_validator_is_set_from_a_model(shop: World) -> None:
    _, after = there_and_back(shop, 'SetValidator("c", Item, action="warn")')
    assert after[1]["c"][0]["validator"]["$jsonSchema"]["properties"]["a"]["bsonType"] == ["int", "long"]


@one_server
def test_a_validator_that_was_there_comes_back(shop: World) -> None:
    with shop.client() as client:
        client[shop.database].command(
            SON(collMod="c", validator={"a": {"$type": "number"}}, validationLevel="moderate")
        )
    there_and_back(shop, 'SetValidator("c", {"required": ["z"]})')


@two
def test_a_validator_makes_a_collection_that_is_not_there(shop: World) -> None:
    _, after = there_and_back(shop, 'SetValidator("new", {"required": ["a"]})')
    assert after[1]["new"][0]["validator"] == {"$jsonSchema": {"required": ["a"]}}


@one_server
def test_a_validator_is_in_force_and_what_down_restores_passes_by_it(shop: World) -> None:
    before = shop.raws("c")
    operations(shop, 'AddField("c", "a", 1)', 'SetValidator("c", {"required": ["a"]})')
    succeeded(shop.up())
    with shop.client() as client, pytest.raises(Exception, match="Document failed validation"):
        client[shop.database].c.insert_one({"_id": 9})
    succeeded(shop.down())
    assert shop.raws("c") == before


# --- collections -----------------------------------------------------------------------------------------------


@two
def test_a_collection_is_created(shop: World) -> None:
    _, after = there_and_back(shop, 'CreateCollection("new")')
    assert "new" in after[1]


@one_server
def test_a_collection_is_created_with_options(shop: World) -> None:
    _, after = there_and_back(shop, 'CreateCollection("new", capped=True, size=4096)')
    assert after[1]["new"][0] == {"capped": True, "size": 4096}


@two
def test_a_collection_that_is_there_already_is_left_by_up_and_by_down(shop: World) -> None:
    there_and_back(shop, 'CreateCollection("c")')


@two
def test_a_view_is_created_and_goes_again(shop: World) -> None:
    _, after = there_and_back(shop, 'CreateCollection("v", viewOn="c", pipeline=[{"$match": {"b": "x"}}])')
    assert after[1]["v"][0]["viewOn"] == "c"


@two
def test_a_dropped_view_is_made_again_as_it_was(shop: World) -> None:
    operations(shop, 'CreateCollection("v", viewOn="c", pipeline=[{"$match": {"b": {"$ne": None}}}])')
    succeeded(shop.up())
    before = state(shop)
    operations(shop, 'DropCollection("v")', number=3)
    succeeded(shop.up())
    assert "v" not in state(shop)[1]
    succeeded(shop.down())
    assert state(shop) == before


@two
def test_documents_put_into_a_created_collection_are_kept_aside_by_down(shop: World) -> None:
    operations(shop, 'CreateCollection("new")')
    succeeded(shop.up())
    shop.insert("new", [{"_id": 1}])
    succeeded(shop.down())
    assert "new" not in shop.catalogue()
    assert shop.documents("schema_versions_aside.0002.new") == [{"_id": 1}]


@two
def test_a_view_is_not_renamed(shop: World) -> None:
    operations(shop, 'CreateCollection("v", viewOn="c", pipeline=[])', 'RenameCollection("v", "w")')
    for error in (shop.plan().refused, shop.up().error):
        assert isinstance(error, errors.MissingCapability)
        assert "no server renames a view" in error.message
    assert "v" not in state(shop)[1]


@two
def test_a_collection_is_renamed_with_its_indexes(shop: World) -> None:
    _, after = there_and_back(shop, 'RenameCollection("c", "d")')
    assert "c" not in after[1]
    assert [i["name"] for i in after[1]["d"][1]] == ["_id_", "by_b"]
    assert len(after[0]["d"]) == 4


@two
@pytest.mark.parametrize(
    ("source", "reason", "rule"),
    [
        ('RenameCollection("c", "users")', "a collection users exists", "collection-exists"),
        ('RenameCollection("nothing", "d")', "there is no collection nothing", "collection-missing"),
    ],
)
def test_a_name_that_is_taken_or_missing_is_refused(shop: World, source: str, reason: str, rule: str) -> None:
    before = state(shop)
    operations(shop, source, allow=rule)
    error = shop.up().error
    assert isinstance(error, errors.OperationFailed)
    assert reason in error.message
    assert state(shop) == before
    succeeded(shop.down())
    assert shop.states() == ["applied", "pending"]


@two
def test_a_dropped_collection_is_kept_aside_and_comes_back(shop: World) -> None:
    _, after = there_and_back(shop, 'DropCollection("c")')
    assert "c" not in after[1]
    assert len(after[0]["schema_versions_aside.0002.c"]) == 4


@two
def test_a_name_may_be_dropped_more_than_once_in_one_version(shop: World) -> None:
    _, after = there_and_back(
        shop, 'DropCollection("c")', 'CreateCollection("c")', 'CreateIndex("c", "n")', 'DropCollection("c")'
    )
    assert "c" not in after[1]
    assert len(after[0]["schema_versions_aside.0002.c"]) == 4


@two
def test_what_is_kept_aside_of_a_collection_that_was_dropped_and_made_again_is_neither_lost_nor_in_the_way(
    shop: World,
) -> None:
    before = shop.raws("c")
    operations(shop, 'DropCollection("c")', 'CreateCollection("c")')
    for identity in ("first", "second"):
        succeeded(shop.up())
        shop.insert("c", [{"_id": identity}])
        succeeded(shop.down())
        assert shop.raws("c") == before
    aside = [name for name in shop.catalogue() if name.startswith("schema_versions_aside")]
    assert sorted(d["_id"] for name in aside for d in shop.documents(name)) == ["first", "second"]


SERIES = {"timeField": "at", "metaField": "m", "granularity": "minutes"}
MEASURED = [{"at": datetime(2026, 1, 1), "m": {"s": i}, "v": i} for i in range(3)]


@one_server
def test_an_empty_time_series_comes_and_goes(shop: World) -> None:
    there_and_back(shop, f'CreateCollection("t", timeseries={SERIES}, expireAfterSeconds=3600)')
    with shop.client() as client:
        client[shop.database].create_collection("t", timeseries=SERIES, expireAfterSeconds=3600)
        client[shop.database].t.create_index([("m.s", 1), ("at", -1)], name="by_s")
    _, after = there_and_back(shop, 'DropCollection("t")')
    assert "t" not in after[1]


@one_server
def test_a_time_series_with_measurements_is_refused_before_anything_is_dropped(shop: World) -> None:
    with shop.client() as client:
        client[shop.database].create_collection("t", timeseries=SERIES)
        client[shop.database].t.insert_many(MEASURED)
    operations(shop, 'AddField("c", "new", 1)', 'DropCollection("t")')
    before = state(shop)
    plan = shop.plan()
    assert isinstance(plan.refused, errors.MissingCapability)
    error = shop.up().error
    assert isinstance(error, errors.MissingCapability)
    assert error.message == plan.refused.message
    assert "t is a time-series collection and has documents" in error.message
    assert state(shop) == before
    assert shop.states() == ["applied", "pending"]


@one_server
def test_measurements_since_up_are_not_lost_by_down(shop: World) -> None:
    operations(shop, f'CreateCollection("t", timeseries={SERIES})', number=2)
    operations(shop, 'AddField("c", "new", 1)', 'CreateIndex("c", "new")', number=3)
    succeeded(shop.up())
    with shop.client() as client:
        client[shop.database].t.insert_many(MEASURED)
    before = state(shop)

    plan = shop.plan("0001", direction=Direction.DOWN)
    error = shop.down("0001").error

    assert isinstance(plan.refused, errors.MissingCapability)
    assert isinstance(error, errors.MissingCapability)
    assert state(shop) == before
    assert shop.states() == ["applied"] * 3
    succeeded(shop.down())  # less far, as the hint says
    with shop.client() as client:
        client[shop.database].t.drop()
        client[shop.database].create_collection("t", timeseries=SERIES)
    succeeded(shop.down())
    assert shop.states() == ["applied", "pending", "pending"]
    assert "t" not in shop.catalogue()


@one_server
@pytest.mark.parametrize(
    "options",
    [
        pytest.param("", id="plain"),
        pytest.param("capped=True, size=100000", id="capped"),
        pytest.param(
            'clusteredIndex={"key": {"_id": 1}, "unique": True}',
            id="clustered",
            marks=pytest.mark.since("5.3"),
        ),
    ],
)
def test_what_came_into_a_new_collection_is_kept_aside(shop: World, options: str) -> None:
    operations(shop, f'CreateCollection("new", {options})')
    succeeded(shop.up())
    shop.insert("new", [{"_id": 1}])
    succeeded(shop.down())
    assert list(shop.raws("schema_versions_aside.0002.new").values()) == [encode({"_id": 1})]


@one_server
def test_a_view_with_a_collation_comes_back(shop: World) -> None:
    with shop.client() as client:
        client[shop.database].create_collection(
            "seen", viewOn="c", pipeline=[{"$match": {"b": {"$gt": ""}}}], collation={"locale": "de"}
        )
    there_and_back(shop, 'DropCollection("seen")')


@two
def test_a_collection_that_is_not_there_is_dropped_without_a_word(shop: World) -> None:
    there_and_back(shop, 'DropCollection("nothing")')


@two
def test_a_dropped_collection_whose_name_is_taken_again_is_not_written_over(shop: World) -> None:
    operations(shop, 'DropCollection("c")')
    succeeded(shop.up())
    shop.insert("c", [{"_id": "new"}])
    error = shop.down().error
    assert isinstance(error, errors.Refused)
    assert "gives c its place again" in error.message
    assert len(shop.documents("schema_versions_aside.0002.c")) == 4
    assert shop.documents("c") == [{"_id": "new"}]


# --- several ---------------------------------------------------------------------------------------------------


@each_mode
def test_a_migration_may_have_several_operations_on_several_collections(shop: World) -> None:
    result, after = there_and_back(
        shop,
        'AddField("c", "n", 1)',
        'RenameField("users", "name", "username")',
        'CreateIndex("users", "username", unique=True)',
        'RenameField("c", "n", "m")',
        'RenameCollection("c", "d")',
        'UpdateDocuments("d", [{"$set": {"k": "$m"}}])',
        'CreateCollection("log")',
    )
    assert result.versions == ("0002",)
    assert [d["k"] for d in found(after, "d")] == [1, 1, 1, 1]
    assert found(after, "users") == [{"_id": 7, "username": "amy"}]
    assert "log" in after[1]


@each_mode
def test_operations_that_were_done_before_a_failure_are_not_done_again(shop: World) -> None:
    before = state(shop)
    operations(
        shop,
        'UpdateDocuments("c", [{"$set": {"n": {"$add": [{"$ifNull": ["$n", 0]}, 1000]}}}])',
        'RenameCollection("c", "users")',
        allow="collection-exists",
    )
    assert isinstance(shop.up().error, errors.OperationFailed)
    shop.remove("users", 7)
    if shop.kind == EMBEDDED:
        (shop.dump / "users.bson").unlink()
    else:
        with shop.client() as client:
            client[shop.database].users.drop()
    succeeded(shop.up())
    assert [d["n"] for d in shop.documents("users")] == [1000] * 4
    succeeded(shop.down())
    assert state(shop)[0]["c"] == before[0]["c"]


@each_mode
def test_a_failure_in_the_middle_can_be_taken_back(shop: World) -> None:
    before = state(shop)
    failing = 'RenameCollection("c", "users")'
    operations(shop, 'AddField("c", "n", 1)', 'CreateIndex("c", "n")', failing, allow="collection-exists")
    assert isinstance(shop.up().error, errors.OperationFailed)
    assert state(shop) != before
    succeeded(shop.down())
    assert state(shop) == before
    assert shop.states() == ["applied", "pending"]


@two
def test_a_unique_index_that_cannot_come_back_says_what_down_needs(shop: World) -> None:
    """What it advises is followed to its end."""
    operations(shop, 'CreateIndex("c", "b", unique=True, sparse=True)')
    succeeded(shop.up())
    before = state(shop)[1]
    operations(shop, 'DropIndex("c", "b_1")', number=3)
    succeeded(shop.up())
    shop.change("c", 3, b="x")
    error = shop.down().error
    assert isinstance(error, errors.DuplicateKey)
    assert (error.version, error.id, error.hint.commands) == ("0003", 3, (DOWN,))
    assert "up" not in error.hint.split()
    shop.change("c", 3, b="z")
    succeeded(shop.down())
    assert state(shop)[1] == before
