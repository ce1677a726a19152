"""The hashes by which a segment is found by the `_id`s of the documents in it.

A server takes about as long for a key of an index as for a small document, so where the `_id`s of a batch follow each
other, as counters, ObjectIds and numbered texts do, 256 of them have one hash together. A segment that is found need
then not hold the document that was asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from goaime_migrate.journal.digest import digest

_VALUE = 9
"""Where the value starts in a raw ``{_id: x}``: after the length, the type and the name."""
_INT32, _INT64 = struct.Struct("<i"), struct.Struct("<q")
_FEWER = 4
"""How many times fewer they have to become; else each document has its own, and the segments are told apart by it."""

# By the type byte. None of them begins with the length of a document, so no `_id` has the same hash.
_NEIGHBOURHOODS: dict[int, Callable[[bytes], bytes]] = {
    0x02: lambda raw_id: b"text" + raw_id[_VALUE + 4 : -4],
    0x07: lambda raw_id: b"oid" + raw_id[_VALUE:-2],
    0x10: lambda raw_id: b"int%d" % (_INT32.unpack_from(raw_id, _VALUE)[0] >> 8),
    0x12: lambda raw_id: b"int%d" % (_INT64.unpack_from(raw_id, _VALUE)[0] >> 8),
}
"""What an `_id` has in common with those close to it: all but two bytes of a text, one of an ObjectId or a number."""


def exact(ids: Iterable[bytes]) -> list[bytes]:
    """A hash of each of these documents, which only it has."""
    return list(dict.fromkeys(map(digest, ids)))


def fewest(ids: Iterable[bytes]) -> list[bytes]:
    """Hashes of all these documents, of several together where that makes them few."""
    known = list(ids)
    near = list(dict.fromkeys(map(_neighbourhood, known)))
    if _FEWER * len(near) > len(known) or None in near:
        return exact(known)
    return [digest(each) for each in near if each is not None]


def of_any(ids: Iterable[bytes]) -> list[bytes]:
    """All hashes by which a segment with any of these documents may be found."""
    known = list(ids)
    near = dict.fromkeys(map(_neighbourhood, known))
    return [*exact(known), *(digest(each) for each in near if each is not None)]


def _neighbourhood(raw_id: bytes) -> bytes | None:
    make = _NEIGHBOURHOODS.get(raw_id[4])
    return None if make is None else make(raw_id)
