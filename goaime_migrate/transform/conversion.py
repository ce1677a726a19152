"""Values converted from one BSON type to another as `$convert` does, unless something would be lost."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from bson import Decimal128, Int64, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS

from goaime_migrate.backends import raw_bson


class Unconvertible(ValueError):
    """A value that has no counterpart of the other type, or none that says as much; the message is why."""


_INT = (-(2**31), 2**31 - 1)
_LONG = (-(2**63), 2**63 - 1)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (the driver's dates are naive, and UTC)
_MILLISECOND, _MINUTE_MS = timedelta(milliseconds=1), 60_000
_ERA = 400
"""Years after which the calendar repeats,"""
_ERA_MS = 146_097 * 24 * 60 * _MINUTE_MS
"""and how long they are. A server's years begin with 0, Python's with 1: dates are reckoned in the era of 2000."""
_YEAR, _YEAR_MS = 2000, (datetime(2000, 1, 1) - _EPOCH) // _MILLISECOND  # noqa: DTZ001
_SECONDS = struct.Struct(">i")
"""The time of an ObjectId, as a server reads it: signed."""
_WHOLE = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_DECIMAL = re.compile(
    r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,5})?|inf|infinity|nan)", re.ASCII | re.IGNORECASE
)
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_DATE = re.compile(
    r"(?P<year>\d{4})(?P<day>-\d\d-\d\d)"
    r"(?:T(?P<time>\d\d:\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?"
    r"(?:Z|(?P<sign>[+-])(?P<hours>\d\d)(?::?(?P<minutes>\d\d))?))?",
    re.ASCII,
)
_TYPES: dict[type, str] = {
    bool: "bool",
    Int64: "long",
    float: "double",
    Decimal128: "decimal",
    str: "string",
    ObjectId: "objectId",
    datetime: "date",
    DatetimeMS: "date",
    Timestamp: "timestamp",
    dict: "document",
    list: "array",
}


def convert(value: Any, to: str) -> Any:
    """The value as one of the type `to`; null, and what is of that type, as it is. Raises Unconvertible."""
    if value is None or (kind := type_of(value)) == to:
        return value
    stored = raw_bson.decode(raw_bson.encode({"": value}))[""]  # as the driver reads it, whoever has made it
    return TARGETS[to](stored, kind)


def type_of(value: Any) -> str:
    """The name of a value's BSON type, as far as it converts to another; else that of its class."""
    if type(value) is int:
        return "int" if _INT[0] <= value <= _INT[1] else "long"
    return _TYPES.get(type(value), type(value).__name__)


def _no(kind: str, to: str) -> Unconvertible:
    return Unconvertible(f"no {kind} converts to {to}")


def _number(value: Any, kind: str, to: str) -> Decimal:
    """The exact number that a value is; `date`s are milliseconds. A double may be infinite or NaN."""
    if kind in ("bool", "int", "long", "double"):
        return Decimal(value)
    if kind == "decimal":
        return Decimal(value.to_decimal())
    if kind == "date":
        return Decimal(_milliseconds(value))
    if kind != "string":
        raise _no(kind, to)
    if not _DECIMAL.fullmatch(value):
        raise Unconvertible("it is no decimal number")
    return Decimal(value)


def _integer(value: Any, kind: str, to: str, bounds: tuple[int, int]) -> int:
    if kind == "string" and not _WHOLE.fullmatch(value):
        raise Unconvertible("it is no whole decimal number")
    number = _number(value, kind, to)
    if not number.is_finite():
        raise Unconvertible("it is not finite")
    if not bounds[0] <= number <= bounds[1]:
        raise Unconvertible(f"it is out of the range of {to}")
    if number != int(number):
        raise Unconvertible("it has a fraction")
    return int(number)


def _int(value: Any, kind: str) -> int:
    if kind == "date":
        raise _no(kind, "int")
    return _integer(value, kind, "int", _INT)


def _long(value: Any, kind: str) -> Int64:
    return Int64(_integer(value, kind, "long", _LONG))


def _double(value: Any, kind: str) -> float:
    number = _number(value, kind, "double")
    if number.is_nan():
        return math.nan
    found = float(number)
    if math.isinf(found) and number.is_finite():
        raise Unconvertible("it is out of the range of double")
    exact = number == Decimal(repr(found)) if kind in ("decimal", "string") else number == Decimal(found)
    if not exact:
        raise Unconvertible("it has more digits than a double holds")
    return found


def _decimal(value: Any, kind: str) -> Decimal128:
    if kind == "double" and math.isfinite(value):
        text = f"{value:.14e}"  # as many digits as a server takes to be meant
        if float(text) != value:
            raise Unconvertible("it has more than the 15 digits that are taken over from a double")
        return Decimal128(text if value else f"{value:.0f}")
    number = _number(value, kind, "decimal")
    try:
        return Decimal128(number)
    except ArithmeticError as error:
        raise Unconvertible("it has more digits than a decimal holds, or is out of its range") from error


def _bool(value: Any, kind: str) -> bool:
    if kind == "string":
        if value not in ("true", "false"):
            raise Unconvertible("only 'true' and 'false' do")
        return bool(value == "true")
    if kind not in ("int", "long", "double", "decimal"):
        raise _no(kind, "bool")
    return bool(_number(value, kind, "bool") != 0)


def _string(value: Any, kind: str) -> str:
    if kind == "bool":
        return "true" if value else "false"
    if kind == "double":
        return _double_text(value)
    if kind == "date":
        return _date_text(_milliseconds(value))
    if kind not in ("int", "long", "decimal", "objectId"):
        raise _no(kind, "string")
    return str(value)


def _milliseconds(date: datetime | DatetimeMS) -> int:
    return int(DatetimeMS(date)) if isinstance(date, datetime) else int(date)


def _date_text(milliseconds: int) -> str:
    eras, rest = divmod(milliseconds - _YEAR_MS, _ERA_MS)
    date = _EPOCH + timedelta(milliseconds=_YEAR_MS + rest)
    year = date.year + eras * _ERA
    if not 0 <= year <= 9999:
        raise Unconvertible("its year is not one of 0 to 9999")
    return f"{year:04}{date:-%m-%dT%H:%M:%S}.{date.microsecond // 1000:03}Z"


def _double_text(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    return repr(value).removesuffix(".0")


def _object_id(value: Any, kind: str) -> ObjectId:
    if kind != "string":
        raise _no(kind, "objectId")
    if not _OBJECT_ID.fullmatch(value):
        raise Unconvertible("it is not 24 hexadecimal digits")
    return ObjectId(value)


def _date(value: Any, kind: str) -> datetime | DatetimeMS:
    if kind == "string":
        return _parsed(value)
    if kind == "objectId":
        return _after(_SECONDS.unpack_from(value.binary)[0] * 1000)
    if kind == "timestamp":
        return _after(value.time * 1000)
    if kind not in ("long", "double", "decimal"):
        raise _no(kind, "date")
    return _after(_integer(value, kind, "date", _LONG))


def _after(milliseconds: int) -> datetime | DatetimeMS:
    """The date so long after 1970, as the driver reads it."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return DatetimeMS(milliseconds)


def _parsed(text: str) -> datetime | DatetimeMS:
    """An ISO 8601 date: a day alone (UTC), or a time with Z or its offset."""
    found = _DATE.fullmatch(text)
    if not found:
        raise Unconvertible("it is no ISO 8601 date with Z, with an offset, or of a day alone")
    fraction = found["fraction"] or ""
    if fraction[3:].strip("0"):
        raise Unconvertible("it is finer than milliseconds")
    eras, year = divmod(int(found["year"]) - _YEAR, _ERA)
    clock = f"{found['time'] or '00:00'}:{found['second'] or '00'}.{fraction[:3]:0<3}"
    try:
        local = datetime.fromisoformat(f"{_YEAR + year}{found['day']}T{clock}")
    except ValueError as error:
        raise Unconvertible(f"there is no such date ({error})") from error
    ahead = _offset(found["sign"] or "+", int(found["hours"] or 0), int(found["minutes"] or 0))
    return _after((local - _EPOCH) // _MILLISECOND + eras * _ERA_MS - ahead * _MINUTE_MS)


def _offset(sign: str, hours: int, minutes: int) -> int:
    """Minutes that a clock is ahead of UTC."""
    if hours > 23 or minutes > 59:
        raise Unconvertible(f"there is no offset of {hours:02}:{minutes:02}")
    return int(f"{sign}{60 * hours + minutes}")


TARGETS: dict[str, Callable[[Any, str], Any]] = {
    "date": _date,
    "objectId": _object_id,
    "int": _int,
    "long": _long,
    "double": _double,
    "decimal": _decimal,
    "string": _string,
    "bool": _bool,
}
"""How a value of another type, by its name, becomes one of this."""
