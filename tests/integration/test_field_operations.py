"""Operations on fields by their paths, up and down exactly, on every engine; what a server computes by itself too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from bson import DBRef, Decimal128, Int64, encode

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Write
from goaime_migrate.backends.server import updates, writes
from goaime_migrate.results import RunResult
from goaime_migrate.transform import projection
from tests.integration.engines import each_mode, one_server, two
from tests.unit.values import ODD_ARRAY, UNDEFINED, element
from tests.world import World, succeeded

ORDERS: list[dict[str, Any]] = [
    {
        "_id": 1,
        "to": {"zip": "1", "city": "x"},
        "items": [{"sku": "a", "n": "2"}, {"sku": "b"}],
        "tags": ["1", "2"],
    },
    {"_id": 2, "items": [], "to": {"city": None}},
    {"_id": 3, "to": None, "items": None},
    {"_id": 4, "to": [{"city": "y"}], "items": {"sku": "c"}},
    {"_id": 5},
    {"_id": 6, "items": [{"sku": "d", "n": None}, None, 5, [{"sku": "e"}]], "to": 5},
]


@pytest.fixture
def shop(world: World) -> World:
    world.insert("c", ORDERS)
    return world


def declare(world: World, *sources: str) -> None:
    world.write("0001_it.py", f"from goaime_migrate import *\noperations = [{', '.join(sources)}]\n")


def there_and_back(world: World, *sources: str) -> tuple[RunResult, list[dict[str, Any]]]:
    """Up, down and up again; what up left."""
    declare(world, *sources)
    before = world.raws("c")
    plan = world.plan()
    result = succeeded(world.up())
    after, documents = world.raws("c"), world.documents("c")
    foreseen = [operation.changed for step in plan.steps for operation in step.operations]
    assert len(sources) > 1 or foreseen == [result.documents.changed]
    assert plan.steps[0].warnings == result.warnings
    succeeded(world.down())
    assert world.raws("c") == before
    succeeded(world.up())
    assert world.raws("c") == after
    succeeded(world.down())
    assert world.raws("c") == before
    return result, sorted(documents, key=lambda d: d["_id"])


def told(result: RunResult) -> dict[str, int]:
    return {warning.message: warning.count for warning in result.warnings}


@each_mode
def test_top_level_fields_are_removed_and_come_back_where_they_stood(shop: World) -> None:
    odd = raw_bson.join([element("_id", 7), element("to", 1), element("z", 1), ODD_ARRAY, UNDEFINED])
    shop.insert("c", [odd, encode({"_id": 8, "z": 1})])
    result, _ = there_and_back(shop, 'RemoveField("c", "to", "tags")')
    assert (result.documents.changed, result.documents.unchanged) == (6, 2)
    succeeded(shop.up())
    assert odd.replace(element("to", 1), b"")[4:] in {document[4:] for document in shop.raws("c").values()}


@each_mode
def test_a_field_is_added_below_others(shop: World) -> None:
    result, after = there_and_back(shop, 'AddField("c", "to.country", "DE")')
    assert [d.get("to") for d in after] == [
        {"zip": "1", "city": "x", "country": "DE"},
        {"city": None, "country": "DE"},
        None,
        [{"city": "y"}],
        {"country": "DE"},
        5,
    ]
    assert result.documents.changed == 3
    assert told(result) == {
        "to is null or no document everywhere: nothing is added where it is none": 2,
        "to is an array, nothing in it is changed: for each of its elements write to.$[].country": 1,
    }


@each_mode
def test_a_field_is_added_to_every_element(shop: World) -> None:
    result, after = there_and_back(shop, 'AddField("c", "items.$[].n", 1)')
    assert after[0]["items"] == [{"sku": "a", "n": "2"}, {"sku": "b", "n": 1}]
    assert after[5]["items"] == [{"sku": "d", "n": None}, None, 5, [{"sku": "e"}]]
    assert "items" not in after[4]
    assert result.documents.changed == 1
    assert told(result) == {
        "items is no array everywhere: what is none stays as it is": 2,
        "items.$[] is null or no document everywhere: nothing is added where it is none": 1,
        "items.$[] is an array, nothing in it is changed: for each of its elements write items.$[].$[].n": 1,
    }


@each_mode
def test_fields_are_removed_where_they_are(shop: World) -> None:
    _, after = there_and_back(shop, 'RemoveField("c", "items.$[].sku", "to.city", "tags")')
    assert after[0] == {"_id": 1, "to": {"zip": "1"}, "items": [{"n": "2"}, {}]}
    assert after[3]["to"] == [{"city": "y"}]
    assert after[5]["items"] == [{"n": None}, None, 5, [{"sku": "e"}]]


@each_mode
def test_a_filter_limits_the_documents(shop: World) -> None:
    result, after = there_and_back(shop, 'RemoveField("c", "to.city", where={"_id": {"$lt": 2}})')
    assert ("city" in after[0]["to"], "city" in after[1]["to"]) == (False, True)
    assert (result.documents.matched, result.documents.changed) == (1, 1)


@each_mode
def test_a_field_moves_to_another_parent(shop: World) -> None:
    _, after = there_and_back(
        shop, 'RenameField("c", "items.$[].sku", "items.$[].article.code", where={"_id": 1})'
    )
    assert after[0]["items"] == [{"n": "2", "article": {"code": "a"}}, {"article": {"code": "b"}}]


@two
def test_a_field_that_would_be_lost_stops_the_run(shop: World) -> None:
    declare(shop, 'RenameField("c", "tags", "to.tags", where={"tags": {"$exists": True}})')
    succeeded(shop.up())
    succeeded(shop.down())
    declare(shop, 'RenameField("c", "to.zip", "to.city")')
    error = shop.up().error
    assert isinstance(error, errors.TransformFailed)
    assert (error.id, error.field) == (1, "to.city")
    assert error.message.endswith("to.city: the document has both to.zip and to.city")


@each_mode
def test_the_values_of_a_field_are_converted(shop: World) -> None:
    _, after = there_and_back(
        shop, 'ConvertField("c", "items.$[].n", "int")', 'ConvertField("c", "tags.$[]", "decimal")'
    )
    assert after[0]["items"] == [{"sku": "a", "n": 2}, {"sku": "b"}]
    assert after[0]["tags"] == [Decimal128("1"), Decimal128("2")]
    assert after[5]["items"][0] == {"sku": "d", "n": None}


@each_mode
def test_what_does_not_convert_stops_with_its_document(world: World) -> None:
    world.insert("c", [{"_id": 1, "n": "1"}, {"_id": 2, "n": "many"}])
    declare(world, 'ConvertField("c", "n", "int")')
    error = world.up().error
    assert isinstance(error, errors.TransformFailed)
    assert (error.id, error.field) == (2, "n")
    assert "n: 'many' does not convert to int: it is no whole decimal number" in error.message
    assert error.hint
    assert world.documents("c") == [{"_id": 1, "n": "1"}, {"_id": 2, "n": "many"}]


@each_mode
def test_what_does_not_convert_is_kept_or_made_null_and_counted(world: World) -> None:
    world.insert(
        "c", [{"_id": i, "at": at} for i, at in enumerate(["2020-01-01", "soon", Int64(0), 5, None])]
    )
    result, after = there_and_back(world, 'ConvertField("c", "at", "date", on_error="keep")')
    first, epoch = datetime(2020, 1, 1), datetime(1970, 1, 1)
    assert [d["at"] for d in after] == [first, "soon", epoch, 5, None]
    assert told(result) == {"at: what does not convert to date stays as it is": 2}
    result, after = there_and_back(world, 'ConvertField("c", "at", "date", on_error="null")')
    assert [d["at"] for d in after] == [first, None, epoch, None, None]
    assert told(result) == {"at: what does not convert to date becomes null": 2}


@each_mode
def test_documents_that_come_in_later_are_taken_back_where_that_can_be_told(shop: World) -> None:
    declare(shop, 'AddField("c", "to.n", 1)', 'RenameField("c", "tags", "labels")')
    succeeded(shop.up())
    shop.insert("c", [{"_id": 7, "to": {"n": 1, "x": 2}, "labels": []}, {"_id": 8, "to": {"n": 2}}])
    succeeded(shop.down())
    late = {d["_id"]: d for d in shop.documents("c")}
    assert late[7] == {"_id": 7, "to": {"x": 2}, "tags": []}
    assert late[8] == {"_id": 8, "to": {"n": 2}}


# --- by the server ---------------------------------------------------------------------------------------------

NESTED = [
    'AddField("c", "items.$[].n", {"a": [1]})',
    'AddField("c", "to.deep.er", None)',
    'RemoveField("c", "items.$[].sku", "to.city")',
]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How documents are written: each by itself, or a range of them at once."""
    how: list[str] = []
    sweep, write = updates.sweep, writes.write

    def swept(*given: Any) -> None:
        how.append("sweep")
        sweep(*given)

    def replaced(target: writes.Target, these: Sequence[Write]) -> list[bytes]:
        if these:
            how.append("replace")
        return write(target, these)

    monkeypatch.setattr(updates, "sweep", swept)
    monkeypatch.setattr(writes, "write", replaced)
    return how


@one_server
@pytest.mark.parametrize("narrow", [True, False], ids=["some fields", "whole"])
@pytest.mark.parametrize("source", NESTED)
def test_a_server_computes_what_is_added_and_removed(
    shop: World, source: str, narrow: bool, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "FROM", 1 if narrow else 1_000)
    shop.settings["batch_size"] = 4
    there_and_back(shop, source)
    # Of two fields that are carried one stays as it is in some documents: it may stand twice, which nobody has seen.
    assert written[0] == ("replace" if narrow and "RemoveField" in source else "sweep")


@one_server
def test_neighbours_that_a_server_computes_are_one_update(shop: World, written: list[str]) -> None:
    declare(shop, 'AddField("c", "to.n", 1)', 'RemoveField("c", "items.$[].sku")', 'AddField("c", "m", 2)')
    succeeded(shop.up())
    assert written == ["sweep"]
    assert shop.documents("c")[0]["m"] == 2


@one_server
def test_documents_that_python_and_a_server_see_differently_are_written_one_by_one(
    world: World, written: list[str]
) -> None:
    world.insert("c", [{"_id": 1, "a": {}}, {"_id": 3, "a": DBRef("x", 1)}])
    before = world.raws("c")
    declare(world, 'AddField("c", "a.b", 1)')
    succeeded(world.up())
    assert written == ["replace"]
    assert world.documents("c") == [{"_id": 1, "a": {"b": 1}}, {"_id": 3, "a": DBRef("x", 1)}]
    succeeded(world.down())
    assert world.raws("c") == before
