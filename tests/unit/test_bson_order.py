"""BSON's total order. The tables are what mongod 6.0.27 answered to `sort` over these very values."""

import re
import uuid
from datetime import UTC, datetime
from itertools import combinations, pairwise
from typing import Any

import pytest
from bson import DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, encode
from bson.binary import Binary
from bson.code import Code
from bson.dbref import DBRef
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.backends.bson_order import id_key, sort_key

IDS: list[Any] = [
    MinKey(),
    None,
    Decimal128("NaN"),
    float("-inf"),
    Decimal128("-1E+400"),
    -1,
    -0.5,
    0,
    Decimal128("1E-400"),
    5e-324,
    Decimal128("0.1"),
    0.1,
    1,
    Decimal128("1.25"),
    1.5,
    2.0,
    Int64(3),
    float(2**53),
    Int64(2**53 + 1),
    Int64(2**63 - 1),
    float(2**63),
    1e308,
    Decimal128("1E+400"),
    Decimal128("Infinity"),
    "",
    "10",
    "9",
    "A",
    "a",
    "a\x00",
    "a\x00b",
    "ab",
    "z",
    "é",
    "\uffff",
    "\U0001f600",
    {},
    {"a": MinKey()},
    {"a": None},
    {"b": None},
    {"a": 1},
    {"a": 1, "b": 1},
    {"a": 1.5, "c": 0},
    {"a": 2},
    {"aa": 1},
    {"b": 0},
    {"b": 0.5},
    {"b": 1},
    DBRef("a", 1),
    DBRef("a", 2),
    DBRef("b", 1),
    {"a": "x"},
    {"a": {"b": 1}},
    {"a": {"b": "x"}},
    {"a": []},
    {"a": [1]},
    {"b": [0]},
    {"n": []},
    {"n": [None]},
    {"n": [1]},
    {"n": [1, 2]},
    {"n": [2]},
    {"n": ["a"]},
    {"n": [{}]},
    {"n": [[]]},
    {"n": [[1]]},
    {"a": True},
    {"n": Regex("a")},
    {"n": Regex("a", "i")},
    {"n": Regex("b")},
    {"a": MaxKey()},
    b"",
    Binary(b"", 3),
    Binary(b"", 128),
    Binary(b"0", 0),
    b"a",
    b"b",
    Binary(b"\xff", 0),
    Binary(b"a", 5),
    Binary(b"a", 128),
    b"aa",
    Binary(b"aa", 4),
    Binary(b"a", 2),
    Binary(b"abcdef", 0),
    Binary(b"abcdefghi", 0),
    Binary(b"abcde", 2),
    Binary(b"abcdefghij", 0),
    Binary.from_uuid(uuid.UUID(int=7)),
    ObjectId("000000000000000000000000"),
    ObjectId("5f0000000000000000000000"),
    ObjectId("ffffffffffffffffffffffff"),
    False,
    True,
    DatetimeMS(-(2**60)),
    datetime(1960, 1, 1),
    datetime(1970, 1, 1),
    datetime(2024, 1, 1, 0, 0, 0, 1000),
    datetime(9999, 12, 31),
    DatetimeMS(2**60),
    Timestamp(0, 5),
    Timestamp(1, 1),
    Timestamp(1, 2),
    Timestamp(2**32 - 1, 0),
    Code(""),
    Code("a"),
    Code("b"),
    Code("a", {}),
    Code("a", {"x": 1}),
    MaxKey(),
]
"""In the order of a server's `_id` index."""

FIELDS: list[Any] = [
    {"b": [0]},
    {"a": True},
    {"a": MaxKey()},
    [],
    [None],
    [1],
    [1, 2],
    [2],
    ["a"],
    [{}],
    [[]],
    [[1]],
    b"",
    Timestamp(2**32 - 1, 0),
    Regex("a"),
    Regex("a", "i"),
    Regex("b"),
    Code(""),
]
"""What an `_id` cannot be, in the server's order, between its neighbours."""


@pytest.mark.parametrize("values", [IDS, FIELDS], ids=["ids", "fields"])
def test_values_are_in_the_servers_order(values: list[Any]) -> None:
    for smaller, greater in pairwise(values):
        assert sort_key(smaller) < sort_key(greater), (smaller, greater)


def test_every_two_ids_of_the_table_compare_and_differ() -> None:
    for smaller, greater in combinations(IDS, 2):
        assert sort_key(smaller) < sort_key(greater)
        assert sort_key(smaller) != sort_key(greater)


def test_a_raw_id_has_the_key_of_its_value() -> None:
    for value in IDS:
        assert id_key(encode({"_id": value})) == sort_key(value), value


@pytest.mark.parametrize(
    "equals",
    [
        [1, 1.0, Int64(1), Decimal128("1"), Decimal128("1.00")],
        [0, -0.0, Decimal128("-0"), Decimal128("0E+3")],
        [float("nan"), Decimal128("NaN"), Decimal128("-NaN")],
        [float("inf"), Decimal128("Infinity")],
        [b"x", Binary(b"x", 0)],
        [uuid.UUID(int=7), Binary.from_uuid(uuid.UUID(int=7))],
        [datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), DatetimeMS(datetime(2024, 1, 1))],
        [re.compile("a", re.IGNORECASE), Regex("a", "iu")],
        [[1, 2], (1, 2), [1.0, Int64(2)]],
        [{"a": 1}, {"a": Decimal128("1")}],
        [DBRef("a", 1), {"$ref": "a", "$id": 1}],
    ],
    ids=repr,
)
def test_values_that_the_server_calls_equal_have_equal_keys_and_hashes(equals: list[Any]) -> None:
    assert len({sort_key(value) for value in equals}) == 1


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), ("1", 1), (None, False), (0.1, Decimal128("0.1"))]
)
def test_values_that_only_python_calls_equal_differ(one: object, other: object) -> None:
    assert sort_key(one) != sort_key(other)


def test_documents_with_other_key_orders_differ() -> None:
    assert sort_key({"a": 1, "b": 2}) != sort_key({"b": 2, "a": 1})


def test_what_is_no_bson_value_is_refused() -> None:
    with pytest.raises(TypeError, match="set is no BSON value"):
        sort_key({1, 2})


@pytest.mark.parametrize(
    ("kind", "value", "before", "after"),
    [
        (b"\x06", b"", MinKey(), None),  # undefined
        (b"\x0c", b"\x02\x00\x00\x00a\x00" + bytes(12), Regex("z"), Code("")),  # DBPointer
        (b"\x02", b"\x02\x00\x00\x00\xff\x00", "\U0001f600", {}),  # a string that is not UTF-8
    ],
)
def test_ids_that_python_cannot_hold_have_their_place(
    kind: bytes, value: bytes, before: Any, after: Any
) -> None:
    body = kind + b"_id\0" + value + b"\0"
    raw_id = (len(body) + 4).to_bytes(4, "little") + body
    assert sort_key(before) < id_key(raw_id) < sort_key(after)


numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.decimals(allow_nan=False, places=4, min_value=-(10**12), max_value=10**12).map(Decimal128),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.text(max_size=4),
    st.binary(max_size=4),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    st.builds(Timestamp, st.integers(0, 9), st.integers(0, 9)),
    st.sampled_from([MinKey(), MaxKey(), Regex("a"), Regex("a", "i"), Code("a"), Code("a", {"b": 1})]),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(values, values, values)
def test_the_order_is_total(a: Any, b: Any, c: Any) -> None:
    one, two, three = sort_key(a), sort_key(b), sort_key(c)
    assert (one < two) + (two < one) + (one == two) == 1
    if one <= two <= three:
        assert one <= three


@given(values)
def test_equal_keys_have_equal_hashes_whatever_way_they_were_made(value: Any) -> None:
    if not isinstance(value, list | Regex):
        key = id_key(encode({"_id": value}))
        expected = sort_key(value)
        if not isinstance(value, datetime | dict):  # dates lose their microseconds on the way
            assert key == expected
            assert hash(key) == hash(expected)


@given(numbers, numbers)
def test_numbers_of_all_types_compare_by_their_exact_value(a: Any, b: Any) -> None:
    one, other = (n.to_decimal() if isinstance(n, Decimal128) else n for n in (a, b))
    if one == one and other == other:  # noqa: PLR0124  (neither is NaN)
        assert (sort_key(a) < sort_key(b)) == (one < other)
        assert (sort_key(a) == sort_key(b)) == (one == other)
