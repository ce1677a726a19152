"""What can be inserted, what is refused at once, and by which key a document is known."""

from __future__ import annotations

import re
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId, Regex, decode, encode

from goaime_migrate import InsertDocuments
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.transform.insertion import by_key, key_of, keys_found, made_id, with_keys

DOCUMENTS: list[dict[str, Any]] = [{"_id": 1, "name": "a"}, {"name": "b", "_id": 2}, {"name": "c"}]


def refusal(*arguments: Any, **more: Any) -> InvalidMigration:
    with pytest.raises(InvalidMigration) as caught:
        InsertDocuments(*arguments, **more)
    return caught.value


def test_a_document_is_kept_as_it_was_declared() -> None:
    documents: list[dict[str, Any]] = [{"name": "a", "_id": 1, "tags": ["x"]}]
    operation = InsertDocuments("c", documents)
    documents[0]["tags"].append("y")
    assert operation.documents == (encode({"_id": 1, "name": "a", "tags": ["x"]}),)


def test_it_says_how_many() -> None:
    assert InsertDocuments("c", DOCUMENTS).describe() == "insert 3 documents into c"
    assert InsertDocuments("c", DOCUMENTS[:1]).describe() == "insert 1 document into c"
    assert InsertDocuments("c", DOCUMENTS, key=["name"]).describe() == "insert 3 documents into c by name"


@pytest.mark.parametrize(
    ("documents", "key", "text"),
    [
        ({"_id": 1}, "_id", "must be a list"),
        ("abc", "_id", "must be a list"),
        (iter(()), "_id", "must be a list"),
        ([1], "_id", "document 0 of the list is no dict"),
        ([{}, {"a": {1, 2}}], "_id", "document 1 of the list cannot be encoded"),
        ([{1: 2}], "_id", "cannot be encoded"),
        ([{"_id": [1]}], "_id", "an _id that MongoDB does not take"),
        ([{"_id": re.compile("a")}], "_id", "an _id that MongoDB does not take"),
        ([{"_id": 1}, {"_id": 1.0}], "_id", "the documents 0 and 1 of the list have the same _id"),
        ([{"_id": 1, "a": 1}, {"_id": 1, "a": 2}], "a", "the same _id"),
        ([{"a": None}, {"b": 1}], "a", "the documents 0 and 1 of the list have the same a"),
        ([{"a": {"b": 2}}, {"a": {"b": Int64(2)}}], "a.b", "the same a.b"),
        ([{"a": 1, "b": 1}, {"a": 1, "b": 1.0}], ["a", "b"], "the same a and b"),
        ([{"a": [1]}], "a", "no single value at a"),
        ([{"a": [{"b": 1}, {"b": 2}]}], "a.b", "no single value at a.b"),
        ([{"a": Regex("x")}], "a", "no single value at a"),
        ([], [], "names no field"),
        ([], "a..b", "names with dots between them"),
        ([], "a.0", "names with dots between them"),
        ([], "a.$[].b", "names with dots between them"),
        ([], [1], "must be a name"),
        ([{"a": "x" * 17_000_000}], "_id", "MongoDB stores at most"),
    ],
)
def test_what_cannot_be_inserted_is_refused_at_once(documents: Any, key: Any, text: str) -> None:
    assert text in refusal("c", documents, key=key).message


def test_documents_of_different_keys_are_none_of_these() -> None:
    without: list[dict[str, Any]] = [{}, {}, {"_id": None}]
    InsertDocuments("c", without)
    InsertDocuments("c", [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1}], key=["a", "b"])
    InsertDocuments("c", [])


def test_an_id_is_the_same_each_time_and_another_one_everywhere() -> None:
    step = InsertDocuments("c", DOCUMENTS).step("0001", "0001_x.py")
    first, again = list(step.with_ids("ours")), list(step.with_ids("ours"))
    assert first == again
    assert [decode(d)["_id"] for d in first[:2]] == [1, 2]
    assert decode(first[2]) == {"_id": made_id("ours", "0001", 0, 2), "name": "c"}
    places = [("ours", "0001", 0, 2), ("other", "0001", 0, 2), ("ours", "0002", 0, 2), ("ours", "0001", 1, 2)]
    assert len({made_id(*place) for place in places}) == 4
    assert isinstance(made_id("ours", "0001", 0, 2), ObjectId)


def test_a_key_is_the_servers_equality() -> None:
    assert key_of({"a": 2}, ["a"]) == key_of({"a": Decimal128("2.0")}, ["a"])
    assert key_of({}, ["a"]) == key_of({"a": None}, ["a"])
    assert key_of({"a": "2"}, ["a"]) != key_of({"a": 2}, ["a"])
    assert key_of({"a": {"b": 1}}, ["a.b", "c"]) == key_of({"a": {"b": 1.0}, "c": None}, ["a.b", "c"])


def test_a_document_is_found_by_each_element_of_an_array() -> None:
    there: dict[bytes, dict[str, Any]] = {b"1": {"a": [1, 2], "b": "x"}, b"2": {"b": "y"}}
    known = by_key(there, ["a", "b"])
    assert known[key_of({"a": 2, "b": "x"}, ["a", "b"])] == b"1"
    assert known[key_of({"a": None, "b": "y"}, ["a", "b"])] == b"2"
    assert key_of({"a": 3, "b": "x"}, ["a", "b"]) not in known
    assert list(keys_found({}, ["a"])) == [key_of({}, ["a"])]


def test_the_filter_names_each_value_once() -> None:
    documents: list[dict[str, Any]] = [{"a": 1, "b": 1}, {"a": 1.0, "b": 2}, {"b": 3}]
    assert with_keys(documents, ["a", "b"]) == {
        "$and": [{"a": {"$in": [1, None]}}, {"b": {"$in": [1, 2, 3]}}]
    }
