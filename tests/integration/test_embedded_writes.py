"""A dump as a database: units of work, unique indexes, and users' own functions."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, ObjectId, decode, encode
from pymongo import ReplaceOne, UpdateOne

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import (
    JOURNAL,
    PROGRESS,
    VERSIONS,
    Changes,
    Delete,
    GuardFailed,
    IndexInTheWay,
    Move,
    Put,
    RecordChange,
    Write,
)
from goaime_migrate.errors import (
    DuplicateKey,
    IdChanged,
    InvalidResult,
    MissingCapability,
    OperationFailed,
    ResultTooLarge,
)
from tests.integration.dumps import content, put, raw_id, reading, replace, writing

# Changing -------------------------------------------------------------------------------------------------


def test_a_unit_of_work_is_applied_as_one_or_not_at_all(dump: Path) -> None:
    with writing(dump) as backend:
        put(backend, PROGRESS, {"_id": "p", "fence": 1, "cursor": 1, "at": {"x": 1}})
        journal = Put(JOURNAL, {"_id": "j"})
        write = Write(raw_id(1), encode({"_id": 1, "name": "n1"}), encode({"_id": 1, "name": "new"}))

        def changes(cursor: int) -> Changes:
            move = Move(
                PROGRESS, {"_id": "p", "fence": 1, "cursor": cursor}, {"cursor": cursor + 1, "at.y": 2}
            )
            return Changes(first=[journal], collection="users", writes=[write], last=[move])

        with pytest.raises(GuardFailed):
            backend.transact(lambda _: changes(7))
        assert backend.find(JOURNAL, {}) == []
        assert backend.find("users", {"_id": 1}) == [{"_id": 1, "name": "n1"}]
        backend.transact(lambda reader: changes(reader.find(PROGRESS, {})[0]["cursor"]))
        assert backend.find(PROGRESS, {}) == [{"_id": "p", "fence": 1, "cursor": 2, "at": {"x": 1, "y": 2}}]
        assert backend.find("users", {"_id": 1}) == [{"_id": 1, "name": "new"}]
        with pytest.raises(GuardFailed):  # the document is no longer what was read
            backend.transact(lambda _: changes(2))
        assert backend.find(PROGRESS, {})[0]["cursor"] == 2


def test_changes_see_those_before_them(dump: Path) -> None:
    with writing(dump) as backend:
        first: list[RecordChange] = [
            Put(PROGRESS, {"_id": "a", "pass": 1}),
            Move(PROGRESS, {"pass": 1}, {"n": 1}),
            Put(PROGRESS, {"_id": "b", "pass": 2}),
            Delete(PROGRESS, {"pass": 2}),
        ]
        backend.transact(lambda _: Changes(first=first))
        assert backend.find(PROGRESS, {}) == [{"_id": "a", "pass": 1, "n": 1}]


def test_results_that_cannot_be_stored_name_their_document(dump: Path) -> None:
    with writing(dump) as backend:
        old = {"_id": 1, "name": "n1"}
        with pytest.raises(ResultTooLarge) as too_large:
            replace(backend, "users", (old, {"_id": 1, "x": "x" * (16 * 1024 * 1024)}))
        assert too_large.value.id == 1
        write = Write(raw_id(1), encode(old), encode({"_id": 2}))
        with pytest.raises(IdChanged):
            backend.transact(lambda _: Changes(collection="users", writes=[write]))
        assert backend.find("users", {"_id": 1}) == [old]


def test_unique_indexes_are_kept(dump: Path) -> None:
    with writing(dump) as backend:
        backend.create_index("users", [("name", 1)], {"unique": True, "name": "by_name"})
        one, two = {"_id": 1, "name": "n1"}, {"_id": 2, "name": "n2"}
        with pytest.raises(DuplicateKey, match=r"documents 1 and 2 .* 'by_name'") as caught:
            replace(backend, "users", (two, {"_id": 2, "name": "n1"}))
        assert caught.value.id == 2
        with pytest.raises(DuplicateKey):  # one after the other, as a server does it
            replace(backend, "users", (one, {**one, "name": "n2"}), (two, {**two, "name": "n1"}))
        replace(backend, "users", (one, {**one, "name": "free"}), (two, {**two, "name": "n1"}))
        replace(backend, "users", ({**one, "name": "free"}, {**one, "name": "n2"}))
        put(backend, "users", {"_id": 8})
        with pytest.raises(DuplicateKey):  # two documents without the field
            put(backend, "users", {"_id": 9})
        assert sorted(d.get("name", "") for d in backend.find("users", {})) == ["", "n1", "n2", "n3"]
    with writing(dump) as backend, pytest.raises(DuplicateKey):
        put(backend, "users", {"_id": 9, "name": "n3"})


@pytest.mark.parametrize(
    ("options", "keys", "free", "taken"),
    [
        ({}, [("a", 1), ("b", -1)], [{"a": 1, "b": 1}, {"a": 1, "b": 2}], {"a": 1.0, "b": 2}),
        ({"sparse": True}, [("a", 1)], [{}, {}, {"a": None}], {"a": None}),
        (
            {"partialFilterExpression": {"on": True}},
            [("a", 1)],
            [{"a": 1, "on": True}, {"a": 1}],
            {"a": 1, "on": True},
        ),
        ({}, [("a", 1)], [{"a": [1, 2]}, {"a": [3, 3]}], {"a": [4, 2]}),
        ({}, [("a.b", 1)], [{"a": {"b": 1}}, {"a": [{"b": 2}, {"b": 3}]}], {"a": {"b": 3}}),
    ],
)
def test_unique_indexes_of_every_kind(
    tmp_path: Path,
    options: dict[str, Any],
    keys: list[tuple[str, int]],
    free: list[Any],
    taken: dict[str, Any],
) -> None:
    with writing(tmp_path, "db") as backend:
        backend.create_index("c", keys, {"unique": True, **options})
        put(backend, "c", *({"_id": n, **document} for n, document in enumerate(free)))
        with pytest.raises(DuplicateKey):
            put(backend, "c", {"_id": 99, **taken})
        backend.transact(lambda _: Changes(first=[Delete("c", {})]))
        put(backend, "c", {"_id": 99, **taken})
        backend.drop_index("c", backend.indexes("c")[1]["name"])
        put(backend, "c", {"_id": 98, **taken})
        with pytest.raises(DuplicateKey):
            backend.create_index("c", keys, {"unique": True, **options})


def test_the_catalogue_answers_like_a_server(dump: Path) -> None:
    with writing(dump) as backend:
        backend.create_index("users", [("name", 1), ("age", -1)], {"expireAfterSeconds": 5})
        backend.create_index("users", [("name", 1), ("age", -1)], {"expireAfterSeconds": 5})
        assert backend.indexes("users")[1] == {
            "v": 2,
            "key": {"name": 1, "age": -1},
            "name": "name_1_age_-1",
            "expireAfterSeconds": 5,
        }
        backend.set_options("users", {"validator": {"a": 1}, "validationLevel": "strict"})
        backend.set_options("users", {"validator": {}})
        assert backend.collections()["users"].options == {"validationLevel": "strict"}
        in_the_way: list[Callable[[], None]] = [
            lambda: backend.create_index("users", [("x", 1)], {"name": "name_1_age_-1"}),
            lambda: backend.create_index("users", [("name", 1), ("age", -1)], {"name": "another"}),
        ]
        for call in in_the_way:
            with pytest.raises(IndexInTheWay):
                call()
        refused: list[Callable[[], None]] = [
            lambda: backend.drop_index("users", "nothing"),
            lambda: backend.drop_index("users", "_id_"),
            lambda: backend.drop_index("nothing", "x"),
            lambda: backend.set_options("nothing", {}),
            lambda: backend.create_collection("users", {}),
            lambda: backend.create_collection("a$b", {}),
            lambda: backend.rename_collection("nothing", "x"),
            lambda: backend.rename_collection("users", "plain"),
        ]
        for call in refused:
            with pytest.raises(OperationFailed):
                call()
        with pytest.raises(MissingCapability):
            backend.create_collection("ts", {"timeseries": {"timeField": "t"}})
        backend.drop_collection("nothing")
        backend.create_collection("seen", {"viewOn": "users", "pipeline": []})
    assert (dump / "shop" / "seen.metadata.json").exists()
    assert not (dump / "shop" / "seen.bson").exists()


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([{"$set": {"name": "x"}}], {"_id": 1, "name": "x", "in": {"a": 1}}),
        ([{"$set": {"b": {"$add": ["$in.a", 1]}}}], {"_id": 1, "name": "n", "in": {"a": 1}, "b": 2}),
        ([{"$set": {"in": {"b": 2}}}], {"_id": 1, "name": "n", "in": {"a": 1, "b": 2}}),
        ([{"$set": {"name": "$missing"}}], {"_id": 1, "in": {"a": 1}}),
        ([{"$set": {"name": "$$REMOVE"}}, {"$unset": "in.a"}], {"_id": 1, "in": {}}),
        ([{"$set": {"name": {"$literal": "$$NOW"}}}], {"_id": 1, "name": "$$NOW", "in": {"a": 1}}),
        ([{"$set": {"name": {"$cond": [True, "$$REMOVE", 1]}}}], {"_id": 1, "in": {"a": 1}}),
        ([{"$unset": ["name", "in"]}], {"_id": 1}),
        (
            [{"$set": {"name": ["$_id", "$x", {"a": "$in.a"}]}}],
            {"_id": 1, "name": [1, None, {"a": 1}], "in": {"a": 1}},
        ),
        ([{"$project": {"name": 0}}], {"_id": 1, "in": {"a": 1}}),
        ([{"$replaceWith": {"_id": "$_id", "x": "$name"}}], {"_id": 1, "x": "n"}),
        ([{"$replaceRoot": {"newRoot": {"_id": "$_id"}}}], {"_id": 1}),
    ],
)
def test_update_pipelines_do_what_a_server_does(
    tmp_path: Path, stages: list[Any], expected: dict[str, Any]
) -> None:
    with writing(tmp_path, "db") as backend:
        put(backend, "c", {"_id": 1, "name": "n", "in": {"a": 1}})
        assert backend.pipeline("c", [raw_id(1)], stages) == [encode(expected)]


def test_update_pipelines_know_the_time_and_refuse_what_they_cannot_do(tmp_path: Path) -> None:
    with writing(tmp_path, "db") as backend:
        put(backend, "c", {"_id": 1, "s": "x", "d": Decimal128("1")})
        (document,) = backend.pipeline("c", [raw_id(1)], [{"$set": {"at": "$$NOW"}}])
        assert isinstance(decode(document)["at"], datetime)
        for expression in (
            {"$sigmoid": 1},
            {"$mergeObjects": ["$a", "$b"]},
            {"$add": ["$d", 1]},
            {"$eq": ["$q", 1]},
        ):
            with pytest.raises((MissingCapability, OperationFailed)):
                backend.pipeline("c", [raw_id(1)], [{"$set": {"x": expression}}])


# Users' own functions -------------------------------------------------------------------------------------


def test_functions_keep_what_they_changed_and_the_bytes_of_the_rest(dump: Path) -> None:
    odd = b"\x1a\x00\x00\x00\x10_id\x00\x09\x00\x00\x00\x06u\x00\x0ds\x00\x02\x00\x00\x00x\x00\x00"
    file = dump / "shop" / "users.bson"
    broken = encode({"_id": 10, "s": "ab"}).replace(b"ab", b"\xff\xfe")
    file.write_bytes(file.read_bytes() + odd + broken)
    with writing(dump) as backend:
        with backend.functions(write=True) as db:
            assert db.users.count_documents({}) == 4
            db.users.update_many({"_id": {"$lte": 2}}, {"$set": {"seen": True}})
            db.users.delete_one({"_id": 3})
            db.users.insert_one({"name": "new", "_id": 0})
            db.fresh.insert_one({"_id": 1})
            db.drop_collection("plain")
            db.users.create_index("name", unique=True, sparse=True, name="by_name")
            db[VERSIONS].insert_one({"_id": "forged"})
        assert backend.find(VERSIONS, {}) == []
    saved = file.read_bytes()
    assert saved.endswith(odd + broken + encode({"_id": 0, "name": "new"}))
    assert saved.startswith(encode({"_id": 1, "name": "n1", "seen": True}))
    with reading(dump) as backend:
        assert set(backend.collections()) == {"users", "fresh"}
        assert backend.indexes("users")[1]["unique"] is True
        assert [decode(d)["_id"] for d in backend.documents("users", upto=raw_id(9))] == [0, 1, 2, 9]


def test_functions_that_raise_leave_nothing_behind(dump: Path) -> None:
    before = content(dump)
    with writing(dump) as backend:
        with pytest.raises(ZeroDivisionError), backend.functions(write=True) as db:
            db.users.delete_many({})
            _ = 1 / 0
        with backend.functions(write=False) as db:
            db.users.delete_many({})
        spoilers: list[Callable[[Any], Any]] = [
            lambda db: db.users.update_one({"_id": 1}, {"$push": {"x": {1, 2}}}),
            lambda db: db.users.update_one({"_id": 1}, {"$set": {"x": "x" * 17_000_000}}),
        ]
        for spoil in spoilers:
            with pytest.raises((InvalidResult, ResultTooLarge)), backend.functions(write=True) as db:
                db.users.delete_one({"_id": 2})
                spoil(db)
        assert backend.count("users") == 3
    assert content(dump) == before


def test_functions_are_told_what_a_dump_cannot_do(dump: Path) -> None:
    with writing(dump) as backend:
        calls: list[Callable[[Any], Any]] = [
            lambda db: db.list_collections(),
            lambda db: db.command("collStats", "users"),
            lambda db: db.users.bulk_write([UpdateOne({"_id": 1}, {"$set": {"a": 1}}, sort={"a": 1})]),
        ]
        for call in calls:
            with pytest.raises(MissingCapability, match="a dump directory cannot do this"):
                with backend.functions(write=True) as db:
                    call(db)
        with pytest.raises(NotImplementedError, match="mine"), backend.functions(write=True):
            raise NotImplementedError("mine")


def test_functions_write_in_bulk_rename_and_do_not_lose_expired_documents(dump: Path) -> None:
    with writing(dump) as backend:
        backend.create_index("users", [("at", 1)], {"expireAfterSeconds": 1})
        put(backend, "users", {"_id": 7, "at": datetime(2000, 1, 1)})
        with backend.functions(write=True) as db:
            db.users.bulk_write([UpdateOne({"_id": 1}, {"$set": {"a": 1}}), ReplaceOne({"_id": 2}, {"b": 2})])
            db.users.create_index("gone", expireAfterSeconds=1)
            db.users.update_one({"_id": 7}, {"$set": {"gone": datetime(2000, 1, 1)}})
            assert db.users.count_documents({}) == 4
            db.users.rename("people")
            db.plain.drop()
            db.plain.insert_one({"_id": 1})
        assert backend.count("people") == 4
        assert [index["name"] for index in backend.indexes("people")] == ["_id_", "at_1", "gone_1"]
        assert backend.find("people", {"_id": {"$in": [1, 2]}}) == [
            {"_id": 1, "name": "n1", "a": 1},
            {"_id": 2, "b": 2},
        ]
        assert backend.find("plain", {}) == [{"_id": 1}]
    assert "users.bson" not in content(dump / "shop")


def test_functions_find_documents_by_id_without_a_scan(tmp_path: Path) -> None:
    with writing(tmp_path, "db") as backend:
        put(backend, "c", *({"_id": n} for n in range(3_000)))
        started = time.monotonic()
        with backend.functions(write=True) as db:
            for n in range(3_000):
                db.c.update_one({"_id": n}, {"$set": {"n": n}})
        assert time.monotonic() - started < 5
        assert backend.count("c", {"n": {"$exists": True}}) == 3_000


def test_functions_see_unique_indexes_of_the_dump(dump: Path) -> None:
    with writing(dump) as backend:
        backend.create_index("users", [("name", 1)], {"unique": True})
        with pytest.raises(Exception, match="Duplicate"), backend.functions(write=True) as db:
            db.users.insert_one({"_id": 4, "name": "n1"})
        with backend.functions(write=True) as db:
            assert list(db.users.index_information()) == ["_id_", "name_1"]
            db.users.drop_index("name_1")
            db.users.insert_one({"_id": 4, "name": "n1"})
        assert backend.count("users") == 4


def test_twenty_thousand_documents_take_seconds(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    documents = [encode({"_id": ObjectId(), "n": n, "pad": "x" * 6_000}) for n in range(20_000)]
    (tmp_path / "db" / "c.bson").write_bytes(b"".join(documents))
    started = time.monotonic()
    with writing(tmp_path) as backend:
        after: bytes | None = None
        while batch := backend.documents("c", after=after, limit=500):
            writes = [Write(raw_bson.id_of(d), d, d.replace(b"x" * 100, b"y" * 100)) for d in batch]
            backend.transact(lambda _, writes=writes: Changes(collection="c", writes=writes))  # type: ignore[misc]
            after = writes[-1].id
    assert time.monotonic() - started < 10
    assert b"x" * 100 not in (tmp_path / "db" / "c.bson").read_bytes()
