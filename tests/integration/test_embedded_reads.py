"""A dump as a database: what is read from it, and how filters match."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId, decode, encode

from goaime_migrate.backends.embedded import EmbeddedBackend
from goaime_migrate.errors import (
    MissingCapability,
    UsageError,
)
from tests.integration.dumps import raw_id, reading

# Reading --------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    """Ids of several types, in no order."""
    (tmp_path / "db").mkdir()
    ids = [ObjectId(b"x" * 12), 10, None, 2.5, "b", Int64(3), "a", {"a": 1}, True, datetime(2024, 1, 1)]
    documents = [{"_id": each, "n": n, "even": n % 2 == 0} for n, each in enumerate(ids)]
    (tmp_path / "db" / "mixed.bson").write_bytes(b"".join(map(encode, documents)))
    with reading(tmp_path) as backend:
        yield backend


def test_documents_come_in_the_total_order_of_ids_and_in_ranges(mixed: EmbeddedBackend) -> None:
    def ids(**options: Any) -> list[Any]:
        return [decode(d)["_id"] for d in mixed.documents("mixed", **options)]

    everything = [None, 2.5, 3, 10, "a", "b", {"a": 1}, ObjectId(b"x" * 12), True, datetime(2024, 1, 1)]
    assert ids() == everything
    assert ids(after=raw_id(3.0), limit=2) == [10, "a"]
    assert ids(after=raw_id(5), upto=raw_id("aa")) == [10, "a"]
    assert ids(where={"even": True}, upto=raw_id("b")) == [None, "a", "b"]
    assert ids(max_bytes=40) == [None, 2.5]
    assert mixed.last_id("mixed") == raw_id(datetime(2024, 1, 1))
    assert mixed.last_id("nothing") is None
    assert mixed.documents("mixed", fields=["n"], limit=1) == [encode({"_id": None, "n": 2})]


def test_documents_by_id_are_found_whatever_number_type_asks(mixed: EmbeddedBackend) -> None:
    found = mixed.by_ids("mixed", [raw_id(3), raw_id("zz"), raw_id(Decimal128("2.5")), raw_id(3)])
    assert [decode(d)["_id"] for d in found] == [3, 2.5]
    assert mixed.by_ids("mixed", [raw_id(3)], where={"n": 99}) == []


def test_samples_are_spread_and_always_the_same(mixed: EmbeddedBackend) -> None:
    assert len(mixed.sample("mixed", 100)) == 10
    assert [decode(d)["_id"] for d in mixed.sample("mixed", 3)] == [None, 10, {"a": 1}]
    assert mixed.sample("mixed", 3) == mixed.sample("mixed", 3)
    assert len(mixed.sample("mixed", 3, where={"even": True})) == 3
    assert len(mixed.sample("mixed", 100, where={"even": True})) == 5
    assert mixed.sample("nothing", 3, where={"even": True}) == []


def test_counts(mixed: EmbeddedBackend) -> None:
    assert mixed.count("mixed", {"even": True}) == 5
    assert mixed.count("mixed", limit=3) == mixed.count("mixed", {"even": False}, limit=3) == 3


@pytest.mark.parametrize(
    ("key", "values", "ids"),
    [
        ("name", ["b", "nobody"], [1, 5]),
        ("name", [None], [2]),
        ("name", [1], [6]),
        ("name", [True], [4]),
        ("age", [1], [3, 5]),
        ("age", [Decimal128("2"), 3.0], [1, 2]),
        ("tags", ["v"], [1]),
        ("key", [{"a": 1, "b": [2]}], [3]),
        ("key", [{"b": [2], "a": 1}], []),
        ("address.city", ["x"], [5]),
        ("rows.k", [2], [2]),
        ("_id", [Int64(4), {1, 2}], [4]),
        ("missing", [None], []),
    ],
)
def test_lookups_use_the_servers_equality(
    people: EmbeddedBackend, key: str, values: list[Any], ids: list[int]
) -> None:
    assert [d["_id"] for d in people.lookup("people", key, values, None)] == ids
    assert [d["_id"] for d in people.lookup("people", key, values, [])] == ids


def test_lookups_give_the_fields_that_were_asked_for(people: EmbeddedBackend) -> None:
    assert people.lookup("people", "name", ["b"], ["address.zip", "tags"]) == [
        {"_id": 1, "name": "b", "tags": ["u", "v"]},
        {"_id": 5, "name": "b", "address": {"zip": 1}},
    ]


# Tried on mongod 6.0.27 as well.
@pytest.mark.parametrize(
    ("filter", "ids"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"_id": 3}, [3]),
        ({"_id": {"$gt": 2, "$lte": 4}}, [3, 4]),
        ({"name": 1}, [6]),
        ({"name": None}, [2, 3]),
        ({"name": {"$ne": "b"}}, [2, 3, 4, 6]),
        ({"name": {"$in": ["b", True]}}, [1, 4, 5]),
        ({"name": {"$nin": ["b", None]}}, [4, 6]),
        ({"name": {"$exists": False}}, [3]),
        ({"age": {"$lt": 3}}, [1, 3, 5]),
        ({"age": {"$gte": "0"}}, [4]),
        ({"at": {"$gt": datetime(2023, 1, 1)}}, [4]),
        ({"tags": "u"}, [1]),
        ({"tags": ["u", "v"]}, [1]),
        ({"address.city": "x"}, [5]),
        ({"rows.k": {"$gt": 1}}, [2]),
        ({"rows.0.k": 1}, [2]),
        ({"nested.0": 1}, []),
        ({"nested.0": [1]}, [6]),
        ({"rows": []}, [4]),
        ({"$or": [{"_id": 1}, {"name": 1}]}, [1, 6]),
        ({"$nor": [{"_id": 1}, {"name": {"$exists": True}}]}, [3]),
        ({"$and": [{"age": 1}, {"name": "b"}]}, [5]),
        ({"name": {"$regex": "^B", "$options": "i"}}, [1, 5]),
        ({"tags": {"$size": 2}}, [1]),
        ({"rows": {"$elemMatch": {"k": 2}}}, [2]),
        ({"$expr": {"$eq": ["$_id", 1]}}, [1]),
    ],
)
def test_filters_match_what_a_server_matches(
    people: EmbeddedBackend, filter: dict[str, Any], ids: list[int]
) -> None:
    assert [d["_id"] for d in people.find("people", filter)] == ids
    assert [decode(d)["_id"] for d in people.documents("people", where=filter)] == ids


@pytest.mark.parametrize(
    ("filter", "error"),
    [
        ({"$where": "1"}, MissingCapability),
        (
            {"$expr": {"$ne": ["$name", "b"]}},
            MissingCapability,
        ),  # one has no name, which mongomock cannot compare
        ({"a": {"$near": 1}}, MissingCapability),
        ({"a": {"$nonsense": 1}}, UsageError),
        ({"$nonsense": 1}, UsageError),
        ({"a": {1, 2}}, UsageError),
    ],
)
def test_filters_that_cannot_be_evaluated_are_refused(
    people: EmbeddedBackend, filter: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        people.find("people", filter)


def test_records_are_sorted_limited_and_projected(people: EmbeddedBackend) -> None:
    found = people.find("people", {}, sort=[("name", -1), ("_id", 1)], limit=3, fields=["age"])
    assert [d["_id"] for d in found] == [4, 1, 5]
    assert list(found[0]) == ["_id", "age"]
