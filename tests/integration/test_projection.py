"""Carrying only the declared fields: the same documents as with whole ones, up and down."""

from __future__ import annotations

from typing import Any

import pytest
from bson import encode

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.server import updates
from goaime_migrate.backends.server.reader import MongoReader
from goaime_migrate.results import OnConflict
from goaime_migrate.transform import projection
from tests.integration.engines import one_server
from tests.world import World, succeeded

pytestmark = one_server

TRANSFORM = """
    from goaime_migrate import TransformDocuments

    def link(d):
        d["n"] = d.get("n", 0) + 1000
        d["user"] = "u" + str(d["_id"])
        d["shuffle"] = d["_id"] % 2 == 0
        {more}

    operations = [TransformDocuments("c", link, fields=["n", "user", "shuffle", "gone"])]
    """
PIPELINE = """
    from goaime_migrate import UpdateDocuments

    operations = [UpdateDocuments("c", [{"$set": {"n": {"$add": ["$n", 1000]}, "user.name": "x"}}])]
    """


def element(name: str, value: Any) -> bytes:
    return encode({name: value})[4:-1]


TWICE = raw_bson.join([element("_id", 90), element("n", 1), element("z", 1), element("z", 2)])
UNDEFINED = raw_bson.join([element("_id", 91), b"\x06u\0", element("n", 1), b"\x0es\0\x02\0\0\0a\0"])
NO_TEXT = raw_bson.join([element("_id", 92), b"\x02t\0\x02\0\0\0\xff\0", element("n", 1)])


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Sixty documents and three odd ones; the reads of each command are noted."""
    monkeypatch.setattr(projection, "FROM", 1)
    world.settings["batch_size"] = 20
    world.insert("c", [{"_id": i, "big": "x" * 50, "n": i, "tail": [i]} for i in range(60)])
    world.insert("c", [TWICE, UNDEFINED, NO_TEXT])
    return world


@pytest.fixture
def whole_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many documents of `c` each read brought as a whole."""
    found: list[int] = []
    for name in ("documents", "by_ids"):
        read = getattr(MongoReader, name)

        def noted(self: Any, collection: str, *rest: Any, _read: Any = read, **more: Any) -> list[bytes]:
            documents: list[bytes] = _read(self, collection, *rest, **more)
            if collection == "c" and more.get("fields") is None:
                found.append(len(documents))
            return documents

        monkeypatch.setattr(MongoReader, name, noted)
    return found


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many documents each update of a range was for."""
    found: list[int] = []
    sweep = updates.sweep

    def noted(database: Any, collection: str, this: Any, session: Any) -> None:
        found.append(this.documents)
        sweep(database, collection, this, session)

    monkeypatch.setattr(updates, "sweep", noted)
    return found


def names(document: bytes) -> list[str]:
    return [name.decode() for name, _ in raw_bson.elements(document)]


def test_up_and_down_carry_the_declared_fields_and_keep_every_other_byte(
    world: World, whole_reads: list[int]
) -> None:
    world.write("0001_link.py", TRANSFORM.format(more=""))
    before = world.raws("c")
    result = succeeded(world.up())
    assert (result.documents.matched, result.documents.changed) == (63, 63)
    assert whole_reads == [63]  # the probe
    after = world.raws("c")
    for identity, document in before.items():
        kept = [e for e in raw_bson.elements(document) if e[0] != b"n"]
        assert [
            e for e in raw_bson.elements(after[identity]) if e[0] not in (b"n", b"user", b"shuffle")
        ] == kept
        assert names(after[identity]) == [*names(document), "user", "shuffle"]
    assert raw_bson.decode(after[encode({"_id": 3})])["n"] == 1003
    whole_reads.clear()
    succeeded(world.down("base"))
    assert whole_reads == []
    assert world.raws("c") == before


def test_a_pipeline_carries_the_fields_that_it_sets(world: World, whole_reads: list[int]) -> None:
    world.write("0001_set.py", PIPELINE)
    before = world.raws("c")
    succeeded(world.up())
    assert whole_reads == []
    assert {d["n"] for d in map(raw_bson.decode_leniently, world.raws("c").values())} == {
        1000 + n for n in range(60)
    }
    succeeded(world.down("base"))
    assert world.raws("c") == before


def test_a_constant_field_is_one_update_a_batch(world: World, sweeps: list[int]) -> None:
    world.insert("c", [{"_id": 200, "flag": None}, {"_id": 201, "flag": {"a": 1}}])
    world.write(
        "0001_add.py",
        """
        from goaime_migrate import AddField
        operations = [AddField("c", "flag", {"$literal": [1, "$n"]})]
        """,
    )
    before = world.raws("c")
    result = succeeded(world.up())
    assert (result.documents.matched, result.documents.changed) == (65, 63)
    assert sum(sweeps) == 63
    after = world.raws("c")
    assert [identity for identity in before if before[identity] == after[identity]] == [
        encode({"_id": 200}),
        encode({"_id": 201}),
    ]
    assert raw_bson.decode(after[encode({"_id": 7})])["flag"] == {"$literal": [1, "$n"]}
    succeeded(world.down("base"))
    assert world.raws("c") == before


@pytest.mark.parametrize(
    ("stages", "pure"),
    [
        ([{"$set": {"n": {"$add": ["$n", 1]}}}], True),
        ([{"$set": {"n": {"$add": ["$n", 1]}}}, {"$unset": "tail"}], True),
        ([{"$set": {"n": {"$add": ["$n", 1]}, "at": "$$NOW"}}], False),
        ([{"$set": {"n": {"$add": ["$n", 1]}, "r": {"$rand": {}}}}], False),
    ],
)
def test_a_pipeline_is_one_update_a_batch_if_it_gives_the_same_twice(
    world: World, sweeps: list[int], stages: list[Any], pure: bool
) -> None:
    world.write(
        "0001_set.py",
        f"from goaime_migrate import UpdateDocuments\noperations = [UpdateDocuments('c', {stages!r})]",
    )
    before = world.raws("c")
    succeeded(world.up())
    assert sum(sweeps) == (63 if pure else 0)
    assert {d["n"] for d in map(raw_bson.decode_leniently, world.raws("c").values())} == {*range(1, 61)}
    result = succeeded(world.down("base"))
    assert result.documents.changed == 63
    assert world.raws("c") == before


def test_a_document_that_a_sweep_may_not_write_is_named(world: World) -> None:
    with world.client() as client:
        client[world.database].command("collMod", "c", validator={"n": {"$lt": 1042}})
    world.write("0001_set.py", PIPELINE)
    before = world.raws("c")
    result = world.up()
    assert isinstance(result.error, errors.ValidatorRejected)
    assert result.error.id == 42
    with world.client() as client:
        client[world.database].command("collMod", "c", validator={})
    succeeded(world.up())
    succeeded(world.down("base"))
    assert world.raws("c") == before


def test_results_that_move_or_remove_fields_are_read_and_written_whole(world: World) -> None:
    world.insert("c", [{"_id": 100 + i, "gone": 1, "n": i, "z": i} for i in range(30)])
    world.write("0001_link.py", TRANSFORM.format(more='d.pop("gone", None)'))
    before = world.raws("c")
    succeeded(world.up())
    after = world.raws("c")
    assert names(after[encode({"_id": 105})]) == ["_id", "n", "z", "user", "shuffle"]
    succeeded(world.down("base"))
    assert world.raws("c") == before


def test_a_field_that_is_written_without_being_declared_stops_the_run(world: World) -> None:
    world.settings["batch_size"] = 500
    world.insert("c", [{"_id": 1000 + i, "n": i} for i in range(300)])
    world.write("0001_link.py", TRANSFORM.format(more='if d["_id"] == 1250: d["other"] = 1'))
    result = world.up()
    assert isinstance(result.error, errors.UndeclaredField)
    assert (result.error.id, result.error.field) == (1250, "other")


def test_a_plan_finds_the_document_that_would_stop_the_run(world: World) -> None:
    world.insert("plain", [{"_id": i, "n": i} for i in range(1300)])
    text = TRANSFORM.format(more='if d["_id"] == 1250: d["other"] = 1')
    world.write("0001_link.py", text.replace('"c"', '"plain"'))
    refused = world.plan().refused
    assert refused is not None
    assert (refused.code, refused.id, refused.field) == ("GM306", 1250, "other")


@pytest.mark.since("6.0")  # the server itself ends where such a document is projected
def test_a_document_that_has_a_declared_field_twice_stops_the_run(world: World) -> None:
    world.insert(
        "c", [raw_bson.join([element("_id", 95), element("n", 1), element("z", 1), element("n", 2)])]
    )
    world.write("0001_set.py", PIPELINE)
    before = world.raws("c")
    result = world.up()
    assert isinstance(result.error, errors.Unrepresentable)
    assert result.error.id == 95
    succeeded(world.down("base"))
    assert world.raws("c") == before


def test_the_application_keeps_its_own_changes(world: World) -> None:
    world.write("0001_link.py", TRANSFORM.format(more=""))
    succeeded(world.up())
    world.change("c", 1, big="new", fresh=1)
    world.change("c", 2, n=7)
    world.change("c", 3, user="mine", n=3)
    with world.client() as client:
        client[world.database].c.update_one({"_id": 4}, {"$unset": {"user": 1, "shuffle": 1}})
        client[world.database].c.update_one({"_id": 5}, {"$rename": {"big": "large"}})
    result = succeeded(world.down("base", on_conflict=OnConflict.KEEP))
    found = {d["_id"]: d for d in map(raw_bson.decode_leniently, world.raws("c").values())}
    assert list(found[1].items()) == [("_id", 1), ("big", "new"), ("n", 1), ("tail", [1]), ("fresh", 1)]
    assert found[2] == {"_id": 2, "big": "x" * 50, "n": 7, "tail": [2]}
    assert found[3] == {"_id": 3, "big": "x" * 50, "n": 3, "tail": [3], "user": "mine"}
    assert found[4] == {"_id": 4, "big": "x" * 50, "n": 4, "tail": [4]}
    assert list(found[5]) == ["_id", "n", "tail", "large"]
    assert {(c.id, c.fields) for c in result.conflicts} == {(2, ("n",)), (3, ("user",))}


def test_up_again_after_a_canary_and_down(world: World) -> None:
    world.write("0001_link.py", TRANSFORM.format(more=""))
    before = world.raws("c")
    world.up(where={"_id": {"$lt": 25}})
    result = succeeded(world.up())
    assert result.documents.changed == 63 - 25
    assert {d["n"] // 1000 for d in map(raw_bson.decode_leniently, world.raws("c").values())} == {1}
    succeeded(world.down("base"))
    assert world.raws("c") == before
