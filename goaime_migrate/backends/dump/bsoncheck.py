"""Whether the bytes of a document are one, to the innermost: with one wrong length all that follows means something else.

A document that the driver decodes is one. What it cannot decode is looked at by the rules of the format alone, since a
value may be of a kind that Python does not know and be kept for all that.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from bson.errors import InvalidBSON

from goaime_migrate.backends import raw_bson

DEEPEST = 200
"""How many documents may stand in one another, as for a server."""
_TOO_DEEP = f"documents stand more than {DEEPEST} deep in one another"
_INNER = b"\x03\x04\x0f"
_NESTED, _BOOLEAN, _BINARY = (0x03, 0x04), 0x08, 0x05
_STRINGS = (0x02, 0x0D, 0x0E)
_CODE_WITH_SCOPE, _POINTER, _OLD_BINARY = 0x0F, 0x0C, 2
_LENGTH = struct.Struct("<i")


def check(document: bytes) -> None:
    """Raises InvalidBSON saying what is wrong, and where in the document."""
    try:
        decoded = raw_bson.decode_leniently(document)
    except (InvalidBSON, ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        _walk(document)
    else:
        # Each document within another has one of these bytes.
        if sum(map(document.count, _INNER)) >= DEEPEST and raw_bson.is_deeper(decoded, DEEPEST):
            raise InvalidBSON(_TOO_DEEP)


def _walk(document: bytes) -> None:
    level = [(0, len(document))]
    for _ in range(DEEPEST + 1):
        level = [inner for start, stop in level for inner in _inner(document, start, stop)]
        if not level:
            return
    raise InvalidBSON(_TOO_DEEP)


def _inner(raw: bytes, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Where the documents within one begin and end. Raises InvalidBSON where its elements do not fill it exactly."""
    if stop - start < raw_bson.EMPTY or _number(raw, start) != stop - start or raw[stop - 1]:
        raise InvalidBSON(f"the document at byte {start} has a wrong length")
    at, end = start + 4, stop - 1
    while at < end:
        kind, value = raw[at], raw.find(0, at + 1, end) + 1
        if not value:
            raise InvalidBSON(f"the name at byte {at} has no end")
        try:
            after = value + raw_bson.value_length(raw, kind, value)
        except (struct.error, IndexError, ValueError):
            after = 0
        if not value <= after <= end:
            raise InvalidBSON(f"the value at byte {value} has a wrong length")
        _check_value(raw, kind, value, after)
        if kind in _NESTED:
            yield value, after
        elif kind == _CODE_WITH_SCOPE:
            yield _scope(raw, value, after), after
        at = after


def _check_value(raw: bytes, kind: int, at: int, after: int) -> None:
    if kind == _BOOLEAN and raw[at] > 1:
        raise InvalidBSON(f"the byte {at} is {raw[at]}, where true is 1 and false is 0")
    if kind in _STRINGS and (after - at < 5 or raw[after - 1]):
        raise InvalidBSON(f"the text at byte {at} has no end")
    if kind == _POINTER and (after - at < 17 or raw[after - 13]):
        raise InvalidBSON(f"the text at byte {at} has no end")
    if kind == _BINARY and (
        _number(raw, at) < 0
        or (raw[at + 4] == _OLD_BINARY and (after - at < 9 or _number(raw, at + 5) != after - at - 9))
    ):
        raise InvalidBSON(f"the binary at byte {at} has a wrong length")


def _scope(raw: bytes, at: int, after: int) -> int:
    """Where the document begins that stands behind a piece of code."""
    if after - at < 14 or not 0 < _number(raw, at + 4) <= after - at - 13:
        raise InvalidBSON(f"the code at byte {at} has a wrong length")
    return at + 8 + _number(raw, at + 4)


def _number(raw: bytes, at: int) -> int:
    return int(_LENGTH.unpack_from(raw, at)[0])
