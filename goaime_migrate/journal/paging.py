"""Reading a journal from one end to the other, with little of it in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import JOURNAL, Reader
from goaime_migrate.results import Document

_FEWEST, _MOST, _BYTES = 8, 500, 32 * 1024 * 1024
"""Records that are read at a time: as many as have so many bytes, if they are like those before them."""


def payloads(reader: Reader, prefix: str) -> Iterator[list[Document]]:
    """The records whose `_id`s begin so, those together that hold one payload."""
    last, limit, found = prefix, _FEWEST, list[Document]()
    while True:
        between = {"_id": {"$gt": last, "$lt": f"{prefix}\uffff"}}
        batch = reader.find(JOURNAL, between, sort=[("_id", 1)], limit=limit)
        for record in batch:
            if found and "kind" in record:
                yield found
                found = []
            found.append(record)
        if len(batch) < limit:
            break
        last = batch[-1]["_id"]
        size = sum(len(record.get("data") or b"") for record in batch) // len(batch)
        limit = max(_FEWEST, min(_MOST, _BYTES // (size + 1)))
    if found:
        yield found


def size_of(records: Iterable[Document]) -> int:
    """Bytes that records take, before the server compresses them."""
    return sum(len(raw_bson.encode(record)) for record in records)
