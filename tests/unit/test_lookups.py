"""Looked-up documents: a read-only mapping that knows only what was asked for, frozen for a pass."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex

from goaime_migrate.backends import raw_bson
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.transform import frozen_lookups, lookup_reading
from goaime_migrate.transform.frozen_lookups import FrozenLookups
from goaime_migrate.transform.lookup_answers import Answer
from goaime_migrate.transform.lookup_table import CACHE_BYTES, CACHE_LIMIT, Table
from goaime_migrate.transform.lookups import Lookup, cache_key
from tests.unit.fakes import FakeReader

AMY = {"_id": 1, "username": "amy", "tags": ["a"], "address": {"city": "x"}}
USERS = Lookup("users", key="username")


def table(reader: FakeReader, *keys: Any, lookup: Lookup = USERS, freeze: bool = False) -> Table:
    """A table in which these keys have been asked for and loaded."""
    tables = FrozenLookups("p", [lookup], freeze=freeze)
    for key in keys:
        tables[lookup].get(key)
    reader.keep(tables.load(reader))
    return tables[lookup]


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader(users=[AMY, {"_id": 2, "username": "amy", "later": True}, {"_id": 3, "username": None}])


def test_it_is_read_like_a_mapping(reader: FakeReader) -> None:
    users = table(reader, "amy", "bob")
    assert users.get("amy") == AMY
    assert users["amy"] == AMY
    assert "amy" in users
    assert users.get("bob") is None
    assert users.get("bob", {}) == {}
    assert "bob" not in users
    with pytest.raises(KeyError, match="bob"):
        users["bob"]


def test_what_nothing_keeps_is_not_made_into_records(
    reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_lookups, "seal", pytest.fail)
    tables = FrozenLookups("p", [USERS], freeze=False)
    tables[USERS].get("amy")
    assert tables.load(reader) == []
    assert tables[USERS]["amy"] == AMY
    assert tables.unfrozen is None


def test_it_is_always_true_like_no_empty_dict(reader: FakeReader) -> None:
    assert table(reader)


@pytest.mark.parametrize(
    ("misuse", "what"),
    [
        (list, "iterated over"),
        (lambda users: [u for u in users.values()], "iterated over"),  # noqa: C416
        (dict, "iterated over"),
        (lambda users: {**users}, "iterated over"),
        (lambda users: sorted(users.items()), "iterated over"),
        (lambda users: users == {}, "iterated over"),
        (len, "counted"),
        (lambda users: len(users.keys()), "counted"),
    ],
)
def test_what_it_cannot_do_is_refused_with_a_hint(reader: FakeReader, misuse: Any, what: str) -> None:
    with pytest.raises(TypeError) as caught:
        misuse(table(reader, "amy"))
    assert f"the lookup 'users' cannot be {what}" in str(caught.value)
    assert "ask by 'username', with .get(key), [key] or `in`" in str(caught.value)


@pytest.mark.parametrize(
    "change", [lambda t: t.__setitem__("amy", {}), lambda t: t.pop("amy"), lambda t: t.clear()]
)
def test_it_cannot_be_written_to(reader: FakeReader, change: Any) -> None:
    with pytest.raises(AttributeError):
        change(table(reader, "amy"))


def test_a_document_may_be_changed_without_changing_any_other(reader: FakeReader) -> None:
    users = table(reader, "amy")
    first = users["amy"]
    first["tags"].append("b")
    first["address"]["city"] = "y"
    first["more"] = 1
    assert users["amy"] == AMY


def test_lists_of_documents_are_copied_whole() -> None:
    problem = {"_id": 1, "choices": [{"text": "a"}], "mixed": [1, [2]]}
    problems = table(FakeReader(problems=[problem]), 1, lookup=Lookup("problems"))
    problems[1]["choices"][0]["text"] = "b"
    problems[1]["mixed"][1].append(3)
    assert problems[1] == {"_id": 1, "choices": [{"text": "a"}], "mixed": [1, [2]]}


def test_of_several_with_one_key_the_first_by_id_is_found(reader: FakeReader) -> None:
    assert table(reader, "amy")["amy"]["_id"] == 1


def test_a_key_that_is_null_finds_null_alone(reader: FakeReader) -> None:
    assert table(reader, None)[None]["_id"] == 3


def test_the_fields_may_be_limited(reader: FakeReader) -> None:
    lookup = Lookup("users", key="username", fields=["tags"])
    assert table(reader, "amy", lookup=lookup)["amy"] == {"_id": 1, "username": "amy", "tags": ["a"]}
    assert lookup.label == "users.username(tags)"


def test_the_key_is_the_id_unless_another_is_named() -> None:
    assert Lookup("users").key == "_id"
    assert Lookup("users").label == "users._id"


@pytest.mark.parametrize(
    ("declare", "message", "hint"),
    [
        (lambda: Lookup(""), "the looked-up collection must be a name, not ''", ""),
        (lambda: Lookup("c", key=""), "key= must be a path of names such as a.b, not ''", ""),
        (
            lambda: Lookup("c", key="a..b"),
            "key= must be a path of names such as a.b, not 'a..b'",
            "write 'a.b'",
        ),
        (lambda: Lookup("c", key="$a"), "key= must be a path of names", "write 'a'"),
        (
            lambda: Lookup("c", key="items.$[].sku"),
            "key= must be a path",
            "write 'items.sku': an array is found by",
        ),
        (lambda: Lookup("c", key="items[].sku"), "key= must be a path of names", "write 'items.sku'"),
        (lambda: Lookup("c", key=["a"]), "key= must be a path of names such as a.b, not ['a']", ""),  # type: ignore[arg-type]
        (lambda: Lookup("c", fields="name"), "fields= must be a list of names", "fields=['name']"),
        (lambda: Lookup("c", fields=["a", 5]), "every field in fields= must be a path", ""),  # type: ignore[list-item]
        (lambda: Lookup("c", where=[]), "where= must be a filter document, not []", ""),  # type: ignore[arg-type]
        (lambda: Lookup("c", where={"n": {1}}), "where= cannot be encoded as BSON", "values that BSON knows"),
        (lambda: Lookup("c", sort=5), "sort= is no list of fields: 5", "[('at', -1), ('name', 1)]"),  # type: ignore[arg-type]
        (lambda: Lookup("c", sort=[]), "sort= is no list of fields: []", "sort='at'"),
        (lambda: Lookup("c", sort=["at"]), "sort= holds 'at', which is no field with 1 or -1", "sort='at'"),  # type: ignore[list-item]
        (lambda: Lookup("c", sort=[("at", 0)]), "sort= holds ('at', 0)", "1 is ascending"),
        (lambda: Lookup("c", sort=[("at", True)]), "sort= holds ('at', True)", "1 is ascending"),
        (lambda: Lookup("c", sort=[("a..b", 1)]), "every field in sort= must be a path", "write 'a.b'"),
        (lambda: Lookup("c", many=1), "many= must be True or False, not 1", ""),  # type: ignore[arg-type]
        (lambda: Lookup("c", pipeline=[]), "pipeline= is no list of stages: []", "$group"),
        (lambda: Lookup("c", pipeline={"$match": {}}), "pipeline= is no list of stages", "$group"),  # type: ignore[arg-type]
        (lambda: Lookup("c", pipeline=[{"match": {}}]), "pipeline= holds {'match': {}}", "$group"),
        (lambda: Lookup("c", pipeline=[{"$out": "d"}]), "pipeline= holds $out, which writes", ""),
        (
            lambda: Lookup("c", where={"a": 1}, pipeline=[{"$match": {}}]),
            "where= does not go with pipeline=",
            "write them as stages: pipeline=[{'$match': …}",
        ),
        (
            lambda: Lookup("c", fields=["a"], pipeline=[{"$match": {}}]),
            "fields= does not go with pipeline=",
            "write them as stages: pipeline=[{'$project': …}",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_with_the_right_form(
    declare: Callable[[], object], message: str, hint: str
) -> None:
    with pytest.raises(InvalidMigration) as caught:
        declare()
    assert caught.value.message.startswith(f"Lookup: {message}")
    assert hint in caught.value.hint


def test_two_declarations_are_equal_where_they_find_the_same() -> None:
    one = Lookup("c", where={"a": 1}, sort="at", pipeline=None)
    assert one == Lookup("c", where={"a": 1}, sort=[("at", 1)])
    assert one != Lookup("c", where={"a": 1.0}, sort="at")
    assert len({Lookup("c"), Lookup("c", key="_id"), Lookup("c", many=True), Lookup("d")}) == 3


def test_records_of_earlier_releases_are_found_by_the_same_text() -> None:
    assert repr(Lookup("c", key="k", fields=["a"])) == "Lookup(collection='c', key='k', fields=('a',))"


def test_the_collections_that_a_pipeline_joins_are_read_too() -> None:
    join = {"$lookup": {"from": "d", "pipeline": [{"$unionWith": "e"}], "as": "x"}}
    assert Lookup("c", pipeline=[join, {"$unionWith": {"coll": "f"}}]).reads == {"c", "d", "e", "f"}


def test_all_keys_are_asked_for_at_once(reader: FakeReader) -> None:
    table(reader, "amy", "bob", "amy", None)
    assert reader.asked == [["amy", "bob", None]]


@pytest.mark.parametrize(
    "same",
    [
        (1, 1.0, Int64(1), Decimal128("1"), Decimal128("1.0")),
        (0.0, -0.0, 0),
        (float("nan"), Decimal128("NaN")),
        ({"a": 1}, {"a": 1}),
        ([1, "a"], [1, "a"]),
        (b"x", b"x"),
        (Regex("a", "i"), Regex("a", "i")),
        (Code("x"), Code("x")),
    ],
)
def test_keys_are_equal_where_the_server_calls_them_equal(same: tuple[Any, ...]) -> None:
    assert len({cache_key(value) for value in same}) == 1


@pytest.mark.parametrize(
    "different",
    [
        (1, True, "1", b"1", None),
        (0, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1], 1, [[1]]),
        (b"x", Binary(b"x", 128)),
        (ObjectId("0" * 24), "0" * 24),
        (Regex("a"), "a", Code("a")),
    ],
)
def test_keys_differ_where_the_server_calls_them_different(different: tuple[Any, ...]) -> None:
    assert len({cache_key(value) for value in different}) == len(different)


@pytest.mark.parametrize(
    "key",
    [{1}, object(), UUID(int=1), date(2024, 1, 1), 2**70, "\ud800", [{1}]],
    ids=["set", "object", "uuid", "date", "huge", "surrogate", "nested"],
)
def test_a_key_that_no_document_can_have_is_refused(reader: FakeReader, key: Any) -> None:
    with pytest.raises(TypeError, match="is no value that a document of 'users' can have"):
        table(reader, key)


def test_a_pattern_finds_nothing() -> None:
    reader = FakeReader(users=[AMY])
    assert table(reader, Regex("am.*")).get(Regex("am.*")) is None
    assert reader.asked == []


# --- frozen ----------------------------------------------------------------------------------------------------


def test_what_a_pass_has_seen_stays_as_it_was_seen(reader: FakeReader) -> None:
    table(reader, "amy", "bob", freeze=True)
    reader.stored["users"] = [{"_id": 9, "username": "bob"}]

    later = table(reader, "amy", "bob", freeze=True)

    assert later["amy"] == AMY
    assert later.get("bob") is None


@pytest.mark.parametrize("noise", [b"", random.Random(0).randbytes(11_000_000)], ids=["plain", "noise"])
def test_a_document_as_large_as_can_be_is_frozen_in_records_that_can_be_stored(noise: bytes) -> None:
    large = {"_id": 1, "username": "amy", "noise": noise, "text": ""}
    large["text"] = "x" * (raw_bson.MAX_DOCUMENT - len(raw_bson.encode(large)))
    reader = FakeReader(users=[large])
    table(reader, "amy", "bob", freeze=True)
    assert all(len(raw_bson.encode(record)) < 9_000_000 for record in reader.records.values())
    assert len(reader.records) == (3 if noise else 2)
    reader.stored["users"] = []

    later = table(reader, "amy", "bob", freeze=True)

    assert later["amy"] == large
    assert later.get("bob") is None


def test_another_pass_sees_what_is_there_now(reader: FakeReader) -> None:
    table(reader, "amy", freeze=True)
    reader.stored["users"] = []
    other = FrozenLookups("q", [USERS])
    other[USERS].get("amy")
    other.load(reader)
    assert other[USERS].get("amy") is None


def test_lookups_with_other_fields_are_frozen_apart(reader: FakeReader) -> None:
    limited = Lookup("users", key="username", fields=("tags",))
    table(reader, "amy", freeze=True)
    assert "address" not in table(reader, "amy", lookup=limited, freeze=True)["amy"]


def test_a_batch_that_was_not_committed_is_forgotten(reader: FakeReader) -> None:
    tables = FrozenLookups("p", [USERS])
    tables[USERS].get("amy")
    tables.load(reader)
    tables.rollback()
    reader.stored["users"] = []
    assert tables[USERS].get("amy") is None
    tables.load(reader)
    assert tables[USERS].get("amy") is None
    assert len(reader.asked) == 2


def test_a_batch_that_was_committed_is_remembered(reader: FakeReader) -> None:
    tables = FrozenLookups("p", [USERS])
    tables[USERS].get("amy")
    tables.load(reader)
    tables.commit()
    tables.rollback()
    assert tables[USERS].get("amy") == AMY


def test_memory_is_bounded(reader: FakeReader) -> None:
    tables = FrozenLookups("p", [USERS], freeze=False)
    for key in range(CACHE_LIMIT + 1):
        tables[USERS].store(key, Answer(), committed=True)
    tables.trim()
    tables[USERS].get(0)
    assert tables.misses == [0]


def test_memory_is_bounded_where_documents_are_large() -> None:
    tables = FrozenLookups("p", [USERS], freeze=False)
    for key in (1, 2):
        tables[USERS].store(key, Answer([{"_id": key}], CACHE_BYTES // 2 + 1), committed=True)
    tables.trim()
    tables[USERS].get(1)
    assert tables.misses == [1]


def test_of_thousands_with_one_key_a_page_is_read_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_reading, "_PAGE", 4)
    documents = [{"_id": i, "username": "amy"} for i in range(100)]
    reader = FakeReader(users=[*documents, {"_id": 100, "username": "bob"}])
    users = table(reader, "amy", "bob", "eve")
    assert (users["amy"]["_id"], users["bob"]["_id"], users.get("eve")) == (0, 100, None)
    assert reader.asked == [["amy", "bob", "eve"], ["bob", "eve"]]
