"""MongoDB's total order over BSON values, as tuples that Python compares and finds equal as the server would.

The order of types is MinKey, undefined, null, numbers, strings and symbols, documents, arrays, binary data,
ObjectId, booleans, dates, timestamps, regular expressions, DBPointer, code, code with scope, MaxKey. Numbers
of all types are compared by their exact value, documents element by element: first the type, then the name,
then the value. Collations are not taken into account.
"""

from __future__ import annotations

import math
import re
import struct
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from bson import decode
from bson.binary import OLD_BINARY_SUBTYPE, Binary
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from goaime_migrate.backends.raw_bson import elements, join

Key = tuple[Any, ...]

_MIN, _UNDEFINED, _NULL, _NUMBER, _STRING, _DOCUMENT, _ARRAY, _BINARY = -1, 0, 5, 10, 15, 20, 25, 30
_OBJECT_ID, _BOOL, _DATE, _TIMESTAMP, _REGEX, _POINTER, _CODE, _SCOPED, _MAX = (
    35,
    40,
    45,
    47,
    50,
    55,
    60,
    65,
    127,
)

NUMBER = _NUMBER
"""The first item of every number's key; the last is the number itself, unless it is none at all."""
NULL: Key = (_NULL,)
UNDEFINED: Key = (_UNDEFINED,)
"""What the server's indexes hold for an empty array."""

_FLAGS = ((re.I, "i"), (re.L, "l"), (re.M, "m"), (re.S, "s"), (re.U, "u"), (re.X, "x"))
_VALUE = 9
"""Where the value starts in a raw ``{_id: x}``: after the length, the type and the name."""
_INT32, _INT64 = struct.Struct("<i"), struct.Struct("<q")

_EXACT: CodecOptions[dict[str, Any]] = CodecOptions(
    dict, datetime_conversion=DatetimeConversion.DATETIME_MS, unicode_decode_error_handler="surrogateescape"
)


def sort_key(value: Any) -> Key:
    """The place of a decoded BSON value: two values have the same key exactly where MongoDB calls them equal.

    Raises TypeError for what is no BSON value.
    """
    make = _MAKERS.get(type(value))
    if make is not None:
        return make(value)
    for kind, make in _MAKERS.items():
        if isinstance(value, kind):
            return make(value)
    if isinstance(value, Mapping):
        return _document(value)
    raise TypeError(f"{type(value).__name__} is no BSON value")


def id_key(raw_id: bytes) -> Key:
    """The place of an `_id`, given as the raw document ``{_id: x}``. The ordinary types are not decoded.

    Documents and arrays are gone into as they are: decoded, they would lose a name that stands twice, and types that
    Python does not know.
    """
    make = _RAW_MAKERS.get(raw_id[4])
    return make(raw_id) if make is not None else sort_key(decode(raw_id, _EXACT)["_id"])


def element_key(name: bytes, element: bytes) -> Key:
    """The place of the value of a raw element, told as exactly as that of an `_id`."""
    return id_key(_alone(name, element))


def _number(value: float) -> Key:
    return (_NUMBER, 0) if math.isnan(value) else (_NUMBER, 1, value)


def _decimal(value: Decimal128) -> Key:
    number: Decimal = value.to_decimal()
    return (_NUMBER, 0) if number.is_nan() else (_NUMBER, 1, number)


def _string(value: str) -> Key:
    return _STRING, _utf8(value)


def _document(value: Mapping[str, Any]) -> Key:
    return _DOCUMENT, _elements(value)


def _elements(value: Mapping[str, Any]) -> Key:
    return _key_of_elements((_utf8(name), sort_key(item)) for name, item in value.items())


def _key_of_elements(keys: Iterable[tuple[bytes, Key]]) -> Key:
    """Elements are compared by their types, then by their names, then by their values."""
    return tuple((key[0], name, key) for name, key in keys)


def _array(value: list[Any] | tuple[Any, ...]) -> Key:
    return _ARRAY, tuple(sort_key(item) for item in value)


def _binary(value: bytes) -> Key:
    subtype = value.subtype if isinstance(value, Binary) else 0
    # The old subtype stores a second length inside the data, which the server counts.
    length = len(value) + (4 if subtype == OLD_BINARY_SUBTYPE else 0)
    return _BINARY, length, subtype, bytes(value)


def _uuid(value: uuid.UUID) -> Key:
    return _binary(Binary.from_uuid(value))


def _date(value: datetime) -> Key:
    return _DATE, int(DatetimeMS(value))


def _regex(value: Regex[Any]) -> Key:
    pattern = value.pattern if isinstance(value.pattern, bytes) else _utf8(value.pattern)
    return _REGEX, pattern, "".join(letter for flag, letter in _FLAGS if value.flags & flag)


def _pattern(value: re.Pattern[Any]) -> Key:
    return _regex(Regex.from_native(value))


def _raw_document(raw_id: bytes) -> Key:
    inner = elements(raw_id[_VALUE:-1])
    return _DOCUMENT, _key_of_elements((name, id_key(_alone(name, element))) for name, element in inner)


def _raw_array(raw_id: bytes) -> Key:
    return _ARRAY, tuple(id_key(_alone(name, element)) for name, element in elements(raw_id[_VALUE:-1]))


def _alone(name: bytes, element: bytes) -> bytes:
    """The value of an element as the raw ``{_id: x}``."""
    return join([element[:1] + b"_id" + element[1 + len(name) :]])


def _code(value: Code) -> Key:
    if value.scope is None:
        return _CODE, _utf8(value)
    return _SCOPED, _utf8(value), _elements(value.scope)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# Subclasses stand before the classes that they are a kind of: bool before int, Code before str.
_MAKERS: dict[type, Callable[[Any], Key]] = {
    ObjectId: lambda value: (_OBJECT_ID, value.binary),
    Code: _code,
    str: _string,
    bool: lambda value: (_BOOL, value),
    int: lambda value: (_NUMBER, 1, value),
    float: _number,
    Decimal128: _decimal,
    type(None): lambda value: NULL,
    dict: _document,
    list: _array,
    Timestamp: lambda value: (_TIMESTAMP, value.time, value.inc),
    tuple: _array,
    datetime: _date,
    DatetimeMS: lambda value: (_DATE, int(value)),
    bytes: _binary,
    uuid.UUID: _uuid,
    DBRef: lambda value: _document(value.as_doc()),
    Regex: _regex,
    re.Pattern: _pattern,
    MinKey: lambda value: (_MIN,),
    MaxKey: lambda value: (_MAX,),
}

# By the type byte. What Python has no type for is here as well: undefined, DBPointer, and a name that stands twice.
_RAW_MAKERS: dict[int, Callable[[bytes], Key]] = {
    0x02: lambda raw_id: (_STRING, raw_id[_VALUE + 4 : -2]),
    0x03: _raw_document,
    0x04: _raw_array,
    0x06: lambda raw_id: UNDEFINED,
    0x07: lambda raw_id: (_OBJECT_ID, raw_id[_VALUE:-1]),
    0x0C: lambda raw_id: (_POINTER, len(raw_id), raw_id[_VALUE:-1]),
    0x10: lambda raw_id: (_NUMBER, 1, _INT32.unpack_from(raw_id, _VALUE)[0]),
    0x12: lambda raw_id: (_NUMBER, 1, _INT64.unpack_from(raw_id, _VALUE)[0]),
}
