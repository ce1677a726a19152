"""Raw arrays, whose keys need not be the places of their elements."""

from __future__ import annotations

from collections.abc import Iterable

from goaime_migrate.backends import raw_bson

ARRAY = 0x04
_KEYS = [b"%d" % place for place in range(1_000)]


def has_odd_keys(array: bytes) -> bool:
    """Whether an array, or one right within it, has other keys than 0, 1, 2 and so on.

    Whoever takes it apart counts its elements anew: decoding does, and a server where the array is a value by itself.
    """
    found = raw_bson.fields(array)
    keys = _KEYS if len(found) <= len(_KEYS) else [b"%d" % place for place in range(len(found))]
    if [*found] != keys[: len(found)] or raw_bson.EMPTY + sum(map(len, found.values())) != len(array):
        return True
    return any(is_numbered_oddly(key, each) for key, each in found.items())


def is_numbered_oddly(name: bytes, element: bytes) -> bool:
    """Whether an element is such an array."""
    return element[0] == ARRAY and has_odd_keys(element[len(name) + 2 :])


def leads_to_odd_keys(document: bytes, names: Iterable[bytes]) -> bool:
    """Whether names lead, through documents, to such an array."""
    value, kind = document, 0x03
    for name in names:
        element = raw_bson.fields(value).get(name) if kind == 0x03 else None
        if element is None:
            return False
        value, kind = element[len(name) + 2 :], element[0]
    return kind == ARRAY and has_odd_keys(value)
