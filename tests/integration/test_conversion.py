"""A value converts as by the server's own `$convert`, unless it would lose something."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from bson import Binary, Code, DatetimeMS, Decimal128, Int64, MinKey, ObjectId, Regex, Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection

from goaime_migrate.backends import raw_bson
from goaime_migrate.transform.conversion import TARGETS, Unconvertible, convert
from tests.servers import Server

VALUES: list[Any] = [
    True,
    False,
    0,
    1,
    -1,
    2,
    2**31 - 1,
    Int64(0),
    Int64(5),
    Int64(2**53),
    Int64(2**53 + 1),
    Int64(-(2**63)),
    Int64(2**31),
    Int64(1700000000123),
    0.0,
    -0.0,
    1.0,
    1.5,
    -2.5,
    0.1,
    0.1 + 0.2,
    1e20,
    1e300,
    1e-7,
    123456.789,
    2**31 * 1.0,
    9007199254740993.0,
    1e15,
    1e16,
    1e17,
    123456789012345680.0,
    math.inf,
    -math.inf,
    math.nan,
    5e-324,
    1 / 3,
    100.0,
    1234567.0,
    *map(
        Decimal128,
        [
            "0",
            "1",
            "1.0",
            "1.50",
            "-2.5",
            "1E+3",
            "1E-7",
            "0.000001",
            "1E400",
            "NaN",
            "Infinity",
            "-Infinity",
            "9007199254740993",
            "0.1",
            "1234567890123456789012345678901234",
            "-0",
            "1.234E+10",
            "12E2",
            "0E+3",
            "0.00",
            "1E+33",
            "1E+34",
            "1E-6176",
        ],
    ),
    "",
    "1",
    "+1",
    "-1",
    "007",
    " 1",
    "1 ",
    "1.5",
    "1.0",
    "1e3",
    "1E+3",
    "0x10",
    "1_000",
    "inf",
    "Infinity",
    "NaN",
    "nan",
    "-inf",
    "1e400",
    "9007199254740993",
    "0.1234567890123456789",
    "true",
    "false",
    "True",
    "yes",
    "2147483648",
    "9223372036854775808",
    "1e-400",
    ".5",
    "5.",
    "-.5",
    "1e",
    "--1",
    "NAN",
    "INFINITY",
    "+inf",
    "infinit",
    "1e99999",
    "1e-99999",
    "1e9999999",
    "1" * 35,
    "0." + "1" * 40,
    "2020-01-02",
    "2020-01-02T03:04:05Z",
    "2020-01-02T03:04:05.123Z",
    "2020-01-02T03:04:05.123456Z",
    "2020-01-02T03:04:05+02:00",
    "2020-01-02T03:04:05-0530",
    "2020-01-02T03:04:05+02",
    "2020-01-02T03:04Z",
    "2020-01-02T03:04:05",
    "2020-01-02 03:04:05Z",
    "2020-13-01",
    "2020-02-30",
    "20200102",
    "2020-01-02T24:00:00Z",
    "2020-01-02T03:04:60Z",
    "0001-01-01",
    "9999-12-31T23:59:59.999Z",
    "1969-12-31T23:59:59.9Z",
    "2020-1-2",
    "2020-01-02T03:04:05.1Z",
    "2020-01-02T03:04:05.120000Z",
    "507f1f77bcf86cd799439011",
    "507F1F77BCF86CD799439011",
    "507f1f77bcf86cd79943901",
    "zzzz1f77bcf86cd799439011",
    datetime(2020, 1, 2, 3, 4, 5, 678000),
    datetime(1, 1, 1),
    datetime(9999, 12, 31, 23, 59, 59, 999000),
    datetime(1969, 12, 31, 23, 59, 59, 1000),
    ObjectId("507f1f77bcf86cd799439011"),
    Timestamp(1577934245, 7),
    Binary(b"x"),
    [],
    {},
    Regex("a"),
    Code("x"),
    MinKey(),
]

LOST = {
    "int": ["it has a fraction"],
    "long": ["it has a fraction"],
    "double": ["it has more digits than a double holds", "it is out of the range of double"],
    "decimal": ["it has more than the 15 digits", "it has more digits than a decimal holds"],
    "bool": ["only 'true' and 'false' do", "no "],
    "date": [
        "it has a fraction",
        "it is no ISO 8601 date",
        "it is finer than milliseconds",
        "there is no offset of",
    ],
    "string": [],
    "objectId": [],
}
"""What the server does without a word, and is refused."""
FAILED = "failed"


@pytest.mark.since("6.0")
@pytest.mark.parametrize("to", TARGETS)
def test_a_value_converts_as_on_the_server_unless_it_would_lose_something(
    to: str, replica_set: Server, database_name: str
) -> None:
    compare(VALUES, to, replica_set.client[database_name].c)


SIGNS, SIXTY = st.sampled_from("+-"), st.integers(0, 59) | st.sampled_from([60, 99])
SECONDS = st.sampled_from(["", ":59", ":60", ":00.1", ":05.999", ":00.000000", ":30.0004"])
OFFSETS = st.one_of(
    st.just("Z"),
    st.builds("{}{:02}{}{:02}".format, SIGNS, st.integers(0, 30), st.sampled_from(["", ":"]), SIXTY),
    st.builds("{}{:02}".format, SIGNS, st.integers(0, 99)),
)
DAYS = st.builds(
    "{:04}-{:02}-{:02}".format,
    st.sampled_from([0, 1, 4, 100, 399, 400, 1582, 1900, 1969, 1970, 2000, 2020, 9999])
    | st.integers(0, 9999),
    st.sampled_from([1, 2, 12]) | st.integers(0, 13),
    st.sampled_from([1, 28, 29, 30, 31]) | st.integers(0, 32),
)
CLOCKS = st.builds("{:02}:{:02}".format, st.integers(0, 24), SIXTY)
TIMES = st.builds("{}T{}{}{}".format, DAYS, CLOCKS, SECONDS, OFFSETS)
OBJECT_IDS = st.binary(min_size=12, max_size=12).map(ObjectId)
TIMESTAMPS = st.builds(Timestamp, st.integers(0, 2**32 - 1), st.just(1))
DATES = st.builds(DatetimeMS, st.integers(-62_167_219_200_000, 253_402_300_799_999))
"""Those that have a text: at others the server stops, whatever `onError` says."""
FEW = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.since("6.0")
@FEW
@given(values=st.lists(DAYS | TIMES | OBJECT_IDS | TIMESTAMPS, min_size=40, max_size=80))
def test_any_date_is_that_of_the_server(values: list[Any], replica_set: Server, database_name: str) -> None:
    compare(values, "date", replica_set.client[database_name].c)


@FEW
@given(dates=st.lists(DATES, min_size=40, max_size=80))
def test_any_date_is_written_as_by_the_server(
    dates: list[DatetimeMS], replica_set: Server, database_name: str
) -> None:
    compare(dates, "string", replica_set.client[database_name].c)


def compare(values: list[Any], to: str, collection: Collection[Any]) -> None:
    """What comes of values here and on the server is the same, but for what would be lost."""
    collection.drop()
    collection.insert_many([{"_id": i, "v": value} for i, value in enumerate(values)])
    expression = {"$convert": {"input": "$v", "to": to, "onError": {FAILED: 1}}}
    results = raw_bson.split_all(collection.aggregate_raw_batches([{"$project": {"v": expression}}]))
    server = {raw_bson.decode(raw)["_id"]: raw_bson.fields(raw)[b"v"] for raw in results}
    refused = raw_bson.fields(raw_bson.encode({"v": {FAILED: 1}}))[b"v"]
    for i, value in enumerate(values):
        found, reason = converted(value, to)
        if reason is None:
            assert found == server[i] or (to, value) == ("bool", "false"), value
        else:
            assert server[i] == refused or reason.startswith(tuple(LOST[to])), (value, reason)


def converted(value: Any, to: str) -> tuple[bytes, str | None]:
    """What comes of a value, or why nothing does."""
    try:
        return raw_bson.fields(raw_bson.encode({"v": convert(value, to)}))[b"v"], None
    except Unconvertible as error:
        return b"", str(error)
