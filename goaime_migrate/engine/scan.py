"""Reading a collection from one end to the other, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

from goaime_migrate.backends import raw
from goaime_migrate.backends.base import Filter, Reader
from goaime_migrate.engine.pacing import BATCH_BYTES

_BATCH = 500


def batches(reader: Reader, collection: str, where: Filter | None = None) -> Iterator[list[bytes]]:
    """All raw documents that match, ascending by `_id`; memory is bounded by one batch."""
    cursor: bytes | None = None
    while True:
        batch = reader.documents(collection, after=cursor, where=where, limit=_BATCH, max_bytes=BATCH_BYTES)
        if batch:
            yield batch
            cursor = raw.id_of(batch[-1])
        if len(batch) < _BATCH and sum(map(len, batch)) < BATCH_BYTES:
            return
