"""Parts of documents that a server would not write as they are: odd keys of arrays, and names that stand twice."""

from __future__ import annotations

from typing import Any

import pytest
from bson import encode

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.server.reader import MongoReader
from goaime_migrate.transform import projection
from tests.integration.engines import one_server
from tests.unit.values import TWICE as TWICE_WITHIN
from tests.unit.values import element
from tests.world import World, succeeded

pytestmark = one_server


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Sixty ordinary documents, of which only some fields are carried."""
    monkeypatch.setattr(projection, "FROM", 1)
    world.settings["batch_size"] = 20
    world.insert("c", [{"_id": i, "big": "x" * 50, "n": i} for i in range(60)])
    return world


@pytest.fixture
def whole_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many documents each read by `_id` brought as a whole."""
    found: list[int] = []
    read = MongoReader.by_ids

    def noted(self: MongoReader, collection: str, *rest: Any, **more: Any) -> list[bytes]:
        documents = read(self, collection, *rest, **more)
        if collection == "c" and more.get("fields") is None:
            found.append(len(documents))
        return documents

    monkeypatch.setattr(MongoReader, "by_ids", noted)
    return found


REMOVING = """
    from goaime_migrate import RemoveField, UpdateDocuments

    less = {"$setField": {"field": "k", "input": "$$each", "value": "$$REMOVE"}}
    all_less = {"$map": {"input": "$items", "as": "each", "in": less}}
    operations = [OPERATION]
    """


REMOVALS = [
    'UpdateDocuments("c", [{"$set": {"items": {"$cond": [{"$isArray": "$items"}, all_less, "$items"]}}}])',
    'RemoveField("c", "items.$[].k")',
]


@pytest.mark.parametrize("operation", REMOVALS)
def test_what_stood_twice_within_a_field_comes_back(operation: str, world: World) -> None:
    inner = raw_bson.raw_document(raw_bson.join([element("a", 1), TWICE_WITHIN, element("b", 1)]))
    items = element("items", [inner, {"k": 3}])
    world.insert("c", [raw_bson.join([element("_id", 94), items, element("z", 1), element("z", 2)])])
    world.insert("c", [{"_id": i, "items": [{"k": i}]} for i in range(100, 105)])
    before = world.raws("c")
    world.write("0001_remove.py", REMOVING.replace("OPERATION", operation))
    succeeded(world.up())
    assert not any(b"\x10k\0" in raw for raw in world.raws("c").values())
    succeeded(world.down("base"))
    assert world.raws("c") == before


NUMBERED_ODDLY = b"\x04items\0" + raw_bson.join([b"\x03" + b"7\0" + encode({"k": 1}), element("9", 2)])
ELEMENT_NUMBERED_ODDLY = b"\x04items\0" + raw_bson.join(
    [b"\x03" + b"0\0" + encode({"k": 1}), b"\x04" + b"1\0" + raw_bson.join([element("7", 1)])]
)
WITHOUT = """
    from goaime_migrate import TransformDocuments

    def without(d):
        for each in d.get("items", []):
            if isinstance(each, dict):
                each.pop("k", None)

    operations = [TransformDocuments("c", without, fields=["items"])]
    """


@pytest.mark.parametrize("items", [NUMBERED_ODDLY, ELEMENT_NUMBERED_ODDLY], ids=["itself", "an element"])
@pytest.mark.parametrize(
    "source",
    [WITHOUT, REMOVING.replace("OPERATION", 'RemoveField("c", "items.$[].k")')],
    ids=["code", "path"],
)
def test_arrays_with_odd_keys_come_back(source: str, items: bytes, world: World) -> None:
    world.insert("c", [raw_bson.join([element("_id", 94), items])])
    world.insert("c", [{"_id": i, "items": [{"k": i}]} for i in range(100, 105)])
    before = world.raws("c")
    world.write("0001_remove.py", source)
    assert succeeded(world.up()).documents.changed == 6
    assert not any(b"\x10k\0" in raw for raw in world.raws("c").values())
    assert succeeded(world.down("base")).conflicts == ()
    assert world.raws("c") == before


@pytest.mark.parametrize("operation", REMOVALS)
def test_a_document_with_nothing_to_change_keeps_a_declared_field_that_stands_twice(
    operation: str, world: World
) -> None:
    twice = raw_bson.join([element("_id", 94), element("items", [{"a": 1}]), element("items", 5)])
    world.insert("c", [twice])
    world.insert("c", [{"_id": i, "items": [{"k": i}]} for i in range(100, 105)])
    before = world.raws("c")
    world.write("0001_remove.py", REMOVING.replace("OPERATION", operation))
    assert succeeded(world.up()).documents.changed == 5
    assert world.raws("c")[raw_bson.id_of(twice)] == twice
    assert succeeded(world.down("base")).documents.changed == 5
    assert world.raws("c") == before


def test_nothing_is_lost_of_a_field_that_stands_twice_beside_one_that_changes(world: World) -> None:
    kept, more = element("items", [{"a": 1}]), element("more", [{"k": 1}])
    hidden = raw_bson.join([element("_id", 94), kept, more, element("items", 5)])
    shown = raw_bson.join([element("_id", 95), kept, element("items", 5)])
    world.insert("c", [hidden, shown])
    world.insert("c", [{"_id": i, "items": [{"k": i}], "more": [{"k": i}]} for i in range(100, 105)])
    before = world.raws("c")
    world.write(
        "0001_remove.py", REMOVING.replace("OPERATION", 'RemoveField("c", "items.$[].k", "more.$[].k")')
    )
    assert succeeded(world.up()).documents.changed == 6
    assert list(raw_bson.elements(world.raws("c")[raw_bson.id_of(hidden)]))[-1] == (
        b"items",
        element("items", 5),
    )
    assert world.raws("c")[raw_bson.id_of(shown)] == shown
    assert succeeded(world.down("base")).documents.changed == 6
    assert world.raws("c") == before


def test_a_pipeline_that_sets_a_field_twice_to_its_first_value_stops_the_run(world: World) -> None:
    world.insert(
        "c", [raw_bson.join([element("_id", 95), element("items", [{"a": 1}]), element("items", 5)])]
    )
    world.insert("c", [{"_id": i, "items": [{"k": i}], "more": i} for i in range(100, 105)])
    before = world.raws("c")
    operation = 'UpdateDocuments("c", [{"$set": {"items": {"$ifNull": ["$items", 1]}, "more": {"$add": ["$more", 1]}}}])'
    world.write("0001_set.py", REMOVING.replace("OPERATION", operation))
    result = world.up()
    assert isinstance(result.error, errors.Unrepresentable)
    assert result.error.id == 95
    succeeded(world.down("base"))
    assert world.raws("c") == before


def test_those_documents_alone_are_written_whole_that_have_to_be(
    world: World, whole_reads: list[int]
) -> None:
    inner = raw_bson.raw_document(raw_bson.join([TWICE_WITHIN, element("b", 1)]))
    world.insert("c", [raw_bson.join([element("_id", 94), NUMBERED_ODDLY])])
    world.insert("c", [raw_bson.join([element("_id", 95), element("items", [inner, {"k": 3}])])])
    world.insert("c", [{"_id": i, "items": [{"k": i}]} for i in range(100, 105)])
    before = world.raws("c")
    world.write("0001_remove.py", REMOVING.replace("OPERATION", 'RemoveField("c", "items.$[].k")'))
    succeeded(world.up())
    whole_reads.clear()
    succeeded(world.down("base"))
    assert world.raws("c") == before
    assert [*filter(None, whole_reads)] == [2]
