"""Raw BSON: split into elements and put together again without decoding, so that no byte is lost on the way.

A document is an int32 length, elements and a zero byte; an element is a type byte, a zero-terminated name and a
value whose length follows from the type (https://bsonspec.org/spec.html).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from bson import decode as _decode
from bson import encode as _encode
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.dbref import DBRef
from bson.errors import BSONError, InvalidBSON
from bson.raw_bson import RawBSONDocument

from goaime_migrate.results import Document

EMPTY = 5
"""The bytes of a document with nothing in it: there is no smaller one."""
NOTHING = b"\x05\0\0\0\0"
"""That document."""
MAX_DOCUMENT = 16 * 1024 * 1024
"""The largest document that MongoDB stores, in bytes."""
TYPES = frozenset((*range(0x01, 0x14), 0x7F, 0xFF))
"""What stands before an element's name."""
UNENCODABLE = (BSONError, OverflowError, TypeError, ValueError, RecursionError)
"""What encoding raises."""

OPTIONS: CodecOptions[Document] = CodecOptions(dict, datetime_conversion=DatetimeConversion.DATETIME_AUTO)
RAW = OPTIONS.with_options(document_class=RawBSONDocument)
_LENIENT = OPTIONS.with_options(unicode_decode_error_handler="replace")

_INT = struct.Struct("<i")
_FIXED = {
    0x01: 8,
    0x06: 0,
    0x07: 12,
    0x08: 1,
    0x09: 8,
    0x0A: 0,
    0x10: 4,
    0x11: 8,
    0x12: 8,
    0x13: 16,
    0x7F: 0,
    0xFF: 0,
}
_SIZES = tuple(map(_FIXED.get, range(256)))
_STRING = (0x02, 0x0D, 0x0E)
_NESTED = (0x03, 0x04, 0x0F)
_BINARY, _REGEX, _POINTER = 0x05, 0x0B, 0x0C
_BEYOND_LENGTH: tuple[int | None, ...] = tuple(
    map({**dict.fromkeys(_NESTED, 0), **dict.fromkeys(_STRING, 4), _BINARY: 5, _POINTER: 16}.get, range(256))
)
"""Bytes of a value beside those that it counts itself, for the types whose values begin with their length."""


def decode(raw: bytes) -> Document:
    """A document as plain dicts and lists; years that Python cannot hold become DatetimeMS."""
    return _decode(raw, OPTIONS)


def decode_leniently(raw: bytes) -> Document:
    """As `decode`, with a replacement character where a string is not UTF-8."""
    return _decode(raw, _LENIENT)


def decode_any(raw: bytes) -> Document:
    """As `decode`, leniently only where it has to be."""
    try:
        return decode(raw)
    except (BSONError, UnicodeDecodeError):
        return decode_leniently(raw)


_CONTAINERS = frozenset((dict, list, DBRef, Code))


def survives(raw: bytes) -> bool:
    """Whether a document is the same when it is decoded and encoded."""
    try:
        return encode(decode(raw)) == raw
    except (BSONError, UnicodeDecodeError):
        return False


def is_deeper(value: Any, limit: int) -> bool:
    """Whether documents and arrays of a decoded value stand deeper in one another than that."""
    level = [value]
    for _ in range(limit + 1):
        level = [inner for outer in level for inner in _within(outer) if type(inner) in _CONTAINERS]
        if not level:
            return False
    return True


def _within(value: Any) -> Iterable[Any]:
    kind = type(value)
    if kind is dict:
        return cast("Iterable[Any]", value.values())
    if kind is list:
        return cast("Iterable[Any]", value)
    inner = value.as_doc() if kind is DBRef else value.scope if kind is Code else None
    return (inner or {}).values()


def encode(document: Any) -> bytes:
    """The bytes of a document."""
    return _encode(document, codec_options=OPTIONS)


def raw_document(raw: bytes) -> RawBSONDocument:
    """The bytes as something that pymongo sends as it is."""
    return RawBSONDocument(raw, RAW)


def split_all(batches: Iterable[Any]) -> Iterator[bytes]:
    """The documents of the driver's raw batches, which it types as decoded documents."""
    for batch in batches:
        yield from split(batch)


def split(batch: bytes) -> Iterator[bytes]:
    """The documents that stand one behind another in `batch`. Raises InvalidBSON where a length is wrong."""
    position, end = 0, len(batch)
    while position < end:
        (length,) = _INT.unpack_from(batch, position) if position + 4 <= end else (0,)
        if length < 5 or position + length > end:
            raise InvalidBSON(
                f"a document at byte {position} says it has {length} bytes, {end - position} are there"
            )
        yield batch[position : position + length]
        position += length


def documents_in(array: bytes) -> Iterator[bytes]:
    """The documents of a raw array that holds nothing else."""
    position, end, index, length = 4, len(array) - 1, array.index, _INT.unpack_from
    while position < end:
        start = index(0, position + 1) + 1
        position = start + length(array, start)[0]
        yield array[start:position]


def elements(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each top-level element as (name, whole element), in order; a name that stands twice comes twice."""
    position, end = 4, len(raw) - 1
    while position < end:
        name_end = raw.index(0, position + 1)
        stop = name_end + 1 + value_length(raw, raw[position], name_end + 1)
        yield raw[position + 1 : name_end], raw[position:stop]
        position = stop


def fields(raw: bytes) -> dict[bytes, bytes]:
    """The top-level elements by name, in order; of a name that stands twice the last. Quicker than `elements`."""
    return fields_between(raw, 4, len(raw) - 1)[0]


def fields_between(raw: bytes, position: int, end: int) -> tuple[dict[bytes, bytes], int]:
    """Those that begin from one position on and before another, and where the last of them ends."""
    found: dict[bytes, bytes] = {}
    index, length = raw.index, _INT.unpack_from
    while position < end:
        kind = raw[position]
        at = index(0, position + 1) + 1
        extra = _BEYOND_LENGTH[kind]
        if extra is not None:
            stop = at + extra + length(raw, at)[0]
        else:
            size = _SIZES[kind]
            stop = at + (value_length(raw, kind, at) if size is None else size)
        found[raw[position + 1 : at - 1]] = raw[position:stop]
        position = stop
    return found, position


def start_of_element(raw: bytes, there: int, position: int = 4) -> int:
    """Where the top-level element begins that holds this position, which is looked for from another one's on.

    Quicker than taking out all before it.
    """
    start, index, length = position, raw.index, _INT.unpack_from
    end = min(there + 1, len(raw) - 1)
    while position < end:
        start, kind = position, raw[position]
        at = index(0, position + 1) + 1
        extra = _BEYOND_LENGTH[kind]
        if extra is not None:
            position = at + extra + length(raw, at)[0]
        else:
            size = _SIZES[kind]
            position = at + (value_length(raw, kind, at) if size is None else size)
    return start if position > there else position


def spans(raw: bytes, name: bytes) -> list[tuple[int, int]]:
    """Where top-level elements of this name begin and end; what stands behind the last is not taken apart."""
    found, sought, position = [], name + b"\0", 4
    there = raw.find(sought, position + 1)
    while there > 0:
        start = start_of_element(raw, there - 1, position)
        _, position = fields_between(raw, start, start + 1)
        if start == there - 1:
            found.append((start, position))
        there = raw.find(sought, position + 1)
    return found


def is_twice(raw: bytes, name: bytes) -> bool:
    """Whether two top-level elements have this name."""
    return raw.count(name + b"\0") > 1 and len(spans(raw, name)) > 1


def without(raw: bytes, name: bytes) -> bytes | None:
    """A document less its top-level element of this name: itself where it has none, None where it has more than one."""
    sought = name + b"\0"
    there = raw.find(sought, 5)
    if there < 0:
        return raw
    if raw.find(sought, there + 1) > 0:
        found = spans(raw, name)
        if len(found) != 1:
            return None if found else raw
        ((start, stop),) = found
    else:
        start, stop = there - 1, there + len(sought)
        if start_of_element(raw, start) != start:
            return raw
        stop += value_length(raw, raw[start], stop)
    return b"".join((_INT.pack(len(raw) - stop + start), raw[4:start], raw[stop:]))


def join(parts: Iterable[bytes]) -> bytes:
    """A document made of whole elements."""
    body = b"".join(parts)
    return _INT.pack(len(body) + 5) + body + b"\0"


def behind_binary(name: str, data: Sequence[bytes], document: bytes) -> bytes:
    """`document` with a binary field before all others: pieces that stand one behind another in it.

    They may be megabytes, which are copied but once; encoding a dict that holds them joined copies them three times.
    """
    size = sum(map(len, data))
    head = b"\x05" + name.encode() + b"\0" + _INT.pack(size) + b"\0"
    return b"".join((_INT.pack(len(head) + size + len(document)), head, *data, document[4:]))


def id_of(raw: bytes) -> bytes:
    """The `_id` of a raw document as the raw document ``{_id: x}``. Raises KeyError where there is none."""
    if raw[5:9] == b"_id\0":
        size = _SIZES[raw[4]]
        end = 9 + (value_length(raw, raw[4], 9) if size is None else size)
        return _INT.pack(end + 1) + raw[4:end] + b"\0"
    for name, element in elements(raw):
        if name == b"_id":
            return join([element])
    raise KeyError("_id")


def has_id(raw: bytes) -> bool:
    """Whether a raw document has an `_id`."""
    return raw[5:9] == b"_id\0" or any(name == b"_id" for name, _ in elements(raw))


def id_value(raw_id: bytes) -> Any:
    """The decoded value of a raw ``{_id: x}``."""
    return decode_leniently(raw_id)["_id"]


def rename(raw_id: bytes, name: str) -> RawBSONDocument:
    """``{_id: x}`` as ``{name: x}``, to be put into a filter with its exact type."""
    value = raw_id[4:5] + name.encode() + b"\0" + raw_id[9:-1]
    return raw_document(join([value]))


def literal(name: bytes, element: bytes) -> bytes:
    """The element ``name: {$literal: value}``, for a pipeline that must not look into the value."""
    value = element[:1] + b"$literal\0" + element[len(name) + 2 :]
    return b"\x03" + name + b"\0" + join([value])


def value_length(raw: bytes, kind: int, at: int) -> int:
    """The bytes of the value at `at`, as it says itself. Raises InvalidBSON, struct.error, ValueError."""
    size = _SIZES[kind]
    if size is not None:
        return size
    extra = _BEYOND_LENGTH[kind]
    if extra is not None:
        return int(_INT.unpack_from(raw, at)[0]) + extra
    if kind == _REGEX:
        return raw.index(0, raw.index(0, at) + 1) + 1 - at
    raise InvalidBSON(f"unknown element type 0x{kind:02x}")
