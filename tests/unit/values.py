"""Documents of every kind, for property tests."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any

from bson import (
    Binary,
    Code,
    DatetimeMS,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
    encode,
)
from hypothesis import strategies as st

NAMES = st.one_of(
    st.sampled_from(["a", "b", "c", "n", "", "a.b", "$a", "é", "0", "_id2"]),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DATES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.floats(),
    TEXTS,
    st.binary(max_size=12),
    st.builds(Binary, st.binary(max_size=12), st.sampled_from([0, 3, 4, 128])),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    DATES,
    st.integers(-(2**62), 2**62).map(DatetimeMS),
    st.decimals(allow_nan=False, places=3, min_value=-1000, max_value=1000).map(lambda d: Decimal128(str(d))),
    st.builds(Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.builds(Regex, st.text("abc.*", max_size=5), st.sampled_from(["", "i", "im"])),
    st.builds(Code, TEXTS),
    st.sampled_from([MinKey(), MaxKey()]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.dictionaries(NAMES.filter(lambda name: name != "_id"), VALUES, max_size=6)
IDS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(-5, 5).map(Int64),
    st.floats(-5, 5, allow_nan=False),
    TEXTS,
    st.binary(max_size=6),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    DATES,
    st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 2), max_size=2),
    st.sampled_from([MinKey(), MaxKey()]),
)


def document(*elements: bytes) -> bytes:
    """A document made of whole elements."""
    body = b"".join(elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def element(name: str, value: Any) -> bytes:
    """One element, encoded."""
    return encode({name: value})[4:-1]


def text_bytes(name: bytes, text: bytes) -> bytes:
    """A string element that need not be UTF-8."""
    return b"\x02" + name + b"\0" + struct.pack("<i", len(text) + 1) + text + b"\0"


# Elements that decoding and encoding would change, or that Python cannot hold.
UNDEFINED = b"\x06u\0"
SYMBOL = b"\x0es\0" + struct.pack("<i", 4) + b"sym\0"
POINTER = b"\x0cp\0" + struct.pack("<i", 4) + b"col\0" + bytes(range(12))
REGEX = b"\x0br\0a.b\0xmi\0"
FAR_DATE = b"\x09d\0" + struct.pack("<q", 10**17)
ODD_ARRAY = b"\x04l\0" + document(element("7", 1), element("x", 2))
CODE_WITH_SCOPE = element("w", Code("f", {"x": 1}))
NOT_UTF8 = text_bytes(b"t", b"\xff\xfe")
TWICE = element("k", 1) + element("k", 2)

SURVIVORS = {
    "undefined": UNDEFINED,
    "symbol": SYMBOL,
    "DBPointer": POINTER,
    "unordered regex options": REGEX,
    "a date beyond year 9999": FAR_DATE,
    "odd array keys": ODD_ARRAY,
    "code with scope": CODE_WITH_SCOPE,
    "a negative zero": element("z", -0.0),
    "an odd boolean order": element("f", False) + element("e", True),
}
"""Kept byte for byte beside a field that changes."""
FRAGILE = {"text that is not UTF-8": NOT_UTF8, "a key that stands twice": TWICE}
"""Kept byte for byte where nothing changes; a run that would have to change them stops."""
