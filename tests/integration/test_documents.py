"""Documents of every kind: through `up` and `down` with every byte."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bson import (
    Binary,
    Code,
    DatetimeMS,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
    encode,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from tests.integration.engines import dump, each_mode, one_server, servers, two
from tests.servers import Kind
from tests.unit.values import FIELDS, FRAGILE, IDS, SURVIVORS, VALUES, document, element
from tests.world import World, succeeded

SOURCE = """
    from goaime_migrate import TransformDocuments

    def change(d):
        {body}

    operations = [TransformDocuments("c", change)]
    """
GROW = 'd["n"] = d.get("n", 0) + 1000'


def migration(world: World, body: str = GROW, name: str = "0001_change.py") -> None:
    world.write(name, SOURCE.format(body=body))


def there_and_back(world: World) -> dict[bytes, bytes]:
    """What `up` makes of the documents; `down` must give them back with every byte."""
    before = world.raws("c")
    succeeded(world.up())
    after = world.raws("c")
    result = succeeded(world.down())
    assert world.raws("c") == before
    assert (result.conflicts, result.born) == ((), 0)
    return after


# --- values ----------------------------------------------------------------------------------------------------

TYPES: dict[str, Any] = {
    "int": 1,
    "long": Int64(1),
    "double": 1.0,
    "negative zero": -0.0,
    "nan": float("nan"),
    "infinity": float("-inf"),
    "decimal": Decimal128("1.10"),
    "text": "é\n\u2028😀",
    "empty text": "",
    "text with a zero": "a\0b",
    "binary": b"\0\xff",
    "uuid": Binary(bytes(16), 4),
    "old binary": Binary(b"x", 2),
    "own binary": Binary(b"x", 200),
    "id": ObjectId("65a000000000000000000001"),
    "true": True,
    "null": None,
    "date": datetime(2024, 2, 29, 1, 2, 3, 456000),
    "far date": DatetimeMS(10**15),
    "early date": DatetimeMS(-(10**15)),
    "timestamp": Timestamp(1, 2),
    "zero timestamp inside": {"at": Timestamp(0, 0)},
    "regex": Regex("^a.*", "imx"),
    "code": Code("return 1"),
    "code with scope": Code("return x", {"x": Int64(1)}),
    "ref": DBRef("users", 1, "db", more=1),
    "min": MinKey(),
    "max": MaxKey(),
    "empty document": {},
    "empty array": [],
    "arrays": [[[]], [{}], [None]],
    "mixed array": [1, Int64(1), 1.0, "1", True],
    "nested": {"b": {"a": {"b": 1, "a": 2}}},
    "dots and dollars": {"a.b": 1, "$a": 2, "": 3, "a.$.b": {"$b": 4}},
}


@each_mode
def test_every_type_and_order_is_kept(world: World) -> None:
    world.insert("c", [{"_id": i, "z": value, "n": 1, "a": value} for i, value in enumerate(TYPES.values())])
    before = world.raws("c")
    migration(world)
    after = there_and_back(world)
    assert len(after) == len(TYPES)
    for identity, data in after.items():
        assert data == raw_bson.encode({**raw_bson.decode(before[identity]), "n": 1001})


@each_mode
@pytest.mark.parametrize("odd", SURVIVORS.values(), ids=SURVIVORS)
def test_what_decoding_would_change_keeps_its_bytes(world: World, odd: bytes) -> None:
    world.insert(
        "c", [document(element("_id", 1), odd, element("n", 1)), document(element("_id", 2), element("x", 1))]
    )
    migration(world)
    after = there_and_back(world)
    assert after[encode({"_id": 1})] == document(element("_id", 1), odd, element("n", 1001))


@each_mode
@pytest.mark.parametrize("odd", SURVIVORS.values(), ids=SURVIVORS)
def test_what_decoding_would_change_comes_back_where_the_migration_removes_it(
    world: World, odd: bytes
) -> None:
    world.insert("c", [document(element("_id", 1), odd, element("n", 1))])
    migration(world, 'for k in [k for k in d if k not in ("_id", "n")]: del d[k]')
    assert there_and_back(world) == {encode({"_id": 1}): encode({"_id": 1, "n": 1})}


@each_mode
@pytest.mark.parametrize("odd", FRAGILE.values(), ids=FRAGILE)
def test_a_document_that_would_lose_data_is_left_alone_where_nothing_changes(
    world: World, odd: bytes
) -> None:
    fragile = document(element("_id", 1), odd)
    world.insert("c", [fragile, {"_id": 2, "n": 1}])
    migration(world, 'd.update(n=2) if "n" in d else None')
    assert there_and_back(world)[encode({"_id": 1})] == fragile


@each_mode
@pytest.mark.parametrize("odd", FRAGILE.values(), ids=FRAGILE)
def test_a_document_that_would_lose_data_stops_the_run_where_it_has_to_change(
    world: World, odd: bytes
) -> None:
    world.insert("c", [document(element("_id", 7), odd)])
    before = world.raws("c")
    migration(world)
    error = world.up().error
    assert isinstance(error, errors.Unrepresentable)
    assert (error.id, error.version) == (7, "0001")
    assert world.raws("c") == before


@each_mode
def test_fields_whose_names_look_like_operators_or_paths_are_kept_and_changed(world: World) -> None:
    world.insert(
        "c", [{"_id": 1, "a.b": 1, "$set": 2, "": 3, "$": 4, "n": 5}, {"_id": 2, "$literal": {"$x": 1}}]
    )
    migration(world, 'd["$new"] = 1; d["c.d"] = 2; d["n"] = 6; d.pop("$set", None)')
    after = there_and_back(world)
    assert after[encode({"_id": 1})] == encode(
        {"_id": 1, "a.b": 1, "": 3, "$": 4, "n": 6, "$new": 1, "c.d": 2}
    )


@each_mode
@pytest.mark.parametrize("name", ["at", ""])
def test_a_zero_timestamp_is_not_turned_into_now(world: World, name: str) -> None:
    for identity in (1, 2):
        world.put("c", encode({"_id": identity, name: Timestamp(0, 0), "n": 1}))
    migration(world)
    after = there_and_back(world)
    assert after[encode({"_id": 1})] == encode({"_id": 1, name: Timestamp(0, 0), "n": 1001})


@each_mode
def test_a_migration_may_write_a_zero_timestamp(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    migration(world, 'from bson import Timestamp; d["at"] = Timestamp(0, 0)')
    assert there_and_back(world) == {encode({"_id": 1}): encode({"_id": 1, "at": Timestamp(0, 0)})}


@two
def test_a_document_of_nearly_16_mb_goes_there_and_back(world: World) -> None:
    world.insert("c", [{"_id": i, "n": 1, "big": "x" * 16_000_000} for i in range(2)])
    migration(world)
    after = there_and_back(world)
    assert {len(data) for data in after.values()} == {
        len(encode({"_id": 0, "n": 1001, "big": "x" * 16_000_000}))
    }


@servers
def test_documents_too_large_to_be_guarded_are_refused_by_a_standalone_server(world: World) -> None:
    world.insert("c", [{"_id": 7, "big": "x" * 9_000_000}])
    migration(world)
    before = world.raws("c")
    error = world.up().error
    if world.kind == Kind.STANDALONE:
        assert isinstance(error, errors.MissingCapability)
        assert (error.id, error.exit_code) == (7, 9)
        assert "replica set" in error.hint
        assert world.raws("c") == before
    else:
        assert error is None


@each_mode
def test_many_large_documents_need_more_than_one_command(world: World) -> None:
    world.insert("c", [{"_id": i, "n": 1, "big": bytes([i]) * 3_000_000} for i in range(9)])
    migration(world)
    assert len(there_and_back(world)) == 9


@two
def test_a_change_of_type_or_order_alone_is_a_change(world: World) -> None:
    world.insert(
        "c", [{"_id": 1, "a": 1, "b": 2}, {"_id": 2, "a": 1.0, "b": 2}, {"_id": 3, "b": 2, "a": 1.0}]
    )
    migration(world, 'b = d.pop("b"); d["a"] = float(d["a"]); d["b"] = b')
    result = succeeded(world.up())
    assert (result.documents.changed, result.documents.unchanged) == (2, 1)
    assert {raw_bson.join([p for _, p in raw_bson.elements(d)][1:]) for d in world.raws("c").values()} == {
        encode({"a": 1.0, "b": 2})
    }


# --- ids -------------------------------------------------------------------------------------------------------

MIXED: list[Any] = [
    MinKey(),
    None,
    -1,
    0.5,
    1,
    Int64(2),
    Decimal128("3"),
    "",
    "a",
    {},
    {"a": 1},
    {"a": 1.5},
    {"b": {"c": [1]}},
    b"",
    b"ab",
    Binary(bytes(16), 4),
    ObjectId("65a000000000000000000001"),
    False,
    True,
    datetime(2024, 1, 1),
    DatetimeMS(10**15),
    Timestamp(5, 1),
    Code("x"),
    MaxKey(),
]


@each_mode
@pytest.mark.parametrize("size", [1, 7, 500])
def test_ids_of_every_type_are_met_exactly_once(world: World, size: int) -> None:
    world.settings["batch_size"] = size
    world.insert("c", [{"_id": identity, "n": i} for i, identity in enumerate(MIXED)])
    migration(world)
    after = there_and_back(world)
    assert sorted(raw_bson.decode(d)["n"] for d in after.values()) == [1000 + i for i in range(len(MIXED))]


@one_server
def test_the_order_of_ids_is_the_servers(world: World) -> None:
    world.insert("c", [{"_id": identity} for identity in reversed(MIXED)])
    with world.client() as client:
        listed = list(raw_bson.split_all(client[world.database].c.find_raw_batches(sort=[("_id", 1)])))
    assert listed == sorted(listed, key=lambda d: id_key(raw_bson.id_of(d)))


def nested(*elements: bytes) -> bytes:
    """A document whose `_id` is a document of these elements."""
    return raw_bson.join([b"\x03_id\0" + raw_bson.join(elements)])


POINTER = b"\x0cp\0\x02\0\0\0c\0" + bytes(11)
WITHIN = [
    *(nested(element("a", i), element("a", -i)) for i in range(5)),
    *(nested(b"\x06a\0", element("k", i)) for i in range(3)),
    *(nested(element("a", None), element("k", i)) for i in range(3)),
    *(nested(POINTER + bytes([i])) for i in range(3)),
    nested(element("p", Binary(b"1234567890123456789012345678"))),
    nested(element("p", {"$ref": "c", "$id": 1})),
    nested(element("p", [1, {"a": 2}])),
    nested(b"\x04p\0" + raw_bson.join([b"\x06" + b"0\0", element("1", 2)])),
    nested(b"\x0es\0\x02\0\0\0a\0"),
    nested(element("s", "a"), element("t", 1)),
    nested(b"\x02s\0\x03\0\0\0\xff\xfe\0"),
    nested(element("x.y", 1)),
    nested(),
]
"""Ids that are documents of what Python has no types for, or that a dict cannot hold."""


@one_server
def test_the_order_of_what_is_within_ids_is_the_servers(world: World) -> None:
    world.insert("c", reversed(WITHIN))
    with world.client() as client:
        listed = list(raw_bson.split_all(client[world.database].c.find_raw_batches(sort=[("_id", 1)])))
    assert len(listed) == len(WITHIN)
    assert listed == sorted(listed, key=lambda d: id_key(raw_bson.id_of(d)))


@each_mode
def test_a_run_that_stopped_between_ids_of_different_types_goes_on(world: World) -> None:
    world.settings["batch_size"] = 2
    world.insert("c", [{"_id": identity, "n": i} for i, identity in enumerate(MIXED)])
    before = world.raws("c")
    migration(world, 'd["n"] += 1000 if d["n"] != 10 else d["x"]')
    assert world.up().error is not None
    world.change("c", {"a": 1}, x=1000)
    succeeded(world.up())
    assert sorted(d["n"] for d in world.documents("c")) == [1000 + i for i in range(len(MIXED))]
    succeeded(world.down())
    changed = encode({"_id": {"a": 1}})
    assert {k: v for k, v in world.raws("c").items() if k != changed} == {
        k: v for k, v in before.items() if k != changed
    }


# --- how many --------------------------------------------------------------------------------------------------


@each_mode
@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 10])
def test_any_number_of_documents_fits_batches_of_five(world: World, count: int) -> None:
    world.settings["batch_size"] = 5
    world.insert("c", [{"_id": i, "n": i} for i in range(count)])
    migration(world)
    before = world.raws("c")
    result = succeeded(world.up())
    assert (result.documents.matched, result.documents.changed) == (count, count)
    assert sorted(d["n"] for d in world.documents("c")) == [1000 + i for i in range(count)]
    succeeded(world.down())
    assert world.raws("c") == before


@each_mode
def test_batches_in_which_nothing_matches_are_passed_over(world: World) -> None:
    world.settings["batch_size"] = 2
    world.insert("c", [{"_id": i, "n": i} for i in range(20)])
    world.write(
        "0001_change.py",
        "from goaime_migrate import *\noperations = [AddField('c', 'm', 1, where={'n': {'$in': [0, 9, 19]}})]",
    )
    after = there_and_back(world)
    assert sum("m" in raw_bson.decode(d) for d in after.values()) == 3


# --- any document, any change ----------------------------------------------------------------------------------

CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 5), VALUES),
        st.tuples(st.just("add"), st.sampled_from(["new", "n", "z.z", "$z"]), VALUES),
        st.tuples(st.just("remove"), st.integers(0, 5), st.none()),
        st.tuples(st.just("reverse"), st.none(), st.none()),
    ),
    max_size=4,
)
COLLECTIONS = st.lists(
    st.tuples(IDS, FIELDS), max_size=8, unique_by=lambda pair: id_key(encode({"_id": pair[0]}))
)
PLAYED = """
    from pathlib import Path

    from goaime_migrate import TransformDocuments
    from goaime_migrate.backends import raw_bson

    CHANGES = raw_bson.decode(Path({path!r}).read_bytes())["changes"]

    def play(d):
        for kind, where, value in CHANGES:
            names = [name for name in d if name != "_id"]
            if kind == "add":
                d[where] = value
            elif kind == "reverse":
                for name in reversed(names):
                    d[name] = d.pop(name)
            elif names and kind == "set":
                d[names[where % len(names)]] = value
            elif names:
                del d[names[where % len(names)]]

    operations = [TransformDocuments("c", play)]
    """


def check_exact(
    world: World, documents: list[tuple[Any, dict[str, Any]]], changes: list[Any], size: int
) -> None:
    """`down(up(d)) == d`, and `up` again gives what it gave."""
    world.settings["batch_size"] = size
    script = world.folder.parent / "changes.bson"
    script.write_bytes(raw_bson.encode({"changes": [list(change) for change in changes]}))
    world.write("0001_play.py", PLAYED.format(path=str(script)))
    for identity, fields in documents:
        world.put("c", raw_bson.encode({"_id": identity, **fields}))
    before = world.raws("c")
    assert len(before) == len(documents)
    succeeded(world.up())
    after = world.raws("c")
    assert after.keys() == before.keys()
    assert succeeded(world.down()).conflicts == ()
    assert world.raws("c") == before
    succeeded(world.up())
    assert world.raws("c") == after


@settings(max_examples=40, deadline=None)
@given(COLLECTIONS, CHANGES, st.sampled_from([1, 3, 500]))
def test_down_is_exact_for_any_documents_and_any_change(
    documents: list[tuple[Any, dict[str, Any]]], changes: list[Any], size: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "dump" / "any").mkdir(parents=True)
        (root / "migrations").mkdir()
        world = World("embedded", f"dump:{root / 'dump'}", "any", root / "migrations")
        check_exact(world, documents, changes, size)


@one_server
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COLLECTIONS, CHANGES, st.sampled_from([1, 3, 500]))
def test_down_is_exact_for_any_documents_and_any_change_on_a_server(
    world: World, documents: list[tuple[Any, dict[str, Any]]], changes: list[Any], size: int
) -> None:
    with world.client() as client:
        client.drop_database(world.database)
    check_exact(world, documents, changes, size)


@dump
def test_a_dump_is_a_plain_dump_after_every_command(world: World) -> None:
    world.insert("c", [{"_id": 1, "n": 1}])
    migration(world)
    for command in (world.up, world.down):
        succeeded(command())
        names = {path.name for path in Path(world.uri.removeprefix("dump:")).rglob("*") if path.is_file()}
        assert all(name.endswith((".bson", ".metadata.json")) or name == "prelude.json" for name in names), (
            names
        )
