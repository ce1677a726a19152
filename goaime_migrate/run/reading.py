"""Reading a collection from one end to the other, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Filter, Reader
from goaime_migrate.run.pacing import BATCH_BYTES, LARGEST, LARGEST_LIGHT


def batches(
    reader: Reader, collection: str, where: Filter | None = None, *, fields: Sequence[str] | None = None
) -> Iterator[list[bytes]]:
    """All raw documents that match, ascending by `_id`; memory is bounded by one batch.

    `fields` and `_id` only, if given.
    """
    limit = LARGEST if fields is None else LARGEST_LIGHT
    cursor: bytes | None = None
    while True:
        batch = reader.documents(
            collection, after=cursor, where=where, limit=limit, max_bytes=BATCH_BYTES, fields=fields
        )
        if batch:
            yield batch
            cursor = raw_bson.id_of(batch[-1])
        if len(batch) < limit and sum(map(len, batch)) < BATCH_BYTES:
            return
