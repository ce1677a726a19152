"""Conversions of single values: what comes out, and why something does not convert."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bson import Code, DatetimeMS, Decimal128, Int64, ObjectId, Timestamp

from goaime_migrate.transform.conversion import TARGETS, Unconvertible, convert

OID = ObjectId("507f1f77bcf86cd799439011")
NEW_YEAR = datetime(2020, 1, 1)
YEAR_0, YEAR_10000 = -62_167_219_200_000, 253_402_300_800_000
"""Milliseconds from 1970 to the beginning of the first year that a server writes, and of the first that it does not."""


@pytest.mark.parametrize("to", TARGETS)
def test_null_stays(to: str) -> None:
    assert convert(None, to) is None


@pytest.mark.parametrize(
    ("value", "to"),
    [
        (True, "bool"),
        (5, "int"),
        (Int64(5), "long"),
        (2**40, "long"),
        (0.5, "double"),
        (Decimal128("1.50"), "decimal"),
        ("x", "string"),
        (OID, "objectId"),
        (NEW_YEAR, "date"),
        (DatetimeMS(2**60), "date"),
    ],
)
def test_what_is_of_the_type_stays(value: Any, to: str) -> None:
    assert convert(value, to) is value


@pytest.mark.parametrize(
    ("value", "to", "expected"),
    [
        ("12", "int", 12),
        ("12", "long", Int64(12)),
        (12, "long", Int64(12)),
        (Int64(12), "int", 12),
        (12.0, "int", 12),
        (Decimal128("1E+3"), "int", 1000),
        (True, "double", 1.0),
        ("1.50", "decimal", Decimal128("1.50")),
        (Decimal128("0.1"), "double", 0.1),
        ("true", "bool", True),
        ("false", "bool", False),
        (0, "bool", False),
        (0.5, "bool", True),
        (1.0, "string", "1"),
        (0.1 + 0.2, "string", "0.30000000000000004"),
        (False, "string", "false"),
        (OID, "string", str(OID)),
        (str(OID), "objectId", OID),
        (NEW_YEAR, "string", "2020-01-01T00:00:00.000Z"),
        (NEW_YEAR, "long", Int64(1577836800000)),
        ("2020-01-01", "date", NEW_YEAR),
        ("2020-01-01T00:00:00Z", "date", NEW_YEAR),
        ("2020-01-01T00:00Z", "date", NEW_YEAR),
        ("2020-01-01T02:30:00+02:30", "date", NEW_YEAR),
        ("2019-12-31T19:00:00.000-0500", "date", NEW_YEAR),
        ("2020-01-01T00:00:00.12Z", "date", NEW_YEAR + timedelta(milliseconds=120)),
        ("2020-01-01T00:00:00.123000+00", "date", NEW_YEAR + timedelta(milliseconds=123)),
        (Int64(1577836800000), "date", NEW_YEAR),
        (Int64(-1), "date", datetime(1969, 12, 31, 23, 59, 59, 999000)),
        (Int64(2**60), "date", DatetimeMS(2**60)),
        (Timestamp(1577836800, 5), "date", NEW_YEAR),
        ("0000-01-01", "date", DatetimeMS(YEAR_0)),
        ("0001-01-01T00:00:00+01:00", "date", DatetimeMS(-62135600400000)),
        ("9999-12-31T23:59:59-01:00", "date", DatetimeMS(YEAR_10000 + 3599000)),
        ("2020-01-01T23:59:00+23:59", "date", NEW_YEAR),
        (DatetimeMS(YEAR_0), "string", "0000-01-01T00:00:00.000Z"),
        (datetime(1, 1, 1), "string", "0001-01-01T00:00:00.000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999000), "string", "9999-12-31T23:59:59.999Z"),
        (ObjectId("80000000" + 16 * "0"), "date", datetime(1901, 12, 13, 20, 45, 52)),
        (datetime(2020, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "long", Int64(1577836800000)),
        (datetime(2020, 1, 1, tzinfo=UTC), "string", "2020-01-01T00:00:00.000Z"),
    ],
)
def test_a_value_converts(value: Any, to: str, expected: Any) -> None:
    found = convert(value, to)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "to", "reason"),
    [
        (1.5, "int", "it has a fraction"),
        (Decimal128("0.1"), "long", "it has a fraction"),
        ("1.5", "int", "it is no whole decimal number"),
        (" 1", "int", "it is no whole decimal number"),
        (2**31, "int", "it is out of the range of int"),
        ("9" * 30, "long", "it is out of the range of long"),
        (float("nan"), "int", "it is not finite"),
        (Int64(2**53 + 1), "double", "it has more digits than a double holds"),
        (Decimal128("1E400"), "double", "it is out of the range of double"),
        (1 / 3, "decimal", "it has more than the 15 digits"),
        ("1" * 35, "decimal", "it has more digits than a decimal holds"),
        ("1_000", "decimal", "it is no decimal number"),
        ("yes", "bool", "only 'true' and 'false' do"),
        ("True", "bool", "only 'true' and 'false' do"),
        (OID, "bool", "no objectId converts to bool"),
        ("507f", "objectId", "it is not 24 hexadecimal digits"),
        (5, "objectId", "no int converts to objectId"),
        (5, "date", "no int converts to date"),
        (0.5, "date", "it has a fraction"),
        (NEW_YEAR, "int", "no date converts to int"),
        (DatetimeMS(2**60), "string", "its year is not one of 0 to 9999"),
        (DatetimeMS(YEAR_0 - 1), "string", "its year is not one of 0 to 9999"),
        (DatetimeMS(YEAR_10000), "string", "its year is not one of 0 to 9999"),
        ("2020-01-01T00:00:00", "date", "it is no ISO 8601 date with Z"),
        ("2020-01-01 00:00:00Z", "date", "it is no ISO 8601 date with Z"),
        ("01.02.2020", "date", "it is no ISO 8601 date with Z"),
        ("2020-02-30", "date", "there is no such date"),
        ("2020-01-01T00:00:00.0001Z", "date", "it is finer than milliseconds"),
        ("0000-02-30", "date", "there is no such date"),
        ("2020-01-01T24:00:00Z", "date", "there is no such date"),
        ("2020-01-01T00:00:00+99:99", "date", "there is no offset of 99:99"),
        ("2020-01-01T00:00:00+23:60", "date", "there is no offset of 23:60"),
        ("2020-01-01T00:00:00-2400", "date", "there is no offset of 24:00"),
        ("2020-01-01T00:00:00+99", "date", "there is no offset of 99:00"),
        ([], "string", "no array converts to string"),
        ({}, "int", "no document converts to int"),
        (b"x", "string", "no bytes converts to string"),
        (Code("x"), "string", "no Code converts to string"),
    ],
)
def test_what_has_no_counterpart_or_would_lose_something_does_not(value: Any, to: str, reason: str) -> None:
    with pytest.raises(Unconvertible, match=reason):
        convert(value, to)
