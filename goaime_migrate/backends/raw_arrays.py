"""Raw arrays, whose keys need not be the places of their elements."""

from __future__ import annotations

from collections.abc import Iterable

from goaime_migrate.backends import raw_bson

ARRAY = 0x04


def has_odd_keys(raw: bytes, start: int = 0) -> bool:
    """Whether the array that begins there, or one right within it, has other keys than 0, 1, 2 and so on.

    Whoever takes it apart counts its elements anew: decoding does, and a server where the array is a value by itself.
    """
    position, place = start + 4, 0
    while kind := raw[position]:
        key = b"%d\0" % place
        value = position + 1 + len(key)
        if not raw.startswith(key, position + 1) or (kind == ARRAY and has_odd_keys(raw, value)):
            return True
        position, place = value + raw_bson.value_length(raw, kind, value), place + 1
    return False


def leads_to_odd_keys(document: bytes, names: Iterable[bytes]) -> bool:
    """Whether names lead, through documents, to such an array."""
    value, kind = document, 0x03
    for name in names:
        element = raw_bson.fields(value).get(name) if kind == 0x03 else None
        if element is None:
            return False
        value, kind = element[len(name) + 2 :], element[0]
    return kind == ARRAY and has_odd_keys(value)
