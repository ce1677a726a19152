"""Under which keys an index has a document."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64, encode

from goaime_migrate.backends.bson_order import NULL, UNDEFINED, Key, sort_key
from goaime_migrate.backends.index_keys import index_keys, indexed_values
from tests.unit.values import NOT_UTF8, document, element

NOTHING = "nothing"


def key(value: Any) -> Key:
    if value is NOTHING:
        return NULL
    return UNDEFINED if value == "undefined" else sort_key(value)


@pytest.mark.parametrize(
    ("fields", "path", "expected"),
    [
        ({"a": 2}, "a", [2.0]),
        ({"a": Int64(2)}, "a", [2]),
        ({}, "a", [None]),
        ({"a": None}, "a", [NOTHING]),
        ({"a": [1, 2, 1]}, "a", [1, 2]),
        ({"a": []}, "a", ["undefined"]),
        ({"a": [[1, 2], 3]}, "a", [[1, 2], 3]),
        ({"a": {"b": 1}}, "a", [{"b": 1}]),
        ({"a": {"b": 1}}, "a.b", [1]),
        ({"a": [{"b": 1}, {"b": [2, 3]}, {}, 5]}, "a.b", [1, 2, 3, NOTHING]),
        ({"a": [{"b": []}]}, "a.b", ["undefined"]),
        ({"a": []}, "a.b", [NOTHING]),
        ({"a": 5}, "a.b", [NOTHING]),
        ({"a": [[{"b": 1}]]}, "a.b", [NOTHING]),
        ({"a": [{"b": 1}, {"b": 2}]}, "a.1.b", [2]),
        ({"a": [[3, 4], 5]}, "a.0", [3, 4]),
        ({"a": [5]}, "a.1", [NOTHING]),
        ({"a": {"1": 6}}, "a.1", [6]),
    ],
)
def test_one_path(fields: dict[str, Any], path: str, expected: list[Any]) -> None:
    assert index_keys(encode({"_id": 1, **fields}), [path]) == {(key(value),) for value in expected}


def test_paths_into_the_same_array_go_through_it_together() -> None:
    raw = encode({"_id": 1, "a": [{"b": 1, "c": 2}, {"b": 3}], "d": 4})
    assert index_keys(raw, ["a.b", "d", "a.c"]) == {
        (key(1), key(4), key(2)),
        (key(3), key(4), NULL),
    }


def test_arrays_beside_each_other_are_there_in_every_combination() -> None:
    raw = encode({"_id": 1, "a": [1, 2], "b": [3, 4]})
    assert len(index_keys(raw, ["a", "b"])) == 4


def test_text_that_is_not_utf8_equals_only_itself() -> None:
    one, other = NOT_UTF8, NOT_UTF8.replace(b"\xff", b"\xfe")
    assert one != other
    name = one[1 : one.index(0, 1)].decode()
    keys = [index_keys(document(element("_id", 1), each), [name]) for each in (one, other)]
    assert keys[0].isdisjoint(keys[1])


def test_the_values_are_such_as_a_query_finds() -> None:
    assert list(indexed_values(encode({"a": [1, [], {"b": 2}]}), "a")) == [1, [], {"b": 2}]
    assert list(indexed_values(encode({"a": []}), "a")) == [[]]
    assert list(indexed_values(encode({}), "a.b")) == [None]
